import type { Queries, Transaction } from 'service-kit'
import type { EpochMs } from 'specs'
import { revokedCertificates } from '../certificate/register.ts'
import type { Authority } from './authority.ts'

const DAY_MS = 86_400_000

/**
 * Issues the next lists from what the registry says is revoked, in the transaction that revoked it: one by the present authority and one
 * by each former one whose certificates still count. @returns PEM, the present authority's last.
 */
export async function renewRevocationLists(tx: Transaction, authority: Authority, now: EpochMs): Promise<string[]> {
  const newest = await tx.get<{ number: number }>('SELECT number FROM revocation_list ORDER BY number DESC LIMIT 1')
  // Never behind the clock: a hub restored from a backup has forgotten its last numbers, and nodes take no older list.
  let number = Math.max(newest?.number ?? 0, Math.floor(now / 1_000))
  const lists: string[] = []
  for (const keyId of authority.listing) {
    const pem = authority.revocationList(await revokedCertificates(tx, keyId, now), ++number, keyId)
    // Only the newest list of an authority counts; what it replaced would grow without end.
    await tx.run('DELETE FROM revocation_list WHERE authority = $1 OR authority IS NULL', [keyId])
    await tx.run('INSERT INTO revocation_list (number, pem, issued_at, authority) VALUES ($1, $2, $3, $4)', [number, pem, now, keyId])
    lists.push(pem)
  }
  return lists
}

/**
 * A day is well inside a list's validity, so nodes that are away for some days come back with one that still counts. After a change
 * of key every authority owes one at once.
 */
export async function isRevocationListDue(queries: Queries, authority: Pick<Authority, 'listing'>, now: EpochMs): Promise<boolean> {
  const fresh = await queries.all<{ authority: string | null }>('SELECT authority FROM revocation_list WHERE issued_at > $1', [now - DAY_MS])
  const issuers = new Set(fresh.map((list) => list.authority))
  return authority.listing.some((keyId) => !issuers.has(keyId))
}
