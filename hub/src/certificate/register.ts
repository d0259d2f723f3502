import { parseCertificate, type Certificate, type RevocationReason, type RevokedEntry } from 'pki'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { CertificateRow, Problem, type CertificateKindName, type CertificateStatus, type EpochMs, type HospitalId } from 'specs'

/** Whose certificate it is, as far as its kind has somebody. */
export interface Holder {
  readonly kind: CertificateKindName
  readonly hospitalId?: HospitalId | undefined
  readonly userId?: string | undefined
}

/** In the register before it leaves the house: what is not recorded could not be revoked. */
export async function recordCertificate(tx: Transaction, certificate: Certificate, { kind, hospitalId, userId }: Holder, now: EpochMs): Promise<void> {
  const { serial, subject, pem, notAfter, authorityKeyId } = certificate
  await tx.run(
    `INSERT INTO certificate (serial, kind, hospital_id, user_id, subject, title, organisation, pem, issued_at, expires, authority)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [serial, kind, hospitalId ?? null, userId ?? null, subject.cn, subject.title, subject.o, pem, now, notAfter, authorityKeyId],
  )
}

/** Those recorded before the register knew who issued them. */
export async function nameAuthorities(tx: Transaction): Promise<void> {
  const rows = await tx.all<{ serial: string; pem: string }>('SELECT serial, pem FROM certificate WHERE authority IS NULL')
  for (const { serial, pem } of rows) await tx.run('UPDATE certificate SET authority = $2 WHERE serial = $1', [serial, parseCertificate(pem).authorityKeyId])
}

export interface Revocation {
  readonly hospitalId: HospitalId
  readonly userId?: string
  readonly kinds?: readonly CertificateKindName[]
  readonly code: RevocationReason
  readonly reason: string
  readonly now: EpochMs
}

/** Everything of one holder that still counts. A graver reason than `superseded` also reaches what had merely been replaced. */
export async function revokeAll(tx: Transaction, { hospitalId, userId, kinds, code, reason, now }: Revocation): Promise<number> {
  const params: SqlValue[] = [hospitalId, now, code, reason]
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted = ['hospital_id = $1', code === 'superseded' ? 'revoked_at IS NULL' : `(revoked_at IS NULL OR reason_code = 'superseded')`]
  if (userId !== undefined) wanted.push(`user_id = ${bind(userId)}`)
  if (kinds) wanted.push(`kind IN (${kinds.map(bind).join(', ')})`)
  return tx.run(`UPDATE certificate SET revoked_at = COALESCE(revoked_at, $2), reason_code = $3, reason = $4 WHERE ${wanted.join(' AND ')}`, params)
}

/** @returns Whether it counted before. @throws {Problem} request/not-found */
export async function revokeOne(tx: Transaction, serial: string, code: RevocationReason, reason: string, now: EpochMs): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE certificate SET revoked_at = COALESCE(revoked_at, $2), reason_code = $3, reason = $4
     WHERE serial = $1 AND (revoked_at IS NULL OR (reason_code = 'superseded' AND $3 <> 'superseded'))`,
    [serial, now, code, reason],
  )
  if (changed === 0) await readCertificate(tx, serial)
  return changed > 0
}

/**
 * What the revocation list of one authority names: for good, because documents outlive certificates; only a replaced certificate leaves the list at
 * its end, since nobody suspects its key.
 */
export async function revokedCertificates(queries: Queries, authority: string, now: EpochMs): Promise<RevokedEntry[]> {
  return queries.all<RevokedEntry>(
    `SELECT serial, revoked_at AS "at", COALESCE(reason_code, 'unspecified') AS "reason" FROM certificate
     WHERE authority = $2 AND revoked_at IS NOT NULL AND (expires > $1 OR reason_code IS NULL OR reason_code <> 'superseded') ORDER BY revoked_at, serial`,
    [now, authority],
  )
}

interface SqlRow {
  readonly serial: string
  readonly kind: CertificateKindName
  readonly subject: string
  readonly title: string
  readonly organisation: string
  readonly hospitalId: string | null
  readonly hospitalName: string | null
  readonly issuedAt: number
  readonly expires: number
  readonly replacedAt: number | null
  readonly revokedAt: number | null
  readonly reasonCode: string | null
  readonly reason: string | null
  readonly pem: string
}

const SELECT = `SELECT c.serial, c.kind, c.subject, c.title, c.organisation, c.hospital_id AS "hospitalId", h.name AS "hospitalName", c.issued_at AS "issuedAt",
  c.expires, c.replaced_at AS "replacedAt", c.revoked_at AS "revokedAt", c.reason_code AS "reasonCode", c.reason, c.pem
  FROM certificate c LEFT JOIN hospital h ON h.id = c.hospital_id`

/** A certificate with so much of its life left is not yet shown as running out. */
export const EXPIRING_MS = 60 * 86_400_000

export interface CertificateFilter {
  /** Part of subject, organisation, hospital or serial. */
  readonly text?: string | undefined
  readonly kind?: string | undefined
  readonly hospitalId?: string | undefined
  readonly state?: 'valid' | 'expiring' | 'expired' | 'revoked' | undefined
  readonly limit: number
  readonly after?: { readonly issuedAt: EpochMs; readonly serial: string } | undefined
}

/** Newest first. */
export async function listCertificates(queries: Queries, filter: CertificateFilter, now: EpochMs): Promise<{ rows: CertificateRow[]; total: number }> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted = ['1 = 1', ...conditions(filter, bind, now)]
  const counted = await queries.get<{ total: number }>(
    `SELECT COUNT(*) AS "total" FROM certificate c LEFT JOIN hospital h ON h.id = c.hospital_id WHERE ${wanted.join(' AND ')}`,
    [...params],
  )
  if (filter.after) {
    const at = bind(filter.after.issuedAt)
    wanted.push(`(c.issued_at < ${at} OR (c.issued_at = ${at} AND c.serial > ${bind(filter.after.serial)}))`)
  }
  const rows = await queries.all<SqlRow>(`${SELECT} WHERE ${wanted.join(' AND ')} ORDER BY c.issued_at DESC, c.serial LIMIT ${bind(filter.limit)}`, params)
  return { rows: rows.map((row) => shown(row, now)), total: counted?.total ?? 0 }
}

function conditions({ text, kind, hospitalId, state }: CertificateFilter, bind: (value: SqlValue) => string, now: EpochMs): string[] {
  const wanted: string[] = []
  if (kind) wanted.push(`c.kind = ${bind(kind)}`)
  if (hospitalId) wanted.push(`c.hospital_id = ${bind(hospitalId)}`)
  if (text) {
    const like = bind(`%${text.toLowerCase().replaceAll(/[\\%_]/g, (sign) => `\\${sign}`)}%`)
    const fields = ['c.subject', 'c.organisation', `COALESCE(h.name, '')`, 'c.serial']
    wanted.push(`(${fields.map((field) => `LOWER(${field}) LIKE ${like} ESCAPE '\\'`).join(' OR ')})`)
  }
  if (state === 'revoked') wanted.push('c.revoked_at IS NOT NULL')
  if (state === 'expired') wanted.push(`c.revoked_at IS NULL AND c.expires <= ${bind(now)}`)
  if (state === 'expiring') wanted.push(`c.revoked_at IS NULL AND c.replaced_at IS NULL AND c.expires > ${bind(now)} AND c.expires <= ${bind(now + EXPIRING_MS)}`)
  if (state === 'valid') wanted.push(`c.revoked_at IS NULL AND c.expires > ${bind(now)}`)
  return wanted
}

/** @throws {Problem} request/not-found */
export async function readCertificate(queries: Queries, serial: string, now: EpochMs = Date.now()): Promise<CertificateRow> {
  const row = await queries.get<SqlRow>(`${SELECT} WHERE c.serial = $1`, [serial])
  if (!row) throw new Problem('request/not-found', { serial })
  return shown(row, now)
}

/** As OCSP tells it: `unknown` is what we never issued. */
export async function statusOf(queries: Queries, serial: string, now: EpochMs): Promise<CertificateStatus> {
  const row = await queries.get<Pick<SqlRow, 'revokedAt' | 'reasonCode'>>(
    'SELECT revoked_at AS "revokedAt", reason_code AS "reasonCode" FROM certificate WHERE serial = $1',
    [serial],
  )
  const status = row === undefined ? 'unknown' : row.revokedAt === null ? 'good' : 'revoked'
  return { serial, status, revokedAt: row?.revokedAt ?? null, reason: row?.reasonCode ?? null, thisUpdate: now }
}

function shown({ replacedAt, reasonCode, reason, ...row }: SqlRow, now: EpochMs): CertificateRow {
  const current = row.revokedAt === null && replacedAt === null
  const ends = row.expires <= now ? 'expired' : row.expires <= now + EXPIRING_MS && current ? 'expiring' : 'valid'
  return CertificateRow.parse({
    ...row,
    current,
    state: row.revokedAt === null ? ends : 'revoked',
    reason: row.revokedAt === null ? null : [reasonCode, reason].filter(Boolean).join(': '),
    fingerprintSm3: parseCertificate(row.pem).fingerprintSm3,
  })
}
