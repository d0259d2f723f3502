import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { randomBytes, sm3Hex } from 'pki'
import type { Migration, Queries, Transaction } from 'service-kit'
import { Problem, type EpochMs, type PatientToken } from 'specs'

export const patientTokenMigrations: readonly Migration[] = [
  {
    name: '0001-patient-token',
    up: [
      `CREATE TABLE patient_token (token_id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, patient_id TEXT NOT NULL, exam_id TEXT NOT NULL,
        issued_by TEXT NOT NULL, issued_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, revoked_at BIGINT)`,
    ],
  },
]

const PREFIX = 'pt_'
const digestOf = (token: string) => sm3Hex(Buffer.from(token, 'utf8'))

/** Opaque, 192 bits; only its digest is kept, so it is shown this once. It never contains whom it is for. */
export async function issuePatientToken(
  tx: Transaction,
  of: { patientId: string; examId: string; issuedBy: string },
  { now, validMs }: { now: EpochMs; validMs: number },
): Promise<PatientToken> {
  const token = PREFIX + Buffer.from(randomBytes(24)).toString('base64url')
  const [tokenId, expiresAt] = [randomUUID(), now + validMs]
  await tx.run('INSERT INTO patient_token (token_id, digest, patient_id, exam_id, issued_by, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
    tokenId, digestOf(token), of.patientId, of.examId, of.issuedBy, now, expiresAt,
  ]) // prettier-ignore
  return { tokenId, token, expiresAt }
}

/** The exam that a token was given for, also of one that has ended. */
export async function examOfPatientToken(db: Queries, tokenId: string): Promise<string | undefined> {
  return (await db.get<{ examId: string }>('SELECT exam_id AS "examId" FROM patient_token WHERE token_id = $1', [tokenId]))?.examId
}

/** @returns Whether there was one in force. */
export async function revokePatientToken(tx: Transaction, tokenId: string, now: EpochMs): Promise<boolean> {
  return (await tx.run('UPDATE patient_token SET revoked_at = $2 WHERE token_id = $1 AND revoked_at IS NULL', [tokenId, now])) === 1
}

/** Who it is that shows this token. One answer for unknown, expired and revoked. @throws {Problem} access/not-signed-in */
export async function patientOf(db: Queries, authorization: string | undefined, now: EpochMs): Promise<{ tokenId: string; patientId: string }> {
  const token = /^Bearer (pt_[\w-]{32})$/.exec(authorization ?? '')?.[1]
  const found =
    token === undefined
      ? undefined
      : await db.get<{ tokenId: string; patientId: string }>(
          'SELECT token_id AS "tokenId", patient_id AS "patientId" FROM patient_token WHERE digest = $1 AND revoked_at IS NULL AND expires_at > $2',
          [digestOf(token), now],
        )
  if (!found) throw new Problem('access/not-signed-in')
  return found
}
