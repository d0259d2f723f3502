import type { Queries, Transaction } from 'service-kit'
import type { EpochMs, Grant, GrantId, HospitalId } from 'specs'

export interface Notice {
  readonly grantId: GrantId
  readonly grantee: HospitalId
  readonly withdrawnAt: EpochMs
  readonly attempts: number
}

/** In the transaction of the withdrawal: everybody named in the grant is to be told. */
export async function owNotices(tx: Transaction, { grantId, grantees, expires }: Grant, now: EpochMs): Promise<void> {
  for (const grantee of grantees) {
    await tx.run(
      `INSERT INTO grant_notice (grant_id, grantee, withdrawn_at, grant_expires, attempts, next_at) VALUES ($1, $2, $3, $4, 0, $3) ON CONFLICT DO NOTHING`,
      [grantId, grantee, now, expires],
    )
  }
}

/** Whoever has not confirmed; a grant that has ended by itself needs no word any more. */
export function owedNotices(db: Queries, now: EpochMs, dueOnly: boolean): Promise<Notice[]> {
  return db.all<Notice>(
    `SELECT grant_id AS "grantId", grantee, withdrawn_at AS "withdrawnAt", attempts FROM grant_notice
     WHERE confirmed_at IS NULL AND grant_expires > $1 ${dueOnly ? 'AND next_at <= $1' : ''} ORDER BY next_at LIMIT 500`,
    [now],
  )
}

export async function nextNoticeAt(db: Queries, now: EpochMs): Promise<EpochMs | null> {
  return (await db.get<{ at: EpochMs | null }>('SELECT MIN(next_at) AS "at" FROM grant_notice WHERE confirmed_at IS NULL AND grant_expires > $1', [now]))?.at ?? null
}

export async function confirmNotice(db: Queries, grantId: GrantId, grantee: HospitalId, now: EpochMs): Promise<void> {
  await db.run('UPDATE grant_notice SET confirmed_at = $3 WHERE grant_id = $1 AND grantee = $2 AND confirmed_at IS NULL', [grantId, grantee, now])
}

export async function postponeNotice(db: Queries, { grantId, grantee, attempts }: Notice, nextAt: EpochMs): Promise<void> {
  await db.run('UPDATE grant_notice SET attempts = $3, next_at = $4 WHERE grant_id = $1 AND grantee = $2', [grantId, grantee, attempts + 1, nextAt])
}

/** The line is back: nobody waits out a pause. */
export async function hastenNotices(db: Queries, now: EpochMs): Promise<void> {
  await db.run('UPDATE grant_notice SET next_at = $1 WHERE confirmed_at IS NULL', [now])
}

export async function unconfirmedOf(db: Queries, grantIds: readonly string[]): Promise<ReadonlyMap<string, HospitalId[]>> {
  const found = new Map<string, HospitalId[]>()
  if (grantIds.length === 0) return found
  const rows = await db.all<{ grantId: string; grantee: HospitalId }>(
    `SELECT grant_id AS "grantId", grantee FROM grant_notice WHERE confirmed_at IS NULL AND grant_id IN (${grantIds.map((_id, at) => `$${at + 1}`).join(', ')})`,
    grantIds,
  )
  for (const { grantId, grantee } of rows) found.set(grantId, [...(found.get(grantId) ?? []), grantee])
  return found
}
