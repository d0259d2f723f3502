import type { Queries, Transaction } from 'service-kit'
import type { EpochMs } from 'specs'
import { revokedCertificates } from '../certificate/register.ts'
import type { Authority } from './authority.ts'

const DAY_MS = 86_400_000

/** Issues the next list from what the registry says is revoked, in the transaction that revoked it. */
export async function renewRevocationList(tx: Transaction, authority: Authority, now: EpochMs): Promise<string> {
  const newest = await tx.get<{ number: number }>('SELECT number FROM revocation_list ORDER BY number DESC LIMIT 1')
  const number = (newest?.number ?? 0) + 1
  const pem = authority.revocationList(await revokedCertificates(tx, now), number)
  await tx.run('INSERT INTO revocation_list (number, pem, issued_at) VALUES ($1, $2, $3)', [number, pem, now])
  // Only the newest list counts; what it replaced would grow without end.
  await tx.run('DELETE FROM revocation_list WHERE number < $1', [number])
  return pem
}

/** A day is well inside a list's validity, so nodes that are away for some days come back with one that still counts. */
export async function isRevocationListDue(queries: Queries, now: EpochMs): Promise<boolean> {
  const newest = await queries.get<{ issuedAt: number }>('SELECT issued_at AS "issuedAt" FROM revocation_list ORDER BY number DESC LIMIT 1')
  return newest === undefined || now - newest.issuedAt >= DAY_MS
}
