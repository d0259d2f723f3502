import { parseHospitalId, MessageId } from 'specs'
import type { WaitingMessage } from 'service-kit'
import { describe, expect, it } from 'vitest'
import { NOW, TASK } from '../access/builders.ts'
import type { QueuedCommand } from './store.ts'
import { commandRow } from './unanswered.ts'

const messageId = MessageId.parse('0f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b22')
const aCommand = (change: Partial<QueuedCommand> = {}): QueuedCommand =>
  ({ commandId: 'c1', taskId: TASK, type: 'submit', byAgent: false, byName: '王建华', messageId, repeats: 0, at: NOW, regionId: 'yunling', ...change }) // prettier-ignore
const aMessage = (change: Partial<WaitingMessage> = {}): WaitingMessage =>
  ({ id: messageId, peer: parseHospitalId('hospital-a'), seq: 7, kind: 'consult.command', state: 'published', since: NOW + 1, attempts: 2, lastTriedAt: NOW + 9, problem: null, ...change }) // prettier-ignore

describe('a request without an answer', () => {
  it('is shown with who waits since when, how often it was tried and what stood in the way', () => {
    // AGT-07
    const row = commandRow(aCommand({ repeats: 1 }), aMessage({ problem: 'region/hub-unreachable' }), true)
    expect(row).toMatchObject({ by: '王建华', since: NOW, attempts: 3, lastTriedAt: NOW + 9, state: 'published', command: { taskId: TASK, type: 'submit' } })
    expect(row.problem).toMatchObject({ code: 'region/hub-unreachable' })
  })

  it('is the node’s own when nobody pressed a button', () => {
    expect(commandRow(aCommand({ byAgent: true, byName: '云溪县人民医院' }), aMessage(), true).by).toBeNull()
  })

  it('says so when its message is no longer kept, and only waits while there is no platform', () => {
    expect(commandRow(aCommand(), undefined, true)).toMatchObject({ state: 'lost', problem: { code: 'message/lost' } })
    expect(commandRow(aCommand(), undefined, false)).toMatchObject({ state: 'pending', problem: { code: 'region/not-joined' } })
  })
})
