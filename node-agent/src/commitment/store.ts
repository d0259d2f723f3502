import { type Migration, type Queries } from 'service-kit'
import { type EpochMs, noteOf, type Problem, problemDetails, problemFromNote, type ProblemNote, type StorageCommitmentRow } from 'specs'
import { type CommitmentResult, type InstanceReference } from './transaction.ts'

export const commitmentMigrations: readonly Migration[] = [
  {
    name: '0001-storage-commitment',
    up: [
      // direction: 'given', somebody asked us; 'asked', we asked a node. instances and result are JSON.
      `CREATE TABLE storage_commitment (direction TEXT NOT NULL, transaction_uid TEXT NOT NULL, ae_title TEXT NOT NULL, remote_address TEXT NOT NULL, node_id TEXT,
        subject TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL, next_attempt_at BIGINT, instances TEXT NOT NULL, result TEXT, problem TEXT,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (direction, transaction_uid, ae_title))`,
      `CREATE INDEX storage_commitment_due ON storage_commitment (state, next_attempt_at)`,
    ],
  },
]

export type Direction = StorageCommitmentRow['direction']
export type CommitmentState = StorageCommitmentRow['state']

/** A transaction as it is worked on. */
export interface Commitment {
  readonly direction: Direction
  readonly transactionUid: string
  /** Who asked us, or whom we asked. */
  readonly aeTitle: string
  readonly remoteAddress: string
  readonly nodeId: string | null
  /** Whose words come back with the result, of those who asked for it. */
  readonly subject: string | null
  readonly state: CommitmentState
  readonly attempts: number
  readonly createdAt: EpochMs
  readonly instances: readonly InstanceReference[]
}

type Key = Pick<Commitment, 'direction' | 'transactionUid' | 'aeTitle'>
interface StoredCommitment extends Omit<Commitment, 'instances'> {
  readonly instances: string
}
const columns = `direction, transaction_uid AS "transactionUid", ae_title AS "aeTitle", remote_address AS "remoteAddress", node_id AS "nodeId", subject, state, attempts,
  created_at AS "createdAt", instances`
const commitmentOf = (row: StoredCommitment): Commitment => ({ ...row, instances: JSON.parse(row.instances) as InstanceReference[] }) // written below

/** The same transaction once more is due once more. */
export async function addCommitment(tx: Queries, added: Omit<Commitment, 'state' | 'attempts' | 'createdAt'>, now: EpochMs, dueAt = now): Promise<void> {
  const { direction, transactionUid, aeTitle, remoteAddress, nodeId, subject, instances } = added
  await tx.run(
    `INSERT INTO storage_commitment (direction, transaction_uid, ae_title, remote_address, node_id, subject, state, attempts, next_attempt_at, instances, result, problem, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, $8, NULL, NULL, $9, $9)
     ON CONFLICT (direction, transaction_uid, ae_title) DO UPDATE SET state = 'waiting', attempts = 0, next_attempt_at = $7, instances = $8, remote_address = $4, result = NULL, problem = NULL, updated_at = $9`,
    [direction, transactionUid, aeTitle, remoteAddress, nodeId, subject, dueAt, JSON.stringify(instances), now],
  )
}

export async function dueCommitments(db: Queries, now: EpochMs): Promise<Commitment[]> {
  const rows = await db.all<StoredCommitment>(
    `SELECT ${columns} FROM storage_commitment WHERE state IN ('waiting', 'retrying', 'awaiting') AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT 20`,
    [now],
  )
  return rows.map(commitmentOf)
}

export async function nextCommitmentAt(db: Queries): Promise<EpochMs | undefined> {
  const row = await db.get<{ at: number | null }>(`SELECT MIN(next_attempt_at) AS "at" FROM storage_commitment WHERE state IN ('waiting', 'retrying', 'awaiting')`)
  return row?.at ?? undefined
}

export async function findCommitment(db: Queries, key: { direction: Direction; transactionUid: string; aeTitle?: string | undefined }): Promise<Commitment | undefined> {
  const row = await db.get<StoredCommitment>(
    `SELECT ${columns} FROM storage_commitment WHERE direction = $1 AND transaction_uid = $2 ${key.aeTitle === undefined ? '' : 'AND ae_title = $3'}`,
    [key.direction, key.transactionUid, ...(key.aeTitle === undefined ? [] : [key.aeTitle])],
  )
  return row && commitmentOf(row)
}

export interface CommitmentChange {
  readonly state: CommitmentState
  readonly attempts: number
  readonly nextAttemptAt: EpochMs | null
  readonly result?: CommitmentResult | undefined
  readonly problem?: Problem | undefined
}

/** @param from the states in which the change is due. @returns whether it was made. */
export async function changeCommitment(tx: Queries, { direction, transactionUid, aeTitle }: Key, change: CommitmentChange, from: readonly CommitmentState[], now: EpochMs): Promise<boolean> {
  const counts = change.result && { committed: change.result.committed.length, failed: change.result.failed }
  const changed = await tx.run(
    `UPDATE storage_commitment SET state = $4, attempts = $5, next_attempt_at = $6, result = $7, problem = $8, updated_at = $9
     WHERE direction = $1 AND transaction_uid = $2 AND ae_title = $3 AND state IN (${from.map((_, index) => `$${index + 10}`).join(', ')})`,
    [direction, transactionUid, aeTitle, change.state, change.attempts, change.nextAttemptAt, counts ? JSON.stringify(counts) : null, change.problem ? JSON.stringify(noteOf(change.problem)) : null, now, ...from],
  )
  return changed === 1
}

interface ListedCommitment extends Omit<StorageCommitmentRow, 'instances' | 'committed' | 'failed' | 'problem'> {
  readonly instances: string
  readonly result: string | null
  readonly problem: string | null
}

/** Newest first. */
export async function listCommitments(db: Queries, { state, limit, after = 0 }: { state?: CommitmentState | undefined; limit: number; after?: number | undefined }) {
  const where = state === undefined ? '' : 'WHERE state = $1'
  const params = state === undefined ? [] : [state]
  const total = (await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM storage_commitment ${where}`, params))?.total ?? 0
  const rows = await db.all<ListedCommitment>(
    `SELECT direction, transaction_uid AS "transactionUid", ae_title AS "aeTitle", state, attempts, next_attempt_at AS "nextAttemptAt", instances, result, problem,
       created_at AS "createdAt", updated_at AS "updatedAt" FROM storage_commitment ${where}
     ORDER BY created_at DESC, transaction_uid LIMIT $${params.length + 1} OFFSET $${params.length + 2}`,
    [...params, limit, after],
  )
  return { rows: rows.map(rowOf), total, next: after + rows.length < total ? String(after + rows.length) : null }
}

function rowOf({ instances, result, problem, ...row }: ListedCommitment): StorageCommitmentRow {
  const counted = result === null ? undefined : (JSON.parse(result) as { committed: number; failed: unknown[] })
  const note = problem === null ? undefined : (JSON.parse(problem) as ProblemNote)
  return {
    ...row,
    instances: (JSON.parse(instances) as unknown[]).length,
    committed: counted?.committed ?? null,
    failed: counted?.failed.length ?? null,
    problem: note ? { code: note.code, title: problemDetails(problemFromNote(note)).title, facts: { ...note.facts } } : null,
  }
}

/** What has come to its end long ago is forgotten. */
export async function forgetCommitments(db: Queries, before: EpochMs): Promise<number> {
  return db.run(`DELETE FROM storage_commitment WHERE state IN ('done', 'failed') AND updated_at < $1`, [before])
}
