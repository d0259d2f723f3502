import { randomUUID } from 'node:crypto'
import { parseWith, Problem, type BuiltInRole, type Entitlement } from 'specs'
import { z } from 'zod'
import type { Database } from '../database/index.ts'
import type { HttpFace } from '../http/index.ts'
import type { Authenticator, Headers, SignedIn, User } from '../http/user.ts'
import type { Log } from '../log/index.ts'
import { migrations } from './migrations.ts'
import { hashPassword, isPassword } from './password.ts'
import { assignRoles, entitlementsOf, listRoles, seedRoles } from './role/store.ts'
import { addSessionRoutes } from './routes.ts'
import { SessionCache, type KnownSession } from './session-cache.ts'
import { SessionTokens, newKey } from './session-token.ts'
import { SignInGuard, signInLimits, type SignInLimits } from './sign-in-guard.ts'
import {
  accountByUsername,
  accountOfSession,
  changeAccount,
  deleteSession,
  deleteSessionsOf,
  insertAccount,
  insertSession,
  listAccounts,
  sessionKeys,
  type AccountRow,
} from './store.ts'

export interface AccountsOptions {
  readonly db: Database
  /** Whose staff: in the cookie's name, since cookies are shared by all ports of a host. */
  readonly party: string
  /** Roles that this kind of service begins with. */
  readonly roles: readonly BuiltInRole[]
  readonly log: Log
  /** What POST and GET /api/sessions say besides `token` and `user`. */
  readonly extra?: () => Record<string, unknown>
  readonly sessionMs?: number
  readonly limits?: SignInLimits
  readonly now?: () => number
}

/** A shift and a bit; afterwards everybody shows the password again, however busy. */
const SESSION_MS = 12 * 60 * 60 * 1000

export interface Session {
  readonly token: string
  readonly expiresAt: number
  readonly user: User
}

/** Local accounts of one service and their sessions. */
export class Accounts implements Authenticator {
  readonly cookieName: string
  readonly #options: AccountsOptions
  readonly #tokens: SessionTokens
  readonly #guard: SignInGuard
  readonly #sessions = new SessionCache()
  /** Checked instead of a stored password when there is no such user, so that both take the same time. */
  readonly #nobodysPassword: string
  readonly #endListeners: ((sessionId: string) => void)[] = []

  constructor(options: AccountsOptions, tokens: SessionTokens, nobodysPassword: string) {
    this.#options = options
    this.#tokens = tokens
    this.#guard = new SignInGuard(options.limits ?? signInLimits)
    this.#nobodysPassword = nobodysPassword
    this.cookieName = `lianpian_${options.party}`
  }

  #now(): number {
    return (this.#options.now ?? Date.now)()
  }

  /** @throws {Problem} access/wrong-credentials for a wrong name, a wrong password and a disabled account alike; request/too-many. */
  async signIn(username: string, password: string, address: string): Promise<Session> {
    const attempt = await this.#guard.attempt(username, address)
    const account = await accountByUsername(this.#options.db, username)
    const right = await isPassword(password, account?.password ?? this.#nobodysPassword)
    if (account === undefined || !right || account.disabled) {
      this.#options.log.warn({ address, accountId: account?.id, disabled: account?.disabled }, 'sign-in refused')
      throw new Problem('access/wrong-credentials')
    }
    await attempt.succeeded()
    const now = this.#now()
    const session = { id: randomUUID(), accountId: account.id, expiresAt: now + (this.#options.sessionMs ?? SESSION_MS), address }
    await this.#options.db.write((tx) => insertSession(tx, session, now))
    this.#options.log.info({ address, accountId: account.id }, 'signed in')
    return { token: await this.#tokens.sign(session, now), expiresAt: session.expiresAt, user: await this.#userOf(account) }
  }

  async signOut(sessionId: string): Promise<void> {
    await deleteSession(this.#options.db, sessionId)
    this.#ended([sessionId])
  }

  async signedIn(request: Headers): Promise<SignedIn | undefined> {
    const shown = this.#tokenOf(request)
    if (shown === undefined) return undefined
    const now = this.#now()
    const known =
      this.#sessions.get(shown.token, now) ?? (await this.#sessions.keep(shown.token, now, () => this.#sessionOf(shown.token, now)))
    return { ...known, by: shown.by }
  }

  async #sessionOf(token: string, now: number): Promise<KnownSession> {
    const sessionId = await this.#tokens.sessionId(token, now)
    const account = await accountOfSession(this.#options.db, sessionId, now)
    if (account === undefined) throw new Problem('access/not-signed-in', { reason: 'session ended' })
    return { sessionId, user: await this.#userOf(account) }
  }

  async #userOf(account: AccountRow): Promise<User> {
    return userOf(account, (await entitlementsOf(this.#options.db, account.id)).get(account.id))
  }

  onSessionEnd(listener: (sessionId: string) => void): void {
    this.#endListeners.push(listener)
  }

  /** @throws {Problem} request/invalid, request/conflict when the user name is taken. @returns The id of the account. */
  async create(account: NewAccount): Promise<string> {
    const { roles, ...parsed } = parseWith(NewAccount, account, 'account')
    const password = await hashPassword(parsed.password)
    return this.#options.db.write(async (tx) => {
      const known = new Set((await listRoles(tx)).map(({ id }) => id))
      const unknown = roles.find((role) => !known.has(role))
      if (unknown !== undefined) throw new Problem('request/invalid', { what: 'account', issues: [{ path: 'roles', message: 'no such role' }] })
      const id = await insertAccount(tx, { ...parsed, password }, this.#now())
      await assignRoles(tx, 'account', id, roles.map((role) => ({ role, scope: {} })))
      return id
    })
  }

  /** Makes the account when it is missing and leaves it alone otherwise: its owner may have changed the password. */
  async ensure(account: NewAccount): Promise<void> {
    if (await accountByUsername(this.#options.db, account.username)) return
    try {
      await this.create(account)
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'request/conflict')) throw error // another process was quicker
    }
  }

  async list(): Promise<(User & { disabled: boolean })[]> {
    const held = await entitlementsOf(this.#options.db)
    return (await listAccounts(this.#options.db)).map((account) => ({ ...userOf(account, held.get(account.id)), disabled: account.disabled }))
  }

  /** Ends all sessions of the account. */
  async setPassword(accountId: string, password: string): Promise<void> {
    const parsed = parseWith(Password, password, 'password')
    await this.#change(accountId, { password: await hashPassword(parsed) })
  }

  /** A disabled account cannot sign in, and its sessions end at once. */
  async setDisabled(accountId: string, disabled: boolean): Promise<void> {
    await this.#change(accountId, { disabled })
  }

  async #change(accountId: string, change: { password: string } | { disabled: boolean }): Promise<void> {
    const ended = await this.#options.db.write(async (tx) => {
      await changeAccount(tx, accountId, change, this.#now())
      return deleteSessionsOf(tx, accountId)
    })
    this.#ended(ended)
  }

  #ended(sessionIds: readonly string[]): void {
    this.#sessions.forget(sessionIds)
    for (const sessionId of sessionIds) for (const listener of this.#endListeners) listener(sessionId)
  }

  /** A token in the header is meant for this request, so it is taken before the browser's cookie. */
  #tokenOf(request: Headers): { token: string; by: SignedIn['by'] } | undefined {
    const authorization = request.get('authorization')
    if (authorization !== undefined) {
      const [, token] = /^Bearer +([\w.~+/=-]{1,4000})$/i.exec(authorization) ?? []
      if (token === undefined) throw new Problem('access/not-signed-in', { reason: 'not a Bearer token' })
      return { token, by: 'bearer' }
    }
    const cookie = cookieOf(request.get('cookie') ?? '', this.cookieName)
    return cookie === undefined ? undefined : { token: cookie, by: 'cookie' }
  }

  addRoutes(face: HttpFace): void {
    addSessionRoutes(face, this, this.#options.extra ?? (() => ({})))
  }
}

/** RFC 6265 4.2.1; our value needs no decoding. An empty one is what remains after signing out. */
function cookieOf(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name && value) return value
  }
  return undefined
}

function userOf({ id, username, name, title }: AccountRow, entitlements: readonly Entitlement[] = []): User {
  return { id, username, name, title, roles: [...new Set(entitlements.map(({ role }) => role))], entitlements, authMethod: 'password' }
}

const Password = z.string().min(8, 'at least 8 characters').max(200)
const NewAccount = z.object({
  username: z.string().trim().min(1).max(64),
  password: Password,
  name: z.string().trim().min(1).max(60),
  title: z.string().trim().max(60).default(''),
  /** Everywhere; scopes are given afterwards. */
  roles: z.array(z.string()).min(1),
})
export type NewAccount = z.input<typeof NewAccount>

/** Prepares tables and keys. */
export async function createAccounts(options: AccountsOptions): Promise<Accounts> {
  await options.db.migrate('account', migrations)
  await options.db.write((tx) => seedRoles(tx, options.roles, Date.now()))
  const keys = await sessionKeys(options.db, newKey(randomUUID()), Date.now())
  return new Accounts(options, new SessionTokens(keys, options.party), await hashPassword(randomUUID()))
}
