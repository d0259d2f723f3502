import { randomBytes, randomUUID } from 'node:crypto'
import { isSealed } from '../../vault/vault.ts'
import { change, type Ground } from '../ground.ts'

export interface SessionKey {
  readonly id: string
  /** Base64, 32 bytes. */
  readonly secret: string
  readonly createdAt: number
}

const DAY_MS = 86_400_000
const contextOf = (id: string) => `account-key/${id}`

/**
 * Keys that sign session tokens, newest first; there is always one. A key that has been replaced goes on verifying until the
 * longest session that it may have signed is over, so that rotation signs nobody out.
 */
export async function sessionKeys(ground: Ground, options: { rotateNow?: boolean } = {}): Promise<readonly [SessionKey, ...SessionKey[]]> {
  const { db, now, settings, secrets } = ground
  const due = (newest: SessionKey | undefined) => newest === undefined || now() - newest.createdAt > settings.session.keyDays * DAY_MS
  const read = async (from: Pick<typeof db, 'all'>) =>
    (await from.all<SessionKey>('SELECT id, secret, created_at AS "createdAt" FROM account_key ORDER BY created_at DESC, id')).map(opened)
  // Keys of before there were seals are plain base64.
  const opened = (row: SessionKey): SessionKey => ({ ...row, secret: isSealed(row.secret) || row.secret.includes(':') ? secrets.open(row.secret, contextOf(row.id)) : row.secret })

  const known = await read(db)
  if (!options.rotateNow && !due(known[0])) return known as [SessionKey, ...SessionKey[]]
  return change(ground, async (tx) => {
    const [newest, ...older] = await read(tx)
    if (newest !== undefined && !options.rotateNow && !due(newest)) return { result: [newest, ...older] as const, events: [] } // another process was quicker
    const fresh: SessionKey = { id: randomUUID(), secret: randomBytes(32).toString('base64'), createdAt: Math.max(now(), (newest?.createdAt ?? 0) + 1) }
    await tx.run('INSERT INTO account_key (id, secret, created_at) VALUES ($1, $2, $3)', [fresh.id, secrets.seal(fresh.secret, contextOf(fresh.id)), fresh.createdAt])
    const kept = newest === undefined ? [] : await withoutSpent(tx, newest, older, now(), settings.session.maxHours * 3_600_000)
    const events = newest === undefined ? [] : [{ action: 'key.rotate', outcome: 'success', object: { type: 'key', id: fresh.id } } as const]
    return { result: [fresh, ...kept] as const, events }
  })
}

/** A key has been spent when the one after it is older than any session may become. */
async function withoutSpent(
  tx: { run(sql: string, params: string[]): Promise<number> },
  newest: SessionKey,
  older: readonly SessionKey[],
  now: number,
  longestMs: number,
): Promise<SessionKey[]> {
  const kept = [newest]
  let successor = newest
  for (const key of older) {
    if (now - successor.createdAt > longestMs) await tx.run('DELETE FROM account_key WHERE id = $1', [key.id])
    else kept.push(key)
    successor = key
  }
  return kept
}
