import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConsultRow, ExamRow, HospitalWaitingRow, LinkStatus, WaitingRow } from 'specs'
import { openDatabase } from 'service-kit'
import type { ApiUser } from '../../scripts/region/api.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { consultOf, sendStudy, stepsOf, submit, untilState } from '../support/story.ts'

/** AGT-07 with whole processes: what the platform does not answer is seen, tried again by itself, and at once when asked. */
describe('requests of a hospital that the platform does not answer', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let exam: ExamRow
  let wang: ApiUser
  let admin: ApiUser
  const waiting = async () => (await admin.get<{ rows: WaitingRow[] }>('/api/messages/waiting')).rows
  const untilNothingWaits = () => eventually('every request has its answer', async () => (await waiting()).length === 0)
  const databaseOf = (file: string) => openDatabase({ dialect: 'sqlite', file: join(region.dir, file) })

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'] })
    const file = join(region.dir, 'hospital-a', 'config.json')
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), consult: { repeatAfterMs: 2_000 } }))
    await region.node('hospital-a').stop()
    await region.node('hospital-a').start()
    await region.untilConnected('hospital-a')
    exam = await sendStudy(region, 'hospital-a', 'mr-overlay', 1)
    ;[wang, admin] = await Promise.all([region.signIn('hospital-a', 'wang'), region.signIn('hospital-a', 'admin')])
  })
  afterAll(() => region?.close())

  it('are shown while the hub is stopped: who waits, since when, how often it was tried, and why', async () => { // AGT-07, AGT-15
    await region.hub.stop()
    await eventually('the node has noticed', async () => (await admin.get<LinkStatus>('/api/link')).state === 'disconnected')
    const before = Date.now()
    const taskId = await submit(wang, { exam, mode: 'pull' })
    const [row] = await eventually('the message server has it', async () => {
      const rows = await waiting()
      return rows[0]?.state === 'published' && rows
    })
    expect(row).toMatchObject({ kind: 'consult.command', by: '王建华', command: { taskId, type: 'submit' }, attempts: 1, problem: { code: 'region/hub-unreachable' } })
    expect(row!.since).toBeGreaterThanOrEqual(before)
    const { failures } = await admin.get<LinkStatus>('/api/link')
    await admin.send('POST', '/api/link/try-now')
    await admin.send('POST', `/api/messages/${row!.messageId}/retry`)
    await eventually('the attempts are counted', async () => (await admin.get<LinkStatus>('/api/link')).failures > failures)
    expect((await consultOf(wang, taskId)).state).toBe('queued')
    await expect(wang.send('POST', '/api/link/try-now')).rejects.toMatchObject({ status: 403 })

    await region.hub.start()
    await untilState(wang, taskId, 'submitted')
    await untilNothingWaits()
    expect(await admin.get<LinkStatus>('/api/link')).toMatchObject({ state: 'connected', failures: 0 })
  })

  it('are answered once and finally, also with a refusal, by the id of the request', async () => { // AGT-07
    const taskId = await submit(wang, { exam, mode: 'pull' })
    const chen = await region.signIn('hospital-c', 'chen')
    await untilState(chen, taskId, 'submitted')
    await wang.send('POST', `/api/consults/${taskId}/cancel`, { reason: '患者已转院' })
    await untilState(chen, taskId, 'cancelled')
    await expect(chen.send('POST', `/api/consults/${taskId}/claim`, {})).rejects.toMatchObject({ code: expect.stringMatching(/^consult\//) as string })
    await untilNothingWaits()
  })

  it('are shown on the platform, too: what it asked of a hospital that is away', async () => { // AGT-07
    const hub = await region.signInToHub()
    const atHub = async () => (await hub.get<{ rows: HospitalWaitingRow[] }>('/api/messages/waiting')).rows
    await eventually('every hospital has answered', async () => (await atHub()).length === 0)
    await region.node('hospital-c').stop()
    const taskId = await submit(wang, { exam, mode: 'pull' })
    await untilState(wang, taskId, 'submitted')
    const [row] = await eventually('the hub says that C is away', async () => {
      const rows = await atHub()
      return rows[0]?.problem?.code === 'region/hospital-offline' && rows[0].attempts > 0 && rows
    })
    expect(row).toMatchObject({ hospitalId: 'hospital-c', kind: 'consult.event', state: 'published', attempts: 1 })
    await region.node('hospital-c').start()
    await eventually('C has taken it', async () => (await atHub()).length === 0)
    expect((await consultOf(await region.signIn('hospital-c', 'chen'), taskId)).state).toBe('submitted')
  })

  it('are sent again when their answer is lost with the platform’s memory, and answered with the same answer', async () => { // AGT-07, AGT-16
    // The hub takes the request while the node is away, then loses what it meant to answer.
    await region.hub.stop()
    await eventually('the node has noticed', async () => (await admin.get<LinkStatus>('/api/link')).state === 'disconnected')
    const taskId = await submit(wang, { exam, mode: 'pull' })
    await eventually('the message server has it', async () => (await waiting())[0]?.state === 'published')
    await region.node('hospital-a').stop()
    await region.hub.start()
    const hub = await region.signInToHub()
    await eventually('the hub has taken it', async () => (await hub.get<{ rows: { taskId: string }[] }>('/api/tasks')).rows.some((row) => row.taskId === taskId))
    await region.hub.stop()
    await region.stopNats()
    const db = await databaseOf('hub/hub.sqlite')
    const { seq } = (await db.get<{ seq: number }>(`SELECT sent_up_to AS "seq" FROM link_peer WHERE peer = 'hospital-a'`))!
    expect(await db.run(`DELETE FROM outbox WHERE peer = 'hospital-a' AND kind = 'consult.answer' AND seq = $1`, [seq])).toBe(1)
    await db.run(`UPDATE link_peer SET sent_up_to = $1 WHERE peer = 'hospital-a'`, [seq - 1])
    await db.close()
    rmSync(join(region.dir, 'hub', 'nats-store', 'jetstream'), { recursive: true, force: true })
    await region.startNats()
    await region.hub.start()
    await region.node('hospital-a').start()
    await region.untilConnected('hospital-a')

    await untilNothingWaits()
    expect(region.node('hospital-a').logTail(1_000)).toContain('the command is sent again')
    const own = await consultOf(wang, taskId)
    expect([own.state, own.pending]).toEqual(['submitted', null])
    expect(stepsOf(own)).toEqual(['submitted'])
    const chen = await region.signIn('hospital-c', 'chen')
    expect((await chen.get<{ rows: ConsultRow[] }>('/api/consults?side=processor')).rows.filter((row) => row.taskId === taskId)).toHaveLength(1)
  })
})
