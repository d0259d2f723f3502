import type { Queries, Transaction } from 'service-kit'
import { Authorisation, type EpochMs, type HospitalId } from 'specs'

interface Row {
  readonly body: string
  readonly withdrawnAt: EpochMs | null
  readonly withdrawnBy: string | null
  readonly withdrawnBecause: string | null
  readonly consentId: string | null
}

const columns = 'body, withdrawn_at AS "withdrawnAt", withdrawn_by AS "withdrawnBy", withdrawn_because AS "withdrawnBecause", consent_id AS "consentId"'

export type KeptAuthorisation = Authorisation & { readonly consentId: string | null }

const authorisationOf = ({ body, withdrawnAt, withdrawnBy, withdrawnBecause, consentId }: Row): KeptAuthorisation => {
  const withdrawn = withdrawnAt === null ? null : { at: withdrawnAt, by: withdrawnBy ?? '', reason: withdrawnBecause ?? '' }
  return { ...Authorisation.parse({ ...(JSON.parse(body) as object), withdrawn }), consentId }
}

/** @returns false when the consent it rests on is entered already. */
export async function keepAuthorisation(tx: Transaction, { withdrawn: _none, ...authorisation }: Authorisation, consentId: string | null): Promise<boolean> {
  const { authorisationId, kind, scope, issuedAt, expires } = authorisation
  const entered = await tx.run(
    `INSERT INTO authorisation (authorisation_id, kind, patient_id, consent_id, body, issued_at, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (consent_id) DO NOTHING`,
    [authorisationId, kind, scope.patientId, consentId, JSON.stringify(authorisation), issuedAt, expires],
  )
  return entered === 1
}

/** All that speak of one of these patients or of nobody in particular, and hold now. */
export async function authorisationsFor(db: Queries, patientIds: readonly string[], now: EpochMs): Promise<Authorisation[]> {
  const among = ['', ...patientIds]
  const rows = await db.all<Row>(
    `SELECT ${columns} FROM authorisation WHERE withdrawn_at IS NULL AND expires > $1 AND patient_id IN (${among.map((_id, at) => `$${at + 2}`).join(', ')})`,
    [now, ...among],
  )
  return rows.map(authorisationOf)
}

export async function findAuthorisation(db: Queries, authorisationId: string): Promise<KeptAuthorisation | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM authorisation WHERE authorisation_id = $1`, [authorisationId])
  return row && authorisationOf(row)
}

/** A consent may speak of several numbers of one patient: one authorisation each. */
export const consentKey = (recordedAt: HospitalId, consentId: string, patientId: string) => `${recordedAt}/${consentId}/${patientId}`

/** Those of a consent that nobody has withdrawn. */
export async function authorisationsOfConsent(db: Queries, recordedAt: HospitalId, consentId: string): Promise<KeptAuthorisation[]> {
  // Neither identifier can hold a wildcard.
  const rows = await db.all<Row>(`SELECT ${columns} FROM authorisation WHERE consent_id LIKE $1 AND withdrawn_at IS NULL`, [`${consentKey(recordedAt, consentId, '')}%`])
  return rows.map(authorisationOf)
}

/** Newest first. */
export async function listAuthorisations(db: Queries, limit: number): Promise<KeptAuthorisation[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM authorisation ORDER BY issued_at DESC, authorisation_id LIMIT $1`, [limit])).map(authorisationOf)
}

/** Returns whether this is what ended it. */
export async function markWithdrawn(tx: Transaction, authorisationId: string, by: string, because: string, now: EpochMs): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE authorisation SET withdrawn_at = $2, withdrawn_by = $3, withdrawn_because = $4 WHERE authorisation_id = $1 AND withdrawn_at IS NULL',
    [authorisationId, now, by, because],
  )
  return changed === 1
}
