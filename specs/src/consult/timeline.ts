import type { TimelineEvent } from '../hub-api/schemas.ts'

export interface TimelineStep {
  key: string
  type: string
  at: number
  who: string
  hospitalId: string
  agent: boolean
  /** The hub's own step: nobody at a hospital did it. */
  hub: boolean
  reason?: string
}

/** The event list as people read it: applying and being sent by the hub are two steps of one event (CON-01). */
export function timelineSteps(events: readonly TimelineEvent[]): TimelineStep[] {
  return events.flatMap((event) => {
    const step: TimelineStep = { key: `${event.revision}`, type: event.type, at: event.sequencedAt, who: event.by.name, hospitalId: event.by.hospitalId, agent: event.by.agent ?? false, hub: false, reason: event.reason }
    return event.type === 'submitted' ? [{ ...step, key: `${event.revision}-applied`, type: 'applied', at: event.at }, { ...step, hub: true }] : [step]
  })
}
