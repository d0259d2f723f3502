import { randomUUID } from 'node:crypto'
import { Problem, type AuditEvent, type Entitlement } from 'specs'
import type { AuthMethod, SignedIn, User } from '../../http/user.ts'
import { bump, revisionOf, type Ground } from '../ground.ts'
import type { Queries } from '../../database/index.ts'
import { groupsOf } from '../group/groups.ts'
import { entitlementsOf } from '../role/store.ts'
import { isUsable, type AccountRow } from '../store.ts'
import { SessionCache, type KnownSession } from './cache.ts'
import {
  deleteEndedSessions,
  deleteSession,
  deleteSessionsOf,
  findSession,
  insertSession,
  listSessions,
  strengthenSession,
  touchSession,
  type ListedSession,
  type SessionRow,
} from './store.ts'
import type { SessionTokens } from './token.ts'

/** Where a sign-in comes from. */
export interface Origin {
  readonly address: string
  readonly device: string
}

export interface Session {
  readonly id: string
  readonly token: string
  readonly expiresAt: number
  readonly user: User
  readonly must?: 'change-password'
}

const DAY_MS = 86_400_000

/** Sessions of one service: their beginning, what each request learns of them, their end. */
export class Sessions {
  readonly #ground: Ground
  readonly #tokens: SessionTokens
  readonly #cache = new SessionCache()
  readonly #endListeners: ((sessionId: string) => void)[] = []

  constructor(ground: Ground, tokens: SessionTokens) {
    this.#ground = ground
    this.#tokens = tokens
  }

  /** A new session under a new id, whatever the browser showed before; `instead` is the browser's former session and ends. */
  async begin(account: AccountRow, how: { authMethod: AuthMethod; strong: boolean; origin: Origin; instead?: string | undefined }): Promise<Session> {
    const { db, now, settings, trail, log } = this.#ground
    const at = now()
    const session: SessionRow = {
      id: randomUUID(),
      accountId: account.id,
      createdAt: at,
      expiresAt: Math.min(at + settings.session.maxHours * 3_600_000, account.validUntil ?? Infinity),
      lastActiveAt: at,
      address: how.origin.address,
      device: how.origin.device.slice(0, 200),
      authMethod: how.authMethod,
      strong: how.strong,
    }
    const user = { ...(await this.#userOf(account, how.authMethod)), signedInAt: at }
    const ended = await db.write(async (tx) => {
      const former = how.instead !== undefined && (await deleteSession(tx, how.instead)) ? [how.instead] : []
      const others = settings.session.onePerAccount ? await deleteSessionsOf(tx, account.id) : []
      await insertSession(tx, session)
      await tx.run('UPDATE account SET last_used_at = $1 WHERE id = $2', [at, account.id])
      if (former.length + others.length > 0) await bump(tx)
      await trail.within(tx, signInEvent(user, session))
      return [...former, ...others]
    })
    this.#tellEnds(ended)
    log.info({ address: session.address, accountId: account.id, authMethod: how.authMethod }, 'signed in')
    const must = this.#mustOf(account)
    return { id: session.id, token: await this.#tokens.sign(session, at), expiresAt: session.expiresAt, user, ...(must && { must }) }
  }

  /**
   * Who holds the token. @param passive The request is not a person's doing (live events, a page that refreshes itself): it
   * does not keep the session from becoming idle.
   * @throws {Problem} access/not-signed-in
   */
  async of(token: string, passive: boolean): Promise<KnownSession> {
    const { db, now, log } = this.#ground
    const at = now()
    const revision = await revisionOf(db) // before what it vouches for
    const known = this.#cache.get(token, revision) ?? (await this.#load(token, revision, at))
    if (known.endsAt <= at) throw new Problem('access/not-signed-in', { reason: 'session ended' })
    if (known.idleMs !== undefined && at - known.lastActiveAt >= known.idleMs) {
      // Another process may have seen the person since.
      const session = (await findSession(db, known.sessionId, at))?.session
      if (session === undefined || at - session.lastActiveAt >= known.idleMs) {
        await this.end([known.sessionId], 'idle')
        throw new Problem('access/not-signed-in', { reason: 'idle' })
      }
      known.lastActiveAt = session.lastActiveAt
    }
    if (!passive) {
      known.lastActiveAt = at
      if (at - known.savedAt > Math.min(60_000, (known.idleMs ?? 600_000) / 5)) {
        known.savedAt = at
        touchSession(db, known.sessionId, at).catch((error: unknown) => log.warn({ err: error }, 'the activity of a session was not saved'))
      }
    }
    return known
  }

  async #load(token: string, revision: number, at: number) {
    const sessionId = await this.#tokens.sessionId(token, at)
    const found = await findSession(this.#ground.db, sessionId, at)
    if (found === undefined || !isUsable(found.account, at)) throw new Problem('access/not-signed-in', { reason: 'session ended' })
    const { session, account } = found
    const must = this.#mustOf(account)
    const idleMinutes = account.idleMinutes ?? this.#ground.settings.session.idleMinutes
    const known: KnownSession = {
      sessionId,
      user: { ...(await this.#userOf(account, session.authMethod)), signedInAt: session.createdAt },
      strong: session.strong,
      endsAt: Math.min(session.expiresAt, account.validUntil ?? Infinity),
      ...(must && { must }),
      ...(idleMinutes > 0 && { idleMs: idleMinutes * 60_000 }),
    }
    return this.#cache.keep(token, revision, known, session.lastActiveAt)
  }

  #mustOf({ kind, password, mustChangePassword, passwordChangedAt }: AccountRow): 'change-password' | undefined {
    if (kind === 'service' || password === '') return undefined
    const { maxAgeDays } = this.#ground.settings.password
    const old = maxAgeDays > 0 && this.#ground.now() - passwordChangedAt > maxAgeDays * DAY_MS
    return mustChangePassword || old ? 'change-password' : undefined
  }

  async #userOf(account: AccountRow, authMethod: AuthMethod): Promise<User> {
    return readUser(this.#ground.db, account, authMethod)
  }

  /** Signed in with less, shown more since: what needs a second factor is open now. */
  async strengthen(sessionId: string, authMethod: AuthMethod): Promise<void> {
    await this.#ground.db.write(async (tx) => {
      await strengthenSession(tx, sessionId, authMethod)
      await bump(tx)
    })
  }

  list(accountId?: string): Promise<ListedSession[]> {
    return listSessions(this.#ground.db, this.#ground.now(), accountId)
  }

  /** Ends sessions at once, in every process. @returns Those that were there. */
  async end(sessionIds: readonly string[], why: 'sign-out' | 'idle' | 'remote'): Promise<string[]> {
    const { db, trail } = this.#ground
    const ended = await db.write(async (tx) => {
      const gone: string[] = []
      for (const id of sessionIds) if (await deleteSession(tx, id)) gone.push(id)
      if (gone.length > 0) await bump(tx)
      const action = why === 'sign-out' ? 'session.sign-out' : 'session.end'
      for (const id of gone) await trail.within(tx, { action, outcome: 'success', object: { type: 'session', id }, facts: { why } })
      return gone
    })
    this.#tellEnds(ended)
    return ended
  }

  /** Removes what is over, so that also a stream without requests ends. Asked regularly. */
  async sweep(): Promise<void> {
    const { db, now, settings, trail } = this.#ground
    const ended = await db.write(async (tx) => {
      const gone = await deleteEndedSessions(tx, now(), settings.session.idleMinutes * 60_000)
      if (gone.length > 0) await bump(tx)
      for (const id of gone) await trail.within(tx, { action: 'session.end', outcome: 'success', actor: { kind: 'system', id: 'session' }, object: { type: 'session', id }, facts: { why: 'over' } })
      return gone
    })
    this.#tellEnds(ended)
  }

  onEnd(listener: (sessionId: string) => void): void {
    this.#endListeners.push(listener)
  }

  /** What a session is worth now, for whoever holds a connection open. */
  async current(sessionId: string): Promise<SignedIn | undefined> {
    const { db, now } = this.#ground
    const found = await findSession(db, sessionId, now())
    if (found === undefined || !isUsable(found.account, now())) return undefined
    return { sessionId, user: { ...(await this.#userOf(found.account, found.session.authMethod)), signedInAt: found.session.createdAt }, by: 'cookie', strong: found.session.strong }
  }

  /** For ends that another part has saved. */
  tellEnds(sessionIds: readonly string[]): void {
    this.#tellEnds(sessionIds)
  }

  #tellEnds(sessionIds: readonly string[]): void {
    for (const sessionId of sessionIds) {
      this.#cache.forget(sessionId)
      for (const listener of this.#endListeners) listener(sessionId)
    }
  }
}

/** An account with everything that decides what it may do. */
export async function readUser(db: Queries, account: AccountRow, authMethod: AuthMethod): Promise<User> {
  return userOf(account, authMethod, (await entitlementsOf(db, account.id)).get(account.id), await groupsOf(db, account.id))
}

export function userOf(account: AccountRow, authMethod: AuthMethod, entitlements: readonly Entitlement[] = [], groups: readonly string[] = []): User {
  const { id, username, name, title, department, campus } = account
  return {
    id,
    username,
    name,
    title,
    roles: [...new Set(entitlements.map(({ role }) => role))],
    ...(department !== null && { department }),
    ...(campus !== null && { campus }),
    ...(groups.length > 0 && { groups }),
    entitlements,
    authMethod,
  }
}

function signInEvent(user: User, session: SessionRow): AuditEvent {
  const actor = { kind: 'user', id: user.id, name: user.name, roles: [...user.roles], authMethod: session.authMethod, sessionId: session.id, sourceIp: session.address, device: session.device } as const
  return { action: 'session.sign-in', outcome: 'success', actor, object: { type: 'session', id: session.id } }
}
