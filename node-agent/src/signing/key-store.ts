import type { Migration, Queries, Transaction } from 'service-kit'
import type { EpochMs, RegionId, RevocationReasonName } from 'specs'

export const signingMigrations: readonly Migration[] = [
  {
    name: '0001-signing-key',
    up: [
      // The key is encrypted under what its owner knows, and that once more sealed by the vault: neither alone opens it.
      `CREATE TABLE signing_key (key_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, region_id TEXT NOT NULL, sealed_key TEXT NOT NULL, created_at BIGINT NOT NULL,
        certificate_chain TEXT, serial TEXT, name TEXT NOT NULL, title TEXT NOT NULL, expires BIGINT, ended_at BIGINT, end_reason TEXT, end_told INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0, locked_until BIGINT NOT NULL DEFAULT 0)`,
      'CREATE INDEX signing_key_of_user ON signing_key (user_id, region_id, ended_at)',
      'CREATE UNIQUE INDEX signing_key_serial ON signing_key (serial)',
    ],
  },
]

/** A doctor's key as it is kept. */
export interface SigningKeyRow {
  readonly keyId: string
  readonly userId: string
  readonly regionId: RegionId
  /** Vault-sealed PKCS#8, itself encrypted with SM4 under the owner's secret. */
  readonly sealedKey: string
  readonly createdAt: EpochMs
  readonly certificateChain: readonly string[] | null
  readonly serial: string | null
  readonly name: string
  readonly title: string
  readonly expires: EpochMs | null
  readonly endedAt: EpochMs | null
  readonly endReason: RevocationReasonName | null
  readonly failures: number
  readonly lockedUntil: EpochMs
}

type SqlRow = Omit<SigningKeyRow, 'certificateChain'> & { readonly certificateChain: string | null }

const SELECT = `SELECT key_id AS "keyId", user_id AS "userId", region_id AS "regionId", sealed_key AS "sealedKey", created_at AS "createdAt",
  certificate_chain AS "certificateChain", serial, name, title, expires, ended_at AS "endedAt", end_reason AS "endReason", failures, locked_until AS "lockedUntil" FROM signing_key`

const rowOf = (row: SqlRow): SigningKeyRow => ({
  ...row,
  certificateChain: row.certificateChain === null ? null : (JSON.parse(row.certificateChain) as string[]),
})

/** The one key with which a person signs in a region now. */
export async function currentKey(db: Queries, userId: string, regionId: RegionId): Promise<SigningKeyRow | undefined> {
  const row = await db.get<SqlRow>(`${SELECT} WHERE user_id = $1 AND region_id = $2 AND ended_at IS NULL ORDER BY created_at DESC LIMIT 1`, [userId, regionId])
  return row && rowOf(row)
}

/** Every key there is or was, newest first. */
export async function listKeys(db: Queries, userId?: string): Promise<SigningKeyRow[]> {
  const rows = await db.all<SqlRow>(`${SELECT} ${userId === undefined ? '' : 'WHERE user_id = $1'} ORDER BY created_at DESC, key_id LIMIT 1000`, userId === undefined ? [] : [userId])
  return rows.map(rowOf)
}

export async function insertKey(tx: Transaction, key: Pick<SigningKeyRow, 'keyId' | 'userId' | 'regionId' | 'sealedKey' | 'createdAt' | 'name' | 'title'>): Promise<void> {
  await tx.run('INSERT INTO signing_key (key_id, user_id, region_id, sealed_key, created_at, name, title) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
    key.keyId, key.userId, key.regionId, key.sealedKey, key.createdAt, key.name, key.title,
  ]) // prettier-ignore
}

export async function saveCertificate(tx: Transaction, keyId: string, certificate: { chain: readonly string[]; serial: string; expires: EpochMs; name: string; title: string }): Promise<void> {
  const { chain, serial, expires, name, title } = certificate
  await tx.run('UPDATE signing_key SET certificate_chain = $2, serial = $3, expires = $4, name = $5, title = $6 WHERE key_id = $1', [
    keyId, JSON.stringify(chain), serial, expires, name, title,
  ]) // prettier-ignore
}

/** @returns false when it had ended before. */
export async function endKey(tx: Transaction, keyId: string, reason: RevocationReasonName, now: EpochMs): Promise<boolean> {
  // What was superseded the region has revoked itself when it certified the next one.
  const told = reason === 'superseded' ? 1 : 0
  const changed = await tx.run('UPDATE signing_key SET ended_at = $2, end_reason = $3, end_told = $4 WHERE key_id = $1 AND ended_at IS NULL', [keyId, now, reason, told])
  return changed > 0
}

/** Keys whose owner may no longer sign in: the accounts lie in the same database. */
export async function keysOfDisabledAccounts(db: Queries): Promise<string[]> {
  const rows = await db.all<{ keyId: string }>(
    `SELECT k.key_id AS "keyId" FROM signing_key k LEFT JOIN account a ON a.id = k.user_id WHERE k.ended_at IS NULL AND (a.id IS NULL OR a.disabled = 1)`,
  )
  return rows.map(({ keyId }) => keyId)
}

/** Ended here, and the region has not heard of it. */
export async function untoldEnds(db: Queries, regionId: RegionId): Promise<{ keyId: string; serial: string; reason: RevocationReasonName }[]> {
  return db.all(
    `SELECT key_id AS "keyId", serial, end_reason AS "reason" FROM signing_key WHERE region_id = $1 AND ended_at IS NOT NULL AND end_told = 0 AND serial IS NOT NULL ORDER BY ended_at`,
    [regionId],
  )
}

export const markTold = (tx: Queries, keyId: string): Promise<number> => tx.run('UPDATE signing_key SET end_told = 1 WHERE key_id = $1', [keyId])

export async function countFailure(tx: Transaction, { keyId }: SigningKeyRow, limit: { most: number; lockMs: number }, now: EpochMs): Promise<void> {
  await tx.run(
    `UPDATE signing_key SET failures = CASE WHEN failures + 1 >= $2 THEN 0 ELSE failures + 1 END, locked_until = CASE WHEN failures + 1 >= $2 THEN $3 ELSE locked_until END WHERE key_id = $1`,
    [keyId, limit.most, now + limit.lockMs],
  )
}

export const forgetFailures = (tx: Queries, keyId: string): Promise<number> => tx.run('UPDATE signing_key SET failures = 0, locked_until = 0 WHERE key_id = $1', [keyId])
