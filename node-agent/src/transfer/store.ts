import { randomUUID } from 'node:crypto'
import type { Migration, Queries, Transaction } from 'service-kit'
import { Manifest, type EpochMs, type ProblemNote, type TaskId } from 'specs'
import type { TransferJob, TransferState, TransferWish } from './job.ts'

export const transferMigrations: readonly Migration[] = [
  {
    name: '0001-transfer',
    up: [
      `CREATE TABLE transfer (transfer_id TEXT PRIMARY KEY, region_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, owner TEXT NOT NULL, sources TEXT NOT NULL,
        signed_grant TEXT NOT NULL, purpose TEXT NOT NULL, state TEXT NOT NULL, instances_done INTEGER NOT NULL, instances_total INTEGER NOT NULL,
        bytes_done BIGINT NOT NULL, bytes_total BIGINT NOT NULL, attempts INTEGER NOT NULL, next_attempt_at BIGINT NOT NULL, started_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, opened_at BIGINT NOT NULL, problem TEXT, manifest TEXT, UNIQUE (owner, study_instance_uid))`,
      `CREATE INDEX transfer_state ON transfer (state, next_attempt_at)`,
      // Which tasks asked for it, and whether the region has been told that the images are here.
      `CREATE TABLE transfer_task (transfer_id TEXT NOT NULL, task_id TEXT NOT NULL, purpose TEXT NOT NULL, announced INTEGER NOT NULL, PRIMARY KEY (transfer_id, task_id))`,
      `CREATE INDEX transfer_task_task ON transfer_task (task_id)`,
    ],
  },
  { name: '0002-requester', up: ['ALTER TABLE transfer ADD COLUMN requester TEXT'] },
]

const columns = `transfer_id AS "transferId", region_id AS "regionId", study_instance_uid AS "studyInstanceUid", owner, sources, signed_grant AS "grant", purpose, state,
  instances_done AS "instancesDone", instances_total AS "instancesTotal", bytes_done AS "bytesDone", bytes_total AS "bytesTotal", attempts,
  next_attempt_at AS "nextAttemptAt", started_at AS "startedAt", updated_at AS "updatedAt", problem, requester`

type Row = Omit<TransferJob, 'sources' | 'grant' | 'problem' | 'requester'> & { sources: string; grant: string; problem: string | null; requester: string | null }
const jobOf = ({ sources, grant, problem, requester, ...row }: Row): TransferJob => ({
  ...row,
  sources: JSON.parse(sources) as TransferJob['sources'],
  grant: JSON.parse(grant) as TransferJob['grant'],
  problem: problem === null ? null : (JSON.parse(problem) as ProblemNote),
  requester: requester === null ? null : (JSON.parse(requester) as TransferJob['requester']),
})

/**
 * Asks for a study once. Repeated wishes for the same study share the transfer, take the newer grant and wake it when it
 * had ended; what is already here is not fetched again, because every run begins by comparing manifest and archive.
 */
export async function wishStudy(tx: Transaction, wish: TransferWish, now: EpochMs): Promise<string> {
  const row = await tx.get<{ transferId: string }>(
    `INSERT INTO transfer (transfer_id, region_id, study_instance_uid, owner, sources, signed_grant, purpose, state, instances_done, instances_total, bytes_done,
      bytes_total, attempts, next_attempt_at, started_at, updated_at, opened_at, requester)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, 0, 0, 0, 0, 0, $8, $8, $8, $9)
     ON CONFLICT (owner, study_instance_uid) DO UPDATE SET sources = excluded.sources, signed_grant = excluded.signed_grant, region_id = excluded.region_id,
      requester = COALESCE(excluded.requester, transfer.requester),
      purpose = CASE WHEN transfer.state = 'running' THEN transfer.purpose ELSE excluded.purpose END,
      state = CASE WHEN transfer.state = 'running' THEN 'running' ELSE 'waiting' END, attempts = 0, next_attempt_at = 0, problem = NULL, updated_at = $8
     RETURNING transfer_id AS "transferId"`,
    [
      randomUUID(),
      wish.regionId,
      wish.studyInstanceUid,
      wish.owner,
      JSON.stringify(wish.sources),
      JSON.stringify(wish.grant),
      wish.purpose,
      now,
      wish.requester === undefined ? null : JSON.stringify(wish.requester),
    ],
  )
  if (!row) throw new Error('the transfer was neither inserted nor found')
  if (wish.taskId === undefined) return row.transferId
  await tx.run(
    `INSERT INTO transfer_task (transfer_id, task_id, purpose, announced) VALUES ($1, $2, $3, 0)
     ON CONFLICT (transfer_id, task_id) DO UPDATE SET purpose = CASE WHEN transfer_task.purpose = 'pull' THEN excluded.purpose ELSE transfer_task.purpose END`,
    [row.transferId, wish.taskId, wish.purpose],
  )
  return row.transferId
}

export async function findJob(db: Queries, transferId: string): Promise<TransferJob | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM transfer WHERE transfer_id = $1`, [transferId])
  return row && jobOf(row)
}

export async function jobsOfStudy(db: Queries, studyInstanceUid: string): Promise<TransferJob[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM transfer WHERE study_instance_uid = $1`, [studyInstanceUid])).map(jobOf)
}

/** Newest first. */
export async function listJobs(db: Queries, limit: number, offset = 0): Promise<TransferJob[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM transfer ORDER BY updated_at DESC, transfer_id LIMIT $1 OFFSET $2`, [limit, offset])).map(jobOf)
}

/** Jobs that may start now, oldest wish first. */
export async function dueJobs(db: Queries, now: EpochMs): Promise<TransferJob[]> {
  return (
    await db.all<Row>(`SELECT ${columns} FROM transfer WHERE state = 'waiting' AND next_attempt_at <= $1 ORDER BY started_at LIMIT 50`, [
      now,
    ])
  ).map(jobOf)
}

export async function nextDueAt(db: Queries): Promise<EpochMs | null> {
  const row = await db.get<{ at: EpochMs | null }>(`SELECT MIN(next_attempt_at) AS "at" FROM transfer WHERE state = 'waiting'`)
  return row?.at ?? null
}

/** What the last process left running waits to be run again. */
export function requeueRunning(db: Queries): Promise<number> {
  return db.run(`UPDATE transfer SET state = 'waiting', next_attempt_at = 0 WHERE state = 'running'`)
}

/** Waiting jobs need not sit out their pause when the line is back. */
export function wakeWaiting(db: Queries): Promise<number> {
  return db.run(`UPDATE transfer SET next_attempt_at = 0 WHERE state = 'waiting'`)
}

export type JobChange = Partial<
  Pick<TransferJob, 'state' | 'instancesDone' | 'instancesTotal' | 'bytesDone' | 'bytesTotal' | 'attempts' | 'nextAttemptAt' | 'problem'>
>

const columnOf: Record<keyof JobChange, string> = {
  state: 'state',
  instancesDone: 'instances_done',
  instancesTotal: 'instances_total',
  bytesDone: 'bytes_done',
  bytesTotal: 'bytes_total',
  attempts: 'attempts',
  nextAttemptAt: 'next_attempt_at',
  problem: 'problem',
}

/** @param onlyFrom changes nothing unless the job is in one of these states, so a run cannot undo a cancellation. */
export async function changeJob(
  db: Queries,
  transferId: string,
  change: JobChange,
  onlyFrom: readonly TransferState[],
  now: EpochMs,
): Promise<boolean> {
  const params: (string | number | null)[] = [transferId, now]
  const assignments = Object.entries(change).map(([key, value]) => {
    params.push(value !== null && typeof value === 'object' ? JSON.stringify(value) : (value ?? null))
    return `${columnOf[key as keyof JobChange]} = $${params.length}`
  })
  const states = onlyFrom.map((state) => `$${params.push(state)}`)
  const changed = await db.run(
    `UPDATE transfer SET updated_at = $2, ${assignments.join(', ')} WHERE transfer_id = $1 AND state IN (${states.join(', ')})`,
    params,
  )
  return changed === 1
}

/** Kept until the study is complete, so that a case opens its series list while the owner is offline. */
export async function keepManifest(db: Queries, transferId: string, manifest: Manifest | null): Promise<void> {
  await db.run('UPDATE transfer SET manifest = $2 WHERE transfer_id = $1', [transferId, manifest && JSON.stringify(manifest)])
}

export async function keptManifest(db: Queries, transferId: string): Promise<Manifest | undefined> {
  const row = await db.get<{ manifest: string | null }>('SELECT manifest FROM transfer WHERE transfer_id = $1', [transferId])
  return row?.manifest ? Manifest.parse(JSON.parse(row.manifest)) : undefined
}

export async function noteOpened(db: Queries, studyInstanceUid: string, now: EpochMs): Promise<void> {
  await db.run('UPDATE transfer SET opened_at = $2 WHERE study_instance_uid = $1', [studyInstanceUid, now])
}

/** Finished transfers, least recently opened first: what the cache gives up when it is full. */
export function finishedByUse(db: Queries, leaves: 'least-recently-opened' | 'oldest-received' = 'least-recently-opened'): Promise<{ transferId: string; studyInstanceUid: string }[]> {
  return db.all(
    `SELECT transfer_id AS "transferId", study_instance_uid AS "studyInstanceUid" FROM transfer WHERE state = 'complete' ORDER BY ${leaves === 'oldest-received' ? 'started_at' : 'opened_at'}, transfer_id`,
  )
}

export async function forgetJob(tx: Transaction, transferId: string): Promise<void> {
  await tx.run('DELETE FROM transfer_task WHERE transfer_id = $1', [transferId])
  await tx.run('DELETE FROM transfer WHERE transfer_id = $1', [transferId])
}

/** Tasks whose images are complete here and of which the region has not been told. */
export function unannouncedTasks(db: Queries): Promise<{ transferId: string; taskId: TaskId; instanceCount: number; sizeBytes: number }[]> {
  return db.all(
    `SELECT t.transfer_id AS "transferId", k.task_id AS "taskId", t.instances_total AS "instanceCount", t.bytes_total AS "sizeBytes"
     FROM transfer t JOIN transfer_task k ON k.transfer_id = t.transfer_id WHERE t.state = 'complete' AND k.announced = 0 AND k.purpose <> 'pull'`,
  )
}

export async function markAnnounced(tx: Transaction, transferId: string, taskId: TaskId): Promise<void> {
  await tx.run('UPDATE transfer_task SET announced = 1 WHERE transfer_id = $1 AND task_id = $2', [transferId, taskId])
}

export async function jobsOfTask(db: Queries, taskId: TaskId): Promise<TransferJob[]> {
  return (
    await db.all<Row>(`SELECT ${columns} FROM transfer WHERE transfer_id IN (SELECT transfer_id FROM transfer_task WHERE task_id = $1)`, [
      taskId,
    ])
  ).map(jobOf)
}
