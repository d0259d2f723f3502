import { randomBytes, randomUUID } from 'node:crypto'
import { isProblem } from 'specs'
import type { Queries } from '../../database/index.ts'
import { change, type Ground, type Secrets } from '../ground.ts'

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
 *
 * A row that the vault did not seal for its own place is nobody's key: somebody who can write the database may have put it there to
 * make tokens with. It signs and verifies nothing, is removed, and the trail is told.
 */
export async function sessionKeys(ground: Ground, options: { rotateNow?: boolean } = {}): Promise<readonly [SessionKey, ...SessionKey[]]> {
  const { db, now, settings, secrets, log } = ground
  const due = (newest: SessionKey | undefined) => newest === undefined || now() - newest.createdAt > settings.session.keyDays * DAY_MS

  const [known, strange] = await readKeys(db, secrets)
  if (!options.rotateNow && strange.length === 0 && !due(known[0])) return known as [SessionKey, ...SessionKey[]]
  return change(ground, async (tx) => {
    const [[newest, ...older], planted] = await readKeys(tx, secrets)
    for (const id of planted) {
      await tx.run('DELETE FROM account_key WHERE id = $1', [id])
      log.error({ keyId: id }, 'a session key that this service did not seal stood in the database; it was never used and has been removed')
    }
    const refusals = planted.map((id) => ({ action: 'key.use', outcome: 'refused', code: 'vault/unreadable', actor: { kind: 'system', id: 'sessions' }, object: { type: 'key', id } }) as const)
    if (newest !== undefined && !options.rotateNow && !due(newest)) return { result: [newest, ...older] as const, events: refusals } // another process was quicker
    const fresh: SessionKey = { id: randomUUID(), secret: randomBytes(32).toString('base64'), createdAt: Math.max(now(), (newest?.createdAt ?? 0) + 1) }
    await tx.run('INSERT INTO account_key (id, secret, created_at) VALUES ($1, $2, $3)', [fresh.id, secrets.seal(fresh.secret, contextOf(fresh.id)), fresh.createdAt])
    const kept = newest === undefined ? [] : await withoutSpent(tx, newest, older, now(), settings.session.maxHours * 3_600_000)
    const rotation = newest === undefined ? [] : [{ action: 'key.rotate', outcome: 'success', object: { type: 'key', id: fresh.id } } as const]
    return { result: [fresh, ...kept] as const, events: [...refusals, ...rotation] }
  })
}

/** Genuine keys, newest first, and the ids of rows that are none. */
async function readKeys(from: Pick<Queries, 'all'>, secrets: Secrets): Promise<[SessionKey[], string[]]> {
  const keys: SessionKey[] = []
  const strange: string[] = []
  for (const row of await from.all<SessionKey>('SELECT id, secret, created_at AS "createdAt" FROM account_key ORDER BY created_at DESC, id')) {
    try {
      keys.push({ ...row, secret: secrets.open(row.secret, contextOf(row.id)) })
    } catch (error) {
      // Sealed under a data key that this process does not know yet (another one has made it): not for us to judge, nor to remove.
      if (!isProblem(error) || error.facts['reason'] === 'key') throw error
      strange.push(row.id)
    }
  }
  return [keys, strange]
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
