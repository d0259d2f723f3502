import { randomUUID } from 'node:crypto'
import { parseWith, Problem, type BuiltInRole } from 'specs'
import { z } from 'zod'
import type { AuditTrail } from '../audit/index.ts'
import type { Database } from '../database/index.ts'
import type { HttpFace } from '../http/index.ts'
import type { Authenticator, Headers, SignedIn, User } from '../http/user.ts'
import type { Log } from '../log/index.ts'
import { Outbound } from '../outbound/index.ts'
import { IdentityConfig } from './config.ts'
import { change, revisionOf, secretsOf, type Ground, type Secrets } from './ground.ts'
import { Groups } from './group/groups.ts'
import { migrations } from './migrations.ts'
import { OidcSignIn } from './oidc/oidc.ts'
import { Organisation } from './organisation/organisation.ts'
import { hashPassword } from './password/hash.ts'
import { Passwords } from './password/passwords.ts'
import { refuseWeakPassword } from './password/policy.ts'
import { StaffImport } from './person/import.ts'
import { People } from './person/people.ts'
import { Assignment, Roles, rolesNamed } from './role/roles.ts'
import { assignRoles, seedRoles } from './role/store.ts'
import { addIdentityRoutes } from './routes.ts'
import { SecondFactors } from './second-factor/second-factors.ts'
import { ServiceAccounts } from './service-account/service-accounts.ts'
import { sessionKeys } from './session/keys.ts'
import { readUser, Sessions, type Origin, type Session } from './session/sessions.ts'
import { SessionTokens } from './session/token.ts'
import { SignInGuard } from './sign-in/guard.ts'
import { SignIn, type SecondFactorNeeded } from './sign-in/sign-in.ts'
import { accountByUsername, insertAccount, readAccount } from './store.ts'

export interface AccountsOptions {
  readonly db: Database
  /** Whose staff: in the cookie's name, since cookies are shared by all ports of a host. */
  readonly party: string
  /** Roles that this kind of service begins with. */
  readonly roles: readonly BuiltInRole[]
  readonly log: Log
  /** What POST and GET /api/sessions say besides `token` and `user`. */
  readonly extra?: () => Record<string, unknown>
  readonly identity?: IdentityConfig
  /** Opened with `db` among its callers; without it nothing is told, as in tests of other parts. */
  readonly audit?: Pick<AuditTrail, 'record' | 'within'>
  /** Seals telephone numbers, one-time secrets and session keys at rest. */
  readonly vault?: Secrets
  readonly outbound?: Outbound
  readonly now?: () => number
}

const SWEEP_MS = 15_000
const SWEEPS_PER_HOUR = 240

/** Who may sign in to one service, and how: the whole of identity behind one door. */
export class Accounts implements Authenticator {
  readonly cookieName: string
  readonly sessions: Sessions
  readonly signIns: SignIn
  readonly factors: SecondFactors
  readonly passwords: Passwords
  readonly people: People
  readonly staffImport: StaffImport
  readonly roles: Roles
  readonly groups: Groups
  readonly organisation: Organisation
  readonly services: ServiceAccounts
  readonly oidc: OidcSignIn
  readonly settings: Ground['settings']
  readonly #ground: Ground
  readonly #tokens: SessionTokens
  readonly #extra: () => Record<string, unknown>
  readonly #changeListeners: (() => Promise<void>)[] = []
  #sweeper: NodeJS.Timeout | undefined
  #sweeping: Promise<void> = Promise.resolve()
  #sweeps = 0
  #revision = 0

  constructor(ground: Ground, tokens: SessionTokens, nobodysPassword: string, extra: () => Record<string, unknown>) {
    this.#ground = ground
    this.#tokens = tokens
    this.#extra = extra
    this.settings = ground.settings
    this.cookieName = `lianpian_${ground.party}`
    this.sessions = new Sessions(ground, tokens)
    const tellEnds = (ids: readonly string[]) => this.sessions.tellEnds(ids)
    const guard = new SignInGuard(ground.db, ground.settings.lockOut, ground.now)
    this.factors = new SecondFactors(ground)
    this.signIns = new SignIn(ground, { guard, sessions: this.sessions, factors: this.factors, nobodysPassword })
    this.passwords = new Passwords(ground, tellEnds)
    this.people = new People(ground, guard, tellEnds)
    this.staffImport = new StaffImport(ground, this.people)
    this.roles = new Roles(ground)
    this.groups = new Groups(ground)
    this.organisation = new Organisation(ground)
    this.services = new ServiceAccounts(ground)
    this.oidc = new OidcSignIn(ground, this.sessions)
  }

  get secondFactor(): Authenticator['secondFactor'] {
    return this.settings.secondFactor
  }

  /** @throws {Problem} as SignIn.byPassword */
  signIn(username: string, password: string, origin: Origin, instead?: string): Promise<Session | SecondFactorNeeded> {
    return this.signIns.byPassword(username, password, origin, instead)
  }

  async signOut(sessionId: string): Promise<void> {
    await this.sessions.end([sessionId], 'sign-out')
  }

  async signedIn(request: Headers, { passive = false }: { passive?: boolean } = {}): Promise<SignedIn | undefined> {
    const authorization = request.get('authorization')
    const service = authorization === undefined ? undefined : await this.services.signedIn(authorization, request)
    if (service !== undefined) return service
    const shown = this.#tokenOf(request)
    if (shown === undefined) return undefined
    const { sessionId, user, strong, must, idleMs } = await this.sessions.of(shown.token, passive)
    return { sessionId, user, by: shown.by, strong, ...(must && { must }), ...(idleMs !== undefined && { idleMs }) }
  }

  /** An account as its own session would show it, for "what may they do"; disabled ones too. @throws {Problem} request/not-found */
  async userOf(accountId: string): Promise<User> {
    const account = await readAccount(this.#ground.db, accountId)
    return readUser(this.#ground.db, account, account.kind === 'service' ? 'service' : 'password')
  }

  current(sessionId: string): Promise<SignedIn | undefined> {
    return this.sessions.current(sessionId)
  }

  onSessionEnd(listener: (sessionId: string) => void): void {
    this.sessions.onEnd(listener)
  }

  /** Accounts, roles or groups have changed, here or in another process. */
  onChange(listener: () => Promise<void>): void {
    this.#changeListeners.push(listener)
  }

  /** @internal for the ground */
  tellChange(): void {
    for (const listener of this.#changeListeners) {
      listener().catch((error: unknown) => this.#ground.log.warn({ err: error }, 'open connections were not looked at after a change'))
    }
  }

  /** By whoever runs the service. @throws {Problem} request/invalid, access/password-weak, request/conflict. @returns The id of the account. */
  async create(account: NewAccount): Promise<string> {
    const parsed = parseWith(NewAccount, account, 'account')
    refuseWeakPassword(parsed.password, this.settings.password, parsed)
    return this.#insert(parsed)
  }

  /** Makes the account when it is missing and leaves it alone otherwise: its owner may have changed the password. */
  async ensure(account: NewAccount): Promise<void> {
    const parsed = parseWith(NewAccount, account, 'account')
    if (await accountByUsername(this.#ground.db, parsed.username)) return
    try {
      await this.#insert(parsed)
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'request/conflict')) throw error // another process was quicker
    }
  }

  async #insert({ roles, ...account }: z.output<typeof NewAccount>): Promise<string> {
    const password = await hashPassword(account.password)
    return change(this.#ground, async (tx) => {
      await rolesNamed(tx, roles)
      const id = await insertAccount(tx, { ...account, password }, this.#ground.now())
      await assignRoles(tx, 'account', id, roles)
      const actor = { kind: 'system', id: 'configuration' } as const
      const after = { username: account.username, name: account.name, roles }
      return { result: id, events: [{ action: 'account.create', outcome: 'success', actor, object: { type: 'account', id }, after }] }
    })
  }

  /** A new key signs from now on; tokens of the former one stay good. */
  async rotateSessionKey(): Promise<void> {
    this.#tokens.use(await sessionKeys(this.#ground, { rotateNow: true }))
  }

  /**
   * By TLS the name makes the browser itself refuse the cookie from anywhere but this very host by TLS (RFC 6265bis 4.1.3.2): nobody
   * on a neighbouring name, and nobody who can alter plain HTTP, plants a session of theirs in somebody's browser.
   */
  cookieNameFor({ secure = false }: { readonly secure?: boolean }): string {
    return secure ? `__Host-${this.cookieName}` : this.cookieName
  }

  /** A token in the header is meant for this request, so it is taken before the browser's cookie. */
  #tokenOf(request: Headers): { token: string; by: 'bearer' | 'cookie' } | undefined {
    const authorization = request.get('authorization')
    if (authorization !== undefined) {
      const [, token] = /^Bearer +([\w.~+/=-]{1,4000})$/i.exec(authorization) ?? []
      if (token === undefined) throw new Problem('access/not-signed-in', { reason: 'not a Bearer token' })
      return { token, by: 'bearer' }
    }
    const cookie = cookieOf(request.get('cookie') ?? '', this.cookieNameFor(request))
    return cookie === undefined ? undefined : { token: cookie, by: 'cookie' }
  }

  /** Whoever serves also looks after what ends by itself. */
  addRoutes(face: HttpFace): void {
    addIdentityRoutes(face, this, this.#extra)
    if (this.#sweeper) return // a second listener of the same service
    this.#sweeper = setInterval(() => {
      this.#sweeping = this.sweep().catch((error: unknown) => this.#ground.log.warn({ err: error }, 'looking after sessions failed, tried again soon'))
    }, SWEEP_MS)
    this.#sweeper.unref()
  }

  /** Ends what is over, rotates keys that are old, disables accounts that nobody uses. */
  async sweep(): Promise<void> {
    await this.sessions.sweep()
    if (this.#sweeps++ % SWEEPS_PER_HOUR === 0) {
      await this.people.disableUnused()
      await this.services.sweep()
      this.#tokens.use(await sessionKeys(this.#ground))
    }
    const revision = await revisionOf(this.#ground.db)
    if (revision !== this.#revision) this.tellChange()
    this.#revision = revision
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    await this.#sweeping
  }
}

/** RFC 6265 4.2.1; our value needs no decoding. An empty one is what remains after signing out. */
export function cookieOf(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name && value) return value
  }
  return undefined
}

const NewAccount = z.object({
  username: z.string().trim().min(1).max(64),
  password: z.string().min(8, 'at least 8 characters').max(200),
  name: z.string().trim().min(1).max(60),
  title: z.string().trim().max(60).default(''),
  roles: z.array(Assignment).min(1),
})
export type NewAccount = z.input<typeof NewAccount>

/** Prepares tables, roles and keys. */
export async function createAccounts(options: AccountsOptions): Promise<Accounts> {
  const { db, party, log, roles, extra = () => ({}), now = Date.now } = options
  await db.migrate('account', migrations)
  await db.write((tx) => seedRoles(tx, roles, now()))
  const ready: { accounts?: Accounts } = {} // keys are made before there is anybody to tell
  const ground: Ground = {
    db,
    log,
    now,
    party,
    settings: IdentityConfig.parse(options.identity ?? {}),
    trail: options.audit ?? { record: () => Promise.resolve(), within: () => Promise.resolve() },
    secrets: secretsOf(options.vault),
    outbound: options.outbound ?? new Outbound(),
    changed: () => ready.accounts?.tellChange(),
  }
  const load = () => sessionKeys(ground)
  const tokens = new SessionTokens(await load(), party, load)
  ready.accounts = new Accounts(ground, tokens, await hashPassword(randomUUID()), extra)
  return ready.accounts
}
