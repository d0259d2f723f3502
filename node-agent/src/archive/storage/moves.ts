import type { Database, Queries } from 'service-kit'
import type { StorageMove } from 'specs'
import { notIn } from './copies.ts'

export type MoveKind = StorageMove['kind']

/** Asked again it begins anew; one that is being worked on is not lost, because it ends only if nobody has asked since. */
export const enqueue = (db: Queries, study: string, storeId: string, kind: MoveKind, askedBy: string, now = Date.now()): Promise<number> =>
  db.run(
    `INSERT INTO archive_move (study_instance_uid, store_id, kind, asked_at, asked_by, not_before, attempts, fault) VALUES ($1, $2, $3, $4, $5, 0, 0, '')
     ON CONFLICT (study_instance_uid, store_id, kind) DO UPDATE SET asked_at = excluded.asked_at, asked_by = excluded.asked_by, not_before = 0`,
    [study, storeId, kind, now, askedBy],
  )

const columns = `study_instance_uid AS "studyInstanceUid", store_id AS "storeId", kind, asked_at AS "askedAt", asked_by AS "askedBy", not_before AS "notBefore", attempts, fault`

/** What somebody waits for goes first; the rest in the order of asking. */
export async function nextMove(db: Queries, now: number, without: readonly string[]): Promise<StorageMove | undefined> {
  const due = `not_before <= $1${notIn(without, 2)}`
  return (
    (await db.get<StorageMove>(`SELECT ${columns} FROM archive_move WHERE kind IN ('recall', 'home') AND ${due} LIMIT 1`, [now, ...without])) ??
    (await db.get<StorageMove>(`SELECT ${columns} FROM archive_move WHERE ${due} ORDER BY not_before, asked_at LIMIT 1`, [now, ...without]))
  )
}

export const listMoves = (db: Queries, limit: number): Promise<StorageMove[]> => db.all<StorageMove>(`SELECT ${columns} FROM archive_move ORDER BY asked_at LIMIT ${limit}`)

export const endMove = (db: Queries, { studyInstanceUid, storeId, kind, askedAt }: StorageMove): Promise<number> =>
  db.run('DELETE FROM archive_move WHERE study_instance_uid = $1 AND store_id = $2 AND kind = $3 AND asked_at = $4', [studyInstanceUid, storeId, kind, askedAt])

const FIRST_WAIT_MS = 2_000
const LONGEST_WAIT_MS = 600_000

export const postponeMove = (db: Queries, move: StorageMove, fault: string, now: number): Promise<number> =>
  db.run('UPDATE archive_move SET attempts = attempts + 1, fault = $1, not_before = $2 WHERE study_instance_uid = $3 AND store_id = $4 AND kind = $5', [
    fault, now + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(move.attempts, 10)), move.studyInstanceUid, move.storeId, move.kind,
  ]) // prettier-ignore

export interface WaitingAtStore {
  readonly storeId: string
  readonly waiting: number
  readonly waitingSince: number
  readonly fault: string
}

export const waitingByStore = (db: Database): Promise<WaitingAtStore[]> =>
  db.all(
    `SELECT store_id AS "storeId", COUNT(*) AS "waiting", MIN(asked_at) AS "waitingSince", MAX(fault) AS "fault" FROM archive_move WHERE kind IN ('tier', 'replica') GROUP BY store_id`,
  )
