import type { Queries, SqlValue, Transaction } from 'service-kit'
import {
  ConsultAnswer,
  Problem,
  TimelineEvent,
  type ConsultEvent,
  type ConsultState,
  type EpochMs,
  type HospitalId,
  type MessageId,
  type TaskId,
} from 'specs'
import type { Task } from './task.ts'

export async function readTask(queries: Queries, taskId: TaskId): Promise<Task | undefined> {
  const row = await queries.get<{ task: string }>('SELECT task FROM consult_task WHERE task_id = $1', [taskId])
  return row && taskOf(row)
}

/**
 * Saves the task's next revision together with the event that led to it.
 *
 * @returns false when another process has saved this revision first; then nothing was written and the caller decides
 *   again on the newer task.
 */
export async function saveTask(tx: Transaction, task: Task, event: ConsultEvent): Promise<boolean> {
  const saved = task.revision === 1 ? await insertTask(tx, task) : await updateTask(tx, task)
  if (!saved) return false
  const { sealed, ...timeline } = event
  await tx.run('INSERT INTO consult_event (task_id, revision, event, sealed, sequenced_at) VALUES ($1, $2, $3, $4, $5)', [
    task.id,
    task.revision,
    JSON.stringify(timeline),
    sealed ?? null,
    event.sequencedAt,
  ])
  return true
}

async function insertTask(tx: Transaction, task: Task): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO consult_task (task_id, region_id, submitter, state, revision, task, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [task.id, task.regionId, task.submitter, task.state, task.revision, JSON.stringify(task), task.createdAt, task.updatedAt],
  )
  if (inserted === 0) return false
  for (const hospitalId of task.offeredTo) {
    await tx.run('INSERT INTO consult_offer (hospital_id, task_id) VALUES ($1, $2)', [hospitalId, task.id])
  }
  return true
}

async function updateTask(tx: Transaction, task: Task): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE consult_task SET state = $2, revision = $3, task = $4, updated_at = $5 WHERE task_id = $1 AND revision = $6',
    [task.id, task.state, task.revision, JSON.stringify(task), task.updatedAt, task.revision - 1],
  )
  return changed === 1
}

/** The time line, oldest first, without facts and sealed content (CON-01). */
export async function readTimeline(queries: Queries, taskId: TaskId): Promise<TimelineEvent[]> {
  const rows = await queries.all<{ event: string }>('SELECT event FROM consult_event WHERE task_id = $1 ORDER BY revision', [taskId])
  return rows.map(({ event }) => TimelineEvent.parse(JSON.parse(event)))
}

/** What this hospital's command was answered, if it came before. */
export async function readAnswer(queries: Queries, hospitalId: HospitalId, commandId: MessageId): Promise<ConsultAnswer | undefined> {
  const row = await queries.get<{ answer: string }>('SELECT answer FROM consult_command WHERE hospital_id = $1 AND command_id = $2', [
    hospitalId,
    commandId,
  ])
  return row && ConsultAnswer.parse(JSON.parse(row.answer))
}

export async function saveAnswer(tx: Transaction, hospitalId: HospitalId, answer: ConsultAnswer, now: EpochMs): Promise<void> {
  await tx.run('INSERT INTO consult_command (hospital_id, command_id, answer, answered_at) VALUES ($1, $2, $3, $4)', [
    hospitalId,
    answer.commandId,
    JSON.stringify(answer),
    now,
  ])
}

export interface TaskFilter {
  readonly state?: ConsultState | undefined
  readonly regionId?: string | undefined
  readonly submitter?: string | undefined
  /** Offered to this hospital, whether it took the task or not. */
  readonly processor?: string | undefined
  readonly limit: number
  /** `next` of the page before. */
  readonly after?: string | undefined
}

export interface TaskPage {
  readonly rows: readonly Task[]
  readonly total: number
  readonly next: string | null
}

/** Newest first, paged by key, so that a task arriving meanwhile neither repeats nor hides a row. */
export async function listTasks(queries: Queries, filter: TaskFilter): Promise<TaskPage> {
  const conditions: string[] = []
  const params: SqlValue[] = []
  const where = (condition: (place: string) => string, value: SqlValue | undefined) => {
    if (value === undefined) return
    params.push(value)
    conditions.push(condition(`$${params.length}`))
  }
  where((place) => `t.state = ${place}`, filter.state)
  where((place) => `t.region_id = ${place}`, filter.regionId)
  where((place) => `t.submitter = ${place}`, filter.submitter)
  where((place) => `EXISTS (SELECT 1 FROM consult_offer o WHERE o.task_id = t.task_id AND o.hospital_id = ${place})`, filter.processor)
  const counted = await queries.get<{ total: number }>(`SELECT COUNT(*) AS total FROM consult_task t ${whereClause(conditions)}`, params)

  if (filter.after !== undefined) {
    const { createdAt, taskId } = parseKey(filter.after)
    params.push(createdAt, taskId)
    const [at, id] = [`$${params.length - 1}`, `$${params.length}`]
    conditions.push(`(t.created_at < ${at} OR (t.created_at = ${at} AND t.task_id < ${id}))`)
  }
  params.push(filter.limit + 1)
  const rows = await queries.all<{ task: string }>(
    `SELECT t.task FROM consult_task t ${whereClause(conditions)} ORDER BY t.created_at DESC, t.task_id DESC LIMIT $${params.length}`,
    params,
  )
  const tasks = rows.slice(0, filter.limit).map(taskOf)
  const last = tasks.at(-1)
  return { rows: tasks, total: counted?.total ?? 0, next: rows.length > filter.limit && last ? `${last.createdAt}.${last.id}` : null }
}

const whereClause = (conditions: readonly string[]): string => (conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`)

function parseKey(text: string): { createdAt: EpochMs; taskId: string } {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(text)
  if (!match?.[1] || !match[2]) throw new Problem('request/invalid', { what: 'after' })
  return { createdAt: Number(match[1]), taskId: match[2] }
}

/** Written by us, in this shape, and nowhere else. */
const taskOf = (row: { task: string }): Task => JSON.parse(row.task) as Task
