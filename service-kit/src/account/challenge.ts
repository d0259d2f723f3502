import { createHash, randomBytes } from 'node:crypto'
import { Problem } from 'specs'
import type { Database, Queries } from '../database/index.ts'

/** Steps that somebody has begun: a sign-in that waits for the second factor, an enrolment, a visit to the hospital's sign-in. */
export type ChallengePurpose = 'second-factor' | 'totp-enrolment' | 'webauthn-enrolment' | 'oidc'

export interface Challenge<T> {
  readonly accountId: string | null
  readonly data: T
}

const digestOf = (secret: string) => createHash('sha256').update(secret).digest('base64url')

/** @returns The secret that its owner shows to go on; we keep its digest only. */
export async function openChallenge(
  db: Database,
  challenge: { purpose: ChallengePurpose; accountId: string | null; data: unknown; secret?: string },
  now: number,
  validMs = 5 * 60_000,
): Promise<string> {
  const secret = challenge.secret ?? randomBytes(32).toString('base64url')
  await db.write(async (tx) => {
    await tx.run('DELETE FROM account_challenge WHERE expires_at < $1', [now])
    await tx.run('INSERT INTO account_challenge (id, purpose, account_id, data, expires_at) VALUES ($1, $2, $3, $4, $5)', [
      digestOf(secret),
      challenge.purpose,
      challenge.accountId,
      JSON.stringify(challenge.data),
      now + validMs,
    ])
  })
  return secret
}

/** @throws {Problem} access/ticket-ended */
export async function readChallenge<T>(db: Queries, purpose: ChallengePurpose, secret: string, now: number): Promise<Challenge<T>> {
  const row = await db.get<{ accountId: string | null; data: string }>(
    'SELECT account_id AS "accountId", data FROM account_challenge WHERE id = $1 AND purpose = $2 AND expires_at > $3',
    [digestOf(secret), purpose, now],
  )
  if (row === undefined) throw new Problem('access/ticket-ended')
  return { accountId: row.accountId, data: JSON.parse(row.data) as T }
}

/** Ends it: whoever comes second with the same secret is refused. @throws {Problem} access/ticket-ended */
export async function closeChallenge(db: Queries, secret: string): Promise<void> {
  if ((await db.run('DELETE FROM account_challenge WHERE id = $1', [digestOf(secret)])) === 0) throw new Problem('access/ticket-ended')
}

export async function changeChallenge(db: Queries, secret: string, data: unknown): Promise<void> {
  await db.run('UPDATE account_challenge SET data = $1 WHERE id = $2', [JSON.stringify(data), digestOf(secret)])
}
