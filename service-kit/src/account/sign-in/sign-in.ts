import { Problem } from 'specs'
import { auditContext } from '../../audit/index.ts'
import { changeChallenge, closeChallenge, openChallenge, readChallenge } from '../challenge.ts'
import type { Ground } from '../ground.ts'
import { isPassword } from '../password/hash.ts'
import type { FactorKind, Proof, SecondFactors } from '../second-factor/second-factors.ts'
import type { Origin, Session, Sessions } from '../session/sessions.ts'
import { accountByUsername, isUsable, readAccount, type AccountRow } from '../store.ts'
import type { SignInGuard } from './guard.ts'

/** The password was right and a second factor is asked; the ticket is good for five minutes. */
export interface SecondFactorNeeded {
  readonly secondFactorNeeded: readonly FactorKind[]
  readonly ticket: string
}

/** What a ticket stands for: a sign-in to be finished, or a session to be strengthened. */
interface Waiting {
  readonly sessionId?: string
  readonly webauthnChallenge?: string
}

/** Signing in by password, then by second factor where the account has one. */
export class SignIn {
  readonly #ground: Ground
  readonly #guard: SignInGuard
  readonly #sessions: Sessions
  readonly #factors: SecondFactors
  /** Checked instead of a stored password when there is none, so that both take the same time. */
  readonly #nobodysPassword: string

  constructor(ground: Ground, parts: { guard: SignInGuard; sessions: Sessions; factors: SecondFactors; nobodysPassword: string }) {
    this.#ground = ground
    this.#guard = parts.guard
    this.#sessions = parts.sessions
    this.#factors = parts.factors
    this.#nobodysPassword = parts.nobodysPassword
  }

  /**
   * @param instead The session that this browser held before; it ends.
   * @throws {Problem} access/wrong-credentials for a wrong name, a wrong password and an account that may not be used, alike;
   *   access/locked, request/too-many.
   */
  async byPassword(username: string, password: string, origin: Origin, instead?: string): Promise<Session | SecondFactorNeeded> {
    const { db, now } = this.#ground
    const attempt = await this.#guard.attempt(username, origin.address).catch((problem: unknown) => this.#refused(problem, username, origin, undefined))
    const account = await accountByUsername(db, username)
    const stored = account?.password ? account.password : this.#nobodysPassword
    const right = await isPassword(password, stored)
    if (account === undefined || account.password === '' || !right || !isUsable(account, now()) || this.#isForgotten(account)) {
      return this.#refused(new Problem('access/wrong-credentials'), username, origin, account)
    }
    const kinds = await this.#factors.kindsOf(account.id)
    if (kinds.length === 0) {
      await attempt.succeeded()
      return this.#sessions.begin(account, { authMethod: 'password', strong: false, origin, instead })
    }
    await attempt.right()
    return { secondFactorNeeded: kinds, ticket: await this.#ticket(account.id, {}) }
  }

  /** Somebody signed in shows the password again before something grave. @throws {Problem} access/wrong-credentials, access/locked */
  async confirmPassword(username: string, password: string, origin: Origin): Promise<void> {
    const attempt = await this.#guard.attempt(username, origin.address)
    const account = await accountByUsername(this.#ground.db, username)
    if (!account?.password || !(await isPassword(password, account.password))) return this.#refused(new Problem('access/wrong-credentials'), username, origin, account)
    await attempt.right()
  }

  /** Somebody signed in already shows a second factor now. */
  async stepUp(accountId: string, sessionId: string): Promise<SecondFactorNeeded> {
    const kinds = await this.#factors.kindsOf(accountId)
    if (kinds.length === 0) throw new Problem('request/not-found', { what: 'second factor' })
    return { secondFactorNeeded: kinds, ticket: await this.#ticket(accountId, { sessionId }) }
  }

  /** What a browser must know to ask the security key. */
  async webauthnOptions(ticket: string, address: { host: string; origin: string }): Promise<unknown> {
    const { db, now } = this.#ground
    const { accountId, data } = await readChallenge<Waiting>(db, 'second-factor', ticket, now())
    const { options, challenge } = await this.#factors.webauthn.requestOptions(accountId ?? '', address)
    await changeChallenge(db, ticket, { ...data, webauthnChallenge: challenge })
    return options
  }

  /** @throws {Problem} access/second-factor-wrong, access/ticket-ended, access/locked */
  async bySecondFactor(ticket: string, proof: Proof, origin: Origin, address: { host: string; origin: string }, instead?: string): Promise<Session | { strengthened: true }> {
    const { db, now } = this.#ground
    const { accountId, data } = await readChallenge<Waiting>(db, 'second-factor', ticket, now())
    const account = await readAccount(db, accountId ?? '')
    const attempt = await this.#guard.attempt(account.username, origin.address).catch((problem: unknown) => this.#refused(problem, account.username, origin, account))
    if (!isUsable(account, now())) return this.#refused(new Problem('access/ticket-ended'), account.username, origin, account)
    const used = await this.#factors
      .use(account.id, proof, { ...address, challenge: data.webauthnChallenge })
      .catch((problem: unknown) => this.#refused(problem, account.username, origin, account))
    await closeChallenge(db, ticket)
    await attempt.succeeded()
    const authMethod = used === 'webauthn' ? 'password+webauthn' : 'password+totp'
    if (data.sessionId !== undefined) {
      await this.#sessions.strengthen(data.sessionId, authMethod)
      return { strengthened: true }
    }
    return this.#sessions.begin(account, { authMethod, strong: true, origin, instead })
  }

  #ticket(accountId: string, data: Waiting): Promise<string> {
    return openChallenge(this.#ground.db, { purpose: 'second-factor', accountId, data }, this.#ground.now())
  }

  /** Also between two rounds that disable them, forgotten accounts stay closed. */
  #isForgotten({ lastUsedAt, createdAt, passwordChangedAt }: AccountRow): boolean {
    const { unusedDays } = this.#ground.settings
    const last = Math.max(lastUsedAt ?? 0, createdAt, passwordChangedAt)
    return unusedDays > 0 && this.#ground.now() - last > unusedDays * 86_400_000
  }

  /** In log and trail with what is true; outside with what may be known. */
  async #refused(problem: unknown, username: string, origin: Origin, account: AccountRow | undefined): Promise<never> {
    if (!(problem instanceof Problem)) throw problem
    const { address, device } = origin
    this.#ground.log.warn({ address, accountId: account?.id, disabled: account?.disabled, code: problem.code }, 'sign-in refused')
    const actor = account === undefined ? { kind: 'stranger', id: 'unknown' } as const : { kind: 'user', id: account.id, name: account.name } as const
    const context = auditContext.getStore()
    if (context) context.refusalNoted = true
    const told = this.#ground.trail.record({
      action: problem.code === 'access/locked' ? 'session.lock' : 'session.sign-in',
      outcome: 'refused',
      actor: { ...actor, sourceIp: address, device },
      code: problem.code,
      // What is typed into the wrong field may be a password: only names that exist are kept.
      facts: account === undefined ? {} : { username, disabled: account.disabled },
    })
    // Without the trail nobody gets in more easily, and nobody learns more.
    await told.catch((error: unknown) => this.#ground.log.error({ err: error }, 'a refused sign-in is missing in the audit trail'))
    throw problem
  }
}
