import type { Queries, Transaction } from 'service-kit'
import { SignedGrant, type EpochMs, type GrantId, type GrantKind, type HospitalId, type WithdrawnGrant } from 'specs'

/** What this hospital has given away, with what has become of it. */
export interface GivenGrant {
  readonly signed: SignedGrant
  readonly kind: GrantKind
  readonly personName: string | null
  readonly issuedAt: EpochMs
  readonly withdrawnAt: EpochMs | null
  readonly withdrawnBecause: string | null
}

type Row = Omit<GivenGrant, 'signed'> & { signed: string }
const columns = `signed, kind, person_name AS "personName", issued_at AS "issuedAt", withdrawn_at AS "withdrawnAt", withdrawn_because AS "withdrawnBecause"`
const givenOf = ({ signed, ...row }: Row): GivenGrant => ({ ...row, signed: SignedGrant.parse(JSON.parse(signed)) })

/** Newest first; `after` continues behind the last of the page before. */
export async function listGiven(db: Queries, { limit, after }: { limit: number; after?: { issuedAt: EpochMs; grantId: string } | undefined }): Promise<GivenGrant[]> {
  const further = after ? 'WHERE issued_at < $2 OR (issued_at = $2 AND grant_id > $3)' : ''
  const params = after ? [limit, after.issuedAt, after.grantId] : [limit]
  return (await db.all<Row>(`SELECT ${columns} FROM exam_grant ${further} ORDER BY issued_at DESC, grant_id LIMIT $1`, params)).map(givenOf)
}

export async function findGiven(db: Queries, grantId: GrantId): Promise<GivenGrant | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM exam_grant WHERE grant_id = $1`, [grantId])
  return row && givenOf(row)
}

export async function givenUnder(db: Queries, authorisationId: string): Promise<GivenGrant[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM exam_grant WHERE authorisation_id = $1`, [authorisationId])).map(givenOf)
}

export async function countsUnder(db: Queries, authorisationIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (authorisationIds.length === 0) return new Map()
  const rows = await db.all<{ id: string; total: number }>(
    `SELECT authorisation_id AS "id", COUNT(*) AS "total" FROM exam_grant WHERE authorisation_id IN (${authorisationIds.map((_id, at) => `$${at + 1}`).join(', ')}) GROUP BY authorisation_id`,
    authorisationIds,
  )
  return new Map(rows.map(({ id, total }) => [id, Number(total)]))
}

/** Ends one grant; a grant withdrawn before keeps its first time. Returns whether this ended it. */
export async function endGrant(tx: Transaction, grantId: GrantId, because: string, now: EpochMs): Promise<boolean> {
  return (await tx.run('UPDATE exam_grant SET withdrawn_at = $2, withdrawn_because = $3 WHERE grant_id = $1 AND withdrawn_at IS NULL', [grantId, now, because])) === 1
}

/** Of these, the ones that we have withdrawn, as far as `grantee` was named in them. What we never gave is told as ended, too. */
export async function withdrawnAmong(db: Queries, grantee: HospitalId, grantIds: readonly GrantId[], now: EpochMs): Promise<WithdrawnGrant[]> {
  const withdrawn: WithdrawnGrant[] = []
  for (const grantId of grantIds) {
    const given = await findGiven(db, grantId)
    if (given === undefined || !given.signed.grant.grantees.includes(grantee)) withdrawn.push({ grantId, withdrawnAt: now })
    else if (given.withdrawnAt !== null) withdrawn.push({ grantId, withdrawnAt: given.withdrawnAt })
  }
  return withdrawn
}
