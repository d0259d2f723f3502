import { describe, expect, it } from 'vitest'
import type { TimelineEvent } from '../hub-api/schemas.ts'
import { timelineSteps } from './timeline.ts'

const anEvent = (event: Partial<TimelineEvent>) => ({ revision: 1, type: 'submitted', at: 10, sequencedAt: 12, by: { hospitalId: 'hospital-a', userId: 'u', name: '王医生' }, ...event }) as TimelineEvent

describe('the time line of a consultation', () => {
  it('shows applying and being sent as two steps with their own times', () => { // CON-01
    expect(timelineSteps([anEvent({})]).map(({ type, at, hub }) => [type, at, hub])).toEqual([['applied', 10, false], ['submitted', 12, true]])
  })
  it('says when a printing was made that the hub heard of only after the line came back', () => { // CON-01, CON-18
    const [late] = timelineSteps([anEvent({ type: 'printed', revision: 7, at: 1_000, sequencedAt: 3_600_000 })])
    expect(late).toMatchObject({ type: 'printed', at: 3_600_000, actedAt: 1_000 })
    const [soon] = timelineSteps([anEvent({ type: 'printed', revision: 7, at: 1_000, sequencedAt: 1_200 })])
    expect(soon).not.toHaveProperty('actedAt')
  })
  it('tells steps of the agent from steps of a person', () => {
    const [step] = timelineSteps([anEvent({ type: 'images-arrived', revision: 2, by: { hospitalId: 'hospital-c', userId: 'agent', name: '院侧代理', agent: true } as TimelineEvent['by'] })])
    expect(step).toMatchObject({ agent: true, hospitalId: 'hospital-c' })
  })
})
