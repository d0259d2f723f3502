import type { ConsultDetail } from 'specs'

/** One step of the time line, ready to be shown: who, where, when. */
export interface TimelineStep {
  readonly key: string
  /** Key of the catalogue under `consult.event`. */
  readonly type: ConsultDetail['events'][number]['type']
  readonly who: string
  readonly where: string
  readonly at: number
  readonly note: string
}

type Named = Pick<ConsultDetail, 'events' | 'hospitalNames'>

/** Steps oldest first. The agent of a hospital acts without a person's name. */
export function timelineOf({ events, hospitalNames }: Named): readonly TimelineStep[] {
  return [...events]
    .sort((a, b) => a.revision - b.revision)
    .map((event) => ({
      key: `${event.taskId}:${event.revision}`,
      type: event.type,
      who: event.by.agent ? '' : event.by.name,
      where: hospitalNames[event.by.hospitalId] ?? event.by.hospitalId,
      at: event.at,
      note: event.reason ?? (event.type === 'images-arrived' && event.instanceCount !== undefined ? String(event.instanceCount) : ''),
    }))
}

export function hospitalName(task: Pick<ConsultDetail, 'hospitalNames'>, hospitalId: string | undefined): string {
  return hospitalId === undefined ? '' : (task.hospitalNames[hospitalId] ?? hospitalId)
}
