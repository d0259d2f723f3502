import type { Queries, Transaction } from 'service-kit'
import type { ConsultStep, EpochMs, HospitalId, MessageId, TaskId } from 'specs'

/**
 * A hub restored from a backup has lost its latest work. Nothing of it is lost for good: every command comes again from its author's outbox,
 * under its author's signature. What only the hub knew is the order in which it had put the commands of different hospitals; that the nodes
 * remember from the events they heard. So each command waits for its former place and is decided there, at its former time: the ledger
 * becomes what it was, and what nodes have shown to people stays true.
 */
export interface Turn {
  /** `now`: its turn. `early`: others were before it and have not come again. `new`: it was never put anywhere. */
  readonly kind: 'now' | 'early' | 'new'
  /** When it had been given its place. */
  readonly sequencedAt?: EpochMs
}

/** Keeps what a node remembers and our ledger does not have. The first to tell counts. @returns how many steps were new. */
export async function keepOrder(tx: Transaction, steps: readonly ConsultStep[], now: EpochMs): Promise<number> {
  let kept = 0
  for (const { taskId, revision, commandId, sequencedAt } of steps) {
    const held = await tx.get<{ revision: number }>('SELECT revision FROM consult_task WHERE task_id = $1', [taskId])
    if (revision <= (held?.revision ?? 0)) continue
    kept += await tx.run(
      'INSERT INTO consult_order (task_id, revision, command_id, sequenced_at, told_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
      [taskId, revision, commandId, sequencedAt, now],
    )
  }
  return kept
}

/** Of whom to ask from when: a day before our newest step, because clocks and backups are not exact. */
export async function newestStepAt(queries: Queries): Promise<EpochMs> {
  const row = await queries.get<{ at: number | null }>('SELECT MAX(sequenced_at) AS "at" FROM consult_event')
  return row?.at ?? 0
}

/** @param revision As the task is in our ledger, 0 when it is not there. */
export async function turnOf(queries: Queries, taskId: TaskId, commandId: MessageId, revision: number): Promise<Turn> {
  const outstanding = await queries.all<{ revision: number; commandId: MessageId; sequencedAt: number }>(
    'SELECT revision, command_id AS "commandId", sequenced_at AS "sequencedAt" FROM consult_order WHERE task_id = $1 AND revision > $2 ORDER BY revision',
    [taskId, revision],
  )
  const [next] = outstanding
  if (!next) return { kind: 'new' }
  if (next.commandId === commandId && next.revision === revision + 1) return { kind: 'now', sequencedAt: next.sequencedAt }
  return { kind: 'early' }
}

/** The order up to here has been followed, or can be followed no more: then all of it is forgotten. */
export async function forgetOrder(tx: Transaction, taskId: TaskId, upTo = Number.MAX_SAFE_INTEGER): Promise<void> {
  await tx.run('DELETE FROM consult_order WHERE task_id = $1 AND revision <= $2', [taskId, upTo])
}

export async function keepEarly(tx: Transaction, hospitalId: HospitalId, command: { commandId: MessageId; taskId: TaskId }, now: EpochMs): Promise<void> {
  await tx.run('INSERT INTO consult_early (hospital_id, command_id, task_id, command, came_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', [
    hospitalId,
    command.commandId,
    command.taskId,
    JSON.stringify(command),
    now,
  ])
}

/** Takes out every command that waited for this task, in the order of their coming; those whose turn it is not yet are kept again. */
export async function takeEarly(tx: Transaction, taskId: TaskId): Promise<{ hospitalId: HospitalId; command: unknown }[]> {
  const rows = await tx.all<{ hospitalId: HospitalId; command: string }>(
    'SELECT hospital_id AS "hospitalId", command FROM consult_early WHERE task_id = $1 ORDER BY came_at, command_id',
    [taskId],
  )
  if (rows.length > 0) await tx.run('DELETE FROM consult_early WHERE task_id = $1', [taskId])
  return rows.map(({ hospitalId, command }) => ({ hospitalId, command: JSON.parse(command) as unknown }))
}

/** Tasks of which something has been waited for since before then: its author is not coming back, so the others shall not wait for ever. */
export async function tasksWaitingSince(queries: Queries, before: EpochMs): Promise<TaskId[]> {
  const rows = await queries.all<{ taskId: TaskId }>(
    'SELECT DISTINCT task_id AS "taskId" FROM consult_order WHERE told_at < $1 UNION SELECT DISTINCT task_id FROM consult_early WHERE came_at < $1',
    [before],
  )
  return rows.map(({ taskId }) => taskId)
}
