import { randomBytes } from 'node:crypto'
import { sm3Hex } from 'pki'
import type { Queries, Transaction } from 'service-kit'
import { HospitalId, Problem, type EpochMs, type JoinCode, type Sm3Hex } from 'specs'

/** Without 0/O and 1/I/L: the code is read out over the telephone. 31 letters, 24 of them: 118 bits. */
const LETTERS = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'
const LENGTH = 24
const FINGERPRINT_LENGTH = 16
const encoder = new TextEncoder()

/**
 * A one-time code. Its end names the region's root, so that the joining node trusts the root that the administrator
 * means and not whoever answers at the address it was given.
 *
 * @param rootFingerprint SM3 of the root certificate's DER.
 */
export function makeCode(rootFingerprint: Sm3Hex): string {
  return `${randomLetters()}-${rootFingerprint.slice(0, FINGERPRINT_LENGTH)}`
}

/** Bytes at or above the largest multiple of 31 are thrown away, so that every letter is equally likely. */
function randomLetters(): string {
  let text = ''
  while (text.length < LENGTH) {
    for (const byte of randomBytes(LENGTH)) {
      if (byte < LETTERS.length * 8 && text.length < LENGTH) text += LETTERS[byte % LETTERS.length]
    }
  }
  return text
}

/** Only the digest is kept: whoever reads the database cannot join with it. The code is random, so it needs no salt. */
const digestOf = (code: string): string => sm3Hex(encoder.encode(code.trim()))

/** Replaces any earlier unused code of the hospital. */
export async function saveCode(tx: Transaction, { code, hospitalId, expires }: JoinCode, now: EpochMs): Promise<void> {
  await withdrawCodes(tx, hospitalId)
  await tx.run('INSERT INTO join_code (digest, hospital_id, created_at, expires) VALUES ($1, $2, $3, $4)', [
    digestOf(code),
    hospitalId,
    now,
    expires,
  ])
}

export async function withdrawCodes(tx: Transaction, hospitalId: HospitalId): Promise<void> {
  await tx.run('DELETE FROM join_code WHERE hospital_id = $1 AND used_at IS NULL', [hospitalId])
}

/** Whose code it is. @throws {Problem} region/wrong-join-code, not saying whether it is wrong, used or expired. */
export async function hospitalOfCode(queries: Queries, code: string, now: EpochMs): Promise<HospitalId> {
  const row = await queries.get<{ hospitalId: string }>(
    'SELECT hospital_id AS "hospitalId" FROM join_code WHERE digest = $1 AND used_at IS NULL AND expires > $2',
    [digestOf(code), now],
  )
  if (!row) throw new Problem('region/wrong-join-code')
  return HospitalId.parse(row.hospitalId)
}

/** Uses the code up; of two who try at once, one succeeds. @throws {Problem} region/wrong-join-code */
export async function useCode(tx: Transaction, code: string, now: EpochMs): Promise<void> {
  const used = await tx.run('UPDATE join_code SET used_at = $2 WHERE digest = $1 AND used_at IS NULL AND expires > $2', [
    digestOf(code),
    now,
  ])
  if (used === 0) throw new Problem('region/wrong-join-code')
}
