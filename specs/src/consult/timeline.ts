import type { TimelineEvent } from '../hub-api/schemas.ts'

export interface TimelineStep {
  key: string
  type: string
  at: number
  /** When the person acted, if the hub could be told only later: the hospital was cut off (CON-18). */
  actedAt?: number
  who: string
  hospitalId: string
  agent: boolean
  /** The hub's own step: nobody at a hospital did it. */
  hub: boolean
  reason?: string
}

/** More than this between acting and the hub's entry is no matter of clocks and networks any more. */
const TOLD_LATE_MS = 60_000

/** The event list as people read it: applying and being sent by the hub are two steps of one event (CON-01). */
export function timelineSteps(events: readonly TimelineEvent[]): TimelineStep[] {
  return events.flatMap((event) => {
    const step: TimelineStep = { key: `${event.revision}`, type: event.type, at: event.sequencedAt, who: event.by.name, hospitalId: event.by.hospitalId, agent: event.by.agent ?? false, hub: false, reason: event.reason }
    const isLate = event.type !== 'submitted' && event.sequencedAt - event.at > TOLD_LATE_MS
    if (isLate) step.actedAt = event.at
    return event.type === 'submitted' ? [{ ...step, key: `${event.revision}-applied`, type: 'applied', at: event.at }, { ...step, hub: true }] : [step]
  })
}
