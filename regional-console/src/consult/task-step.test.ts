import { describe, expect, it } from 'vitest'
import type { TaskRow, TimelineEvent } from 'specs'
import { isOpen, stepOf, submittedToday, timelineSteps } from './task-step.ts'

const anEvent = (event: Partial<TimelineEvent>) => ({ revision: 1, type: 'submitted', at: 10, sequencedAt: 12, by: { hospitalId: 'hospital-a', userId: 'u', name: '王医生' }, ...event }) as TimelineEvent

describe('the time line of a consultation', () => {
  it('shows applying and being sent as two steps with their own times', () => { // CON-01
    expect(timelineSteps([anEvent({})]).map(({ type, at }) => [type, at])).toEqual([['applied', 10], ['submitted', 12]])
  })
  it('tells steps of the agent from steps of a person', () => {
    const [step] = timelineSteps([anEvent({ type: 'images-arrived', revision: 2, by: { hospitalId: 'hospital-c', userId: 'agent', name: '院侧代理', agent: true } as TimelineEvent['by'] })])
    expect(step).toMatchObject({ agent: true, hospitalId: 'hospital-c' })
  })
})

describe('where a task stands', () => {
  it('counts along the way and leaves it when cancelled', () => {
    expect([stepOf('submitted'), stepOf('read'), stepOf('cancelled')]).toEqual([0, 5, -1])
  })
  it('is open until the requester has read the opinion', () => {
    expect(isOpen({ state: 'returned' } as TaskRow)).toBe(true)
    expect(isOpen({ state: 'read' } as TaskRow)).toBe(false)
  })
  it('counts as of today from local midnight', () => {
    const now = new Date(2026, 10, 22, 9).getTime()
    expect(submittedToday([{ createdAt: now - 3_600_000 }, { createdAt: now - 86_400_000 }] as TaskRow[], now)).toBe(1)
  })
})
