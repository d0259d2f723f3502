import type { Queries, Transaction } from 'service-kit'
import { CarePurpose, Grantees, HospitalId, parseWith, SharedScope, type ConsentForm, type EpochMs } from 'specs'
import { z } from 'zod'

export const ConsentScope = SharedScope.omit({ patientId: true, studyInstanceUids: true })

/** A consent as it is kept; `patient` is sealed, the indices are keyed. */
export interface KeptConsent {
  readonly consentId: string
  readonly direction: 'give' | 'receive'
  readonly patient: string
  readonly idCardIndex: string
  readonly personIndex: string
  /** Of this hospital's register, for `give`. */
  readonly patientId: string
  readonly recordedHospital: HospitalId
  readonly recordedAt: EpochMs
  readonly recordedBy: string
  readonly recordedName: string
  readonly textVersion: string
  readonly form: ConsentForm
  readonly grantees: Grantees
  readonly purposes: readonly CarePurpose[]
  readonly scope: z.output<typeof ConsentScope>
  readonly expires: EpochMs
  readonly authorisationId: string | null
  readonly codeIndex: string | null
  readonly codeExpires: EpochMs | null
  readonly redeemedBy: string | null
  readonly withdrawnAt: EpochMs | null
}

type Row = Omit<KeptConsent, 'grantees' | 'purposes' | 'scope'> & { grantees: string; purposes: string; scope: string }

const columns = `consent_id AS "consentId", direction, patient, id_card_index AS "idCardIndex", person_index AS "personIndex", patient_id AS "patientId",
  recorded_hospital AS "recordedHospital", recorded_at AS "recordedAt", recorded_by AS "recordedBy", recorded_name AS "recordedName", text_version AS "textVersion",
  form, grantees, purposes, scope, expires, authorisation_id AS "authorisationId", code_index AS "codeIndex", code_expires AS "codeExpires",
  redeemed_by AS "redeemedBy", withdrawn_at AS "withdrawnAt"`

const consentOf = ({ grantees, purposes, scope, ...row }: Row): KeptConsent => ({
  ...row,
  grantees: parseWith(Grantees.or(z.array(HospitalId)), JSON.parse(grantees), 'grantees'),
  purposes: parseWith(z.array(CarePurpose), JSON.parse(purposes), 'purposes'),
  scope: parseWith(ConsentScope, JSON.parse(scope), 'scope'),
})

export async function keepConsent(tx: Transaction, consent: KeptConsent): Promise<void> {
  const { grantees, purposes, scope } = consent
  await tx.run(
    `INSERT INTO consent (consent_id, direction, patient, id_card_index, person_index, patient_id, recorded_hospital, recorded_at, recorded_by, recorded_name,
      text_version, form, grantees, purposes, scope, expires, authorisation_id, code_index, code_expires)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
    [
      consent.consentId,
      consent.direction,
      consent.patient,
      consent.idCardIndex,
      consent.personIndex,
      consent.patientId,
      consent.recordedHospital,
      consent.recordedAt,
      consent.recordedBy,
      consent.recordedName,
      consent.textVersion,
      consent.form,
      JSON.stringify(grantees),
      JSON.stringify(purposes),
      JSON.stringify(scope),
      consent.expires,
      consent.authorisationId,
      consent.codeIndex,
      consent.codeExpires,
    ],
  )
}

export async function findConsent(db: Queries, consentId: string): Promise<KeptConsent | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM consent WHERE consent_id = $1`, [consentId])
  return row && consentOf(row)
}

export async function findConsentByCode(db: Queries, codeIndex: string): Promise<KeptConsent | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM consent WHERE code_index = $1`, [codeIndex])
  return row && consentOf(row)
}

/** Newest first. */
export async function listConsents(db: Queries, limit: number): Promise<KeptConsent[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM consent ORDER BY recorded_at DESC, consent_id LIMIT $1`, [limit])).map(consentOf)
}

/** Consents recorded here by which this patient lets other hospitals give us exams. */
export async function receivingConsents(db: Queries, { idCardIndex, personIndex }: Pick<KeptConsent, 'idCardIndex' | 'personIndex'>, now: EpochMs): Promise<KeptConsent[]> {
  const rows = await db.all<Row>(
    `SELECT ${columns} FROM consent WHERE direction = 'receive' AND withdrawn_at IS NULL AND expires > $3
     AND ((id_card_index <> '' AND id_card_index = $1) OR (person_index <> '' AND person_index = $2)) ORDER BY recorded_at DESC LIMIT 10`,
    [idCardIndex, personIndex, now],
  )
  return rows.map(consentOf)
}

/** A code is good once. Returns whether this used it. */
export async function markRedeemed(tx: Transaction, consentId: string, by: HospitalId, authorisationId: string, now: EpochMs): Promise<boolean> {
  const sql = `UPDATE consent SET redeemed_by = $2, redeemed_at = $4, authorisation_id = $3, grantees = $5
    WHERE consent_id = $1 AND redeemed_by IS NULL AND withdrawn_at IS NULL`
  return (await tx.run(sql, [consentId, by, authorisationId, now, JSON.stringify([by])])) === 1
}

export async function markConsentWithdrawn(tx: Transaction, consentId: string, by: string, because: string, now: EpochMs): Promise<boolean> {
  const sql = 'UPDATE consent SET withdrawn_at = $2, withdrawn_name = $3, withdrawn_because = $4 WHERE consent_id = $1 AND withdrawn_at IS NULL'
  return (await tx.run(sql, [consentId, now, by, because])) === 1
}

/** A hospital that is shown the consent must hear of its withdrawal. */
export async function noteShown(tx: Transaction, consentId: string, hospital: HospitalId): Promise<void> {
  await tx.run('INSERT INTO consent_shown (consent_id, hospital, attempts, next_at) VALUES ($1, $2, 0, 0) ON CONFLICT DO NOTHING', [consentId, hospital])
}

export async function oweConsentNotices(tx: Transaction, consentId: string, now: EpochMs): Promise<void> {
  await tx.run('UPDATE consent_shown SET withdrawn_at = $2, next_at = $2 WHERE consent_id = $1', [consentId, now])
}

export interface ConsentNotice {
  readonly consentId: string
  readonly hospital: HospitalId
  readonly withdrawnAt: EpochMs
  readonly attempts: number
}

export function owedConsentNotices(db: Queries, now: EpochMs): Promise<ConsentNotice[]> {
  return db.all<ConsentNotice>(
    `SELECT consent_id AS "consentId", hospital, withdrawn_at AS "withdrawnAt", attempts FROM consent_shown
     WHERE withdrawn_at IS NOT NULL AND confirmed_at IS NULL AND next_at <= $1 ORDER BY next_at LIMIT 100`,
    [now],
  )
}

export async function settleConsentNotice(db: Queries, { consentId, hospital, attempts }: ConsentNotice, result: { confirmedAt: EpochMs } | { nextAt: EpochMs }): Promise<void> {
  if ('confirmedAt' in result) await db.run('UPDATE consent_shown SET confirmed_at = $3 WHERE consent_id = $1 AND hospital = $2', [consentId, hospital, result.confirmedAt])
  else await db.run('UPDATE consent_shown SET attempts = $3, next_at = $4 WHERE consent_id = $1 AND hospital = $2', [consentId, hospital, attempts + 1, result.nextAt])
}
