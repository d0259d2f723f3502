import type { Queries, Transaction } from 'service-kit'
import { SignedGrant, type EpochMs, type Grant, type GrantId, type GrantKind, type HospitalId, type StudyInstanceUid, type UserId } from 'specs'
import type { HeldGrant } from '../access/shared.ts'

/** A grant that another hospital gave to one of our people. */
export interface KeptGrant extends HeldGrant {
  readonly signed: SignedGrant
  readonly study: StudyInstanceUid
  readonly reason: string
  /** Sealed ExamSnapshot. */
  readonly exam: string
  readonly givenAt: EpochMs
}

interface Row {
  readonly signed: string
  readonly person: UserId
  readonly reason: string
  readonly exam: string
  readonly givenAt: EpochMs
  readonly withdrawnAt: EpochMs | null
}

const select = `SELECT h.signed, h.person_id AS "person", h.reason, h.exam, h.given_at AS "givenAt", w.withdrawn_at AS "withdrawnAt"
  FROM held_grant h LEFT JOIN foreign_withdrawal w ON w.owner = h.owner AND w.grant_id = h.grant_id`

function keptOf({ signed, ...row }: Row): KeptGrant {
  const parsed = SignedGrant.parse(JSON.parse(signed))
  const { grantId, owner, studyInstanceUids, kind, purpose, expires } = parsed.grant
  return { ...row, signed: parsed, grantId, owner, studyInstanceUids, study: studyInstanceUids[0]!, kind: kind ?? 'task', purpose, expires }
}

export async function keepGrant(tx: Transaction, { signed, person, reason, exam, now }: { signed: SignedGrant; person: UserId; reason: string; exam: string; now: EpochMs }): Promise<void> {
  const { grantId, owner, studyInstanceUids, kind, purpose, expires } = signed.grant
  await tx.run(
    `INSERT INTO held_grant (grant_id, owner, person_id, study_instance_uid, kind, purpose, reason, signed, exam, given_at, expires)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [grantId, owner, person, studyInstanceUids[0]!, (kind ?? 'task') satisfies GrantKind, purpose, reason, JSON.stringify(signed), exam, now, expires],
  )
}

/** Oldest first: the last is what counts when none is valid. */
export async function heldForStudy(db: Queries, study: string): Promise<KeptGrant[]> {
  return (await db.all<Row>(`${select} WHERE h.study_instance_uid = $1 ORDER BY h.given_at, h.grant_id`, [study])).map(keptOf)
}

/** Newest first. */
export async function heldByPerson(db: Queries, person: string, limit: number): Promise<KeptGrant[]> {
  return (await db.all<Row>(`${select} WHERE h.person_id = $1 ORDER BY h.given_at DESC, h.grant_id LIMIT $2`, [person, limit])).map(keptOf)
}

export async function findHeld(db: Queries, owner: HospitalId, grantId: GrantId): Promise<KeptGrant | undefined> {
  const row = await db.get<Row>(`${select} WHERE h.owner = $1 AND h.grant_id = $2`, [owner, grantId])
  return row && keptOf(row)
}

/** Not ended, as far as we know. */
export async function liveHeld(db: Queries, now: EpochMs): Promise<Pick<Grant, 'grantId' | 'owner'>[]> {
  return db.all(
    `SELECT h.grant_id AS "grantId", h.owner FROM held_grant h WHERE h.expires > $1
     AND NOT EXISTS (SELECT 1 FROM foreign_withdrawal w WHERE w.owner = h.owner AND w.grant_id = h.grant_id)`,
    [now],
  )
}

/** Studies with a grant that ended by itself in this time. */
export function endedBetween(db: Queries, from: EpochMs, until: EpochMs): Promise<{ owner: HospitalId; study: StudyInstanceUid }[]> {
  return db.all('SELECT DISTINCT owner, study_instance_uid AS "study" FROM held_grant WHERE expires > $1 AND expires <= $2', [from, until])
}

/** Returns whether it is news. */
export async function keepWithdrawal(tx: Transaction, owner: HospitalId, grantId: GrantId, withdrawnAt: EpochMs, now: EpochMs): Promise<boolean> {
  const sql = 'INSERT INTO foreign_withdrawal (owner, grant_id, withdrawn_at, told_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING'
  return (await tx.run(sql, [owner, grantId, withdrawnAt, now])) === 1
}

export async function withdrawalOf(db: Queries, owner: HospitalId, grantId: GrantId): Promise<EpochMs | undefined> {
  return (await db.get<{ at: EpochMs }>('SELECT withdrawn_at AS "at" FROM foreign_withdrawal WHERE owner = $1 AND grant_id = $2', [owner, grantId]))?.at
}

/** The study was destroyed where it belongs. */
export function forgetHeld(db: Queries, owner: HospitalId, study: StudyInstanceUid): Promise<number> {
  return db.run('DELETE FROM held_grant WHERE owner = $1 AND study_instance_uid = $2', [owner, study])
}
