import { StudyInstanceUid, TaskId } from 'specs'

/** What the page was opened for. */
export interface RoomAddress {
  readonly study: string
  readonly task: string | undefined
  readonly series: string | undefined
  readonly instance: string | undefined
}

/** Reads `?study=…&task=…&series=…&instance=…`; `undefined` without a proper study, and a crooked task is no task. */
export function parseAddress(search: string): RoomAddress | undefined {
  const query = new URLSearchParams(search)
  const study = StudyInstanceUid.safeParse(query.get('study') ?? '')
  if (!study.success) return undefined
  const task = TaskId.safeParse(query.get('task') ?? '')
  return {
    study: study.data,
    task: task.success ? task.data : undefined,
    series: query.get('series') || undefined,
    instance: query.get('instance') || undefined,
  }
}
