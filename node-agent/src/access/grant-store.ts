import { kindOfGrant, SignedGrant, type EpochMs, type GrantId, type TaskId } from 'specs'
import type { Migration, Queries, Transaction } from 'service-kit'
import type { GrantStanding } from './grant.ts'

/** Grants this hospital has given: the owner's own table, asked at every piece another hospital fetches. */
export const grantMigrations: readonly Migration[] = [
  {
    name: '0001-grant',
    up: [
      `CREATE TABLE exam_grant (grant_id TEXT PRIMARY KEY, task_id TEXT, region_id TEXT NOT NULL, signed TEXT NOT NULL,
        issued_at BIGINT NOT NULL, expires BIGINT NOT NULL, withdrawn_at BIGINT, withdrawn_because TEXT)`,
      `CREATE INDEX exam_grant_task ON exam_grant (task_id)`,
    ],
  },
  {
    name: '0002-kinds',
    up: [
      `ALTER TABLE exam_grant ADD COLUMN kind TEXT NOT NULL DEFAULT 'task'`,
      'ALTER TABLE exam_grant ADD COLUMN authorisation_id TEXT',
      'ALTER TABLE exam_grant ADD COLUMN person_name TEXT',
      'CREATE INDEX exam_grant_authorisation ON exam_grant (authorisation_id)',
      'CREATE INDEX exam_grant_issued ON exam_grant (issued_at, grant_id)',
    ],
  },
]

export async function rememberGrant(tx: Transaction, signed: SignedGrant, regionId: string, now: EpochMs, personName?: string): Promise<void> {
  const { grant } = signed
  await tx.run('INSERT INTO exam_grant (grant_id, task_id, region_id, signed, issued_at, expires, kind, authorisation_id, person_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
    grant.grantId,
    grant.taskId ?? null,
    regionId,
    JSON.stringify(signed),
    now,
    grant.expires,
    kindOfGrant(grant),
    grant.authorisationId ?? null,
    personName ?? null,
  ])
}

/** Withdraws every grant of a task; a grant withdrawn before keeps its first time. */
export function withdrawGrants(tx: Transaction, taskId: TaskId, because: string, now: EpochMs): Promise<number> {
  return tx.run('UPDATE exam_grant SET withdrawn_at = $2, withdrawn_because = $3 WHERE task_id = $1 AND withdrawn_at IS NULL', [
    taskId,
    now,
    because,
  ])
}

export async function standingOf(db: Queries, grantId: GrantId): Promise<GrantStanding> {
  const row = await db.get<{ withdrawnAt: EpochMs | null }>('SELECT withdrawn_at AS "withdrawnAt" FROM exam_grant WHERE grant_id = $1', [
    grantId,
  ])
  return row === undefined ? { issued: false } : { issued: true, withdrawnAt: row.withdrawnAt }
}

/** The grant as it was signed, undefined if it was never given. */
export async function grantOf(db: Queries, grantId: GrantId): Promise<SignedGrant | undefined> {
  const row = await db.get<{ signed: string }>('SELECT signed FROM exam_grant WHERE grant_id = $1', [grantId])
  return row && SignedGrant.parse(JSON.parse(row.signed))
}
