import type { Migration, Queries, SqlValue, Transaction } from 'service-kit'
import { WitnessedCheckpoint, type AuditCheckpoint, type CrossViewing, type EpochMs, type HospitalId } from 'specs'

export const auditMigrations: readonly Migration[] = [
  {
    name: '0001-witness',
    up: [
      `CREATE TABLE witness_checkpoint (party TEXT NOT NULL, trail_id TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, received_at BIGINT NOT NULL,
        body TEXT NOT NULL, handed_to TEXT, PRIMARY KEY (party, trail_id, seq))`,
      'CREATE INDEX witness_checkpoint_newest ON witness_checkpoint (party, received_at)',
      // Both sides tell of one viewing: the row of each stays, since that they agree is part of the proof.
      `CREATE TABLE cross_viewing (event_id TEXT NOT NULL, reported_by TEXT NOT NULL, at BIGINT NOT NULL, received_at BIGINT NOT NULL, side TEXT NOT NULL,
        viewer TEXT NOT NULL, owner TEXT NOT NULL, actor_id TEXT NOT NULL, actor_name TEXT NOT NULL, action TEXT NOT NULL, outcome TEXT NOT NULL,
        study_uid TEXT, task_id TEXT, basis TEXT, authorisation_id TEXT, code TEXT, PRIMARY KEY (reported_by, event_id))`,
      'CREATE INDEX cross_viewing_at ON cross_viewing (at, event_id)',
      'CREATE INDEX cross_viewing_viewer ON cross_viewing (viewer, at)',
      'CREATE INDEX cross_viewing_owner ON cross_viewing (owner, at)',
      'CREATE INDEX cross_viewing_study ON cross_viewing (study_uid, at)',
    ],
  },
]

export async function newestCheckpoint(queries: Queries, party: string): Promise<AuditCheckpoint | undefined> {
  const row = await queries.get<{ body: string }>('SELECT body FROM witness_checkpoint WHERE party = $1 ORDER BY received_at DESC, seq DESC LIMIT 1', [party])
  return row && WitnessedCheckpoint.parse(JSON.parse(row.body)).checkpoint
}

export async function checkpointAt(queries: Queries, { party, trailId, seq }: AuditCheckpoint): Promise<{ hash: string } | undefined> {
  return queries.get<{ hash: string }>('SELECT hash FROM witness_checkpoint WHERE party = $1 AND trail_id = $2 AND seq = $3', [party, trailId, seq])
}

export async function keepCheckpoint(tx: Transaction, witnessed: WitnessedCheckpoint, handedTo: HospitalId | undefined): Promise<void> {
  const { party, trailId, seq, hash } = witnessed.checkpoint
  await tx.run(
    `INSERT INTO witness_checkpoint (party, trail_id, seq, hash, received_at, body, handed_to) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [party, trailId, seq, hash, witnessed.receivedAt, JSON.stringify(witnessed), handedTo ?? null],
  )
}

/** Newest first; of every party unless one is named. */
export async function listCheckpoints(queries: Queries, { party, limit }: { party?: string | undefined; limit: number }): Promise<WitnessedCheckpoint[]> {
  const rows = await queries.all<{ body: string }>(
    `SELECT body FROM witness_checkpoint ${party === undefined ? '' : 'WHERE party = $2'} ORDER BY received_at DESC, seq DESC LIMIT $1`,
    party === undefined ? [limit] : [limit, party],
  )
  return rows.map(({ body }) => WitnessedCheckpoint.parse(JSON.parse(body)))
}

export async function keepCrossViewing(tx: Transaction, event: CrossViewing, reportedBy: HospitalId, receivedAt: EpochMs): Promise<void> {
  await tx.run(
    `INSERT INTO cross_viewing (event_id, reported_by, at, received_at, side, viewer, owner, actor_id, actor_name, action, outcome, study_uid, task_id, basis, authorisation_id, code)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING`,
    [event.eventId, reportedBy, event.at, receivedAt, event.side, event.viewer, event.owner, event.actorId, event.actorName, event.action, event.outcome, event.studyInstanceUid, event.taskId, event.basis, event.authorisationId, event.code],
  ) // prettier-ignore
}

export interface CrossViewingFilter {
  readonly from?: EpochMs | undefined
  readonly until?: EpochMs | undefined
  readonly viewer?: string | undefined
  readonly owner?: string | undefined
  readonly actorId?: string | undefined
  readonly studyInstanceUid?: string | undefined
  readonly outcome?: string | undefined
  readonly after?: { at: EpochMs; eventId: string } | undefined
  readonly limit: number
}

export type StoredViewing = CrossViewing & { readonly reportedBy: string; readonly receivedAt: EpochMs }

/** Newest first, by key. */
export async function listCrossViewing(queries: Queries, filter: CrossViewingFilter): Promise<StoredViewing[]> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted: string[] = []
  const equal = (column: string, value: string | undefined) => value !== undefined && wanted.push(`${column} = ${bind(value)}`)
  equal('viewer', filter.viewer)
  equal('owner', filter.owner)
  equal('actor_id', filter.actorId)
  equal('study_uid', filter.studyInstanceUid)
  equal('outcome', filter.outcome)
  if (filter.from !== undefined) wanted.push(`at >= ${bind(filter.from)}`)
  if (filter.until !== undefined) wanted.push(`at < ${bind(filter.until)}`)
  if (filter.after) {
    const at = bind(filter.after.at)
    wanted.push(`(at < ${at} OR (at = ${at} AND event_id < ${bind(filter.after.eventId)}))`)
  }
  return queries.all<StoredViewing>(
    `SELECT event_id AS "eventId", reported_by AS "reportedBy", at, received_at AS "receivedAt", side, viewer, owner, actor_id AS "actorId",
      actor_name AS "actorName", action, outcome, study_uid AS "studyInstanceUid", task_id AS "taskId", basis, authorisation_id AS "authorisationId", code
     FROM cross_viewing ${wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`} ORDER BY at DESC, event_id DESC LIMIT ${bind(filter.limit)}`,
    params,
  )
}
