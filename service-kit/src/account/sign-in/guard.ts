import { Problem } from 'specs'
import type { Database, Transaction } from '../../database/index.ts'
import type { IdentitySettings } from '../config.ts'
import { normalUsername } from '../store.ts'

export interface Attempt {
  /** The password was right and more is asked: this attempt was no failure, earlier ones still count. */
  right(): Promise<void>
  /** Signed in: earlier failures of this account are forgotten. */
  succeeded(): Promise<void>
}

interface Failures {
  readonly failures: number
  readonly windowEndsAt: number
  readonly lockedUntil: number
}

/**
 * Slows guessing down (GB/T 22239-2019 8.1.4.1 b): so many failures of a user name, whether it exists or not, lock it for a while, and
 * so many of one source address. An attempt is counted before it is judged, so that many at once gain nothing, and taken back
 * when it was right. The counts are in the database: a restart forgets nothing and processes share them.
 */
export class SignInGuard {
  readonly #db: Database
  readonly #settings: IdentitySettings['lockOut']
  readonly #now: () => number

  constructor(db: Database, settings: IdentitySettings['lockOut'], now: () => number) {
    this.#db = db
    this.#settings = settings
    this.#now = now
  }

  /** @throws {Problem} access/locked, request/too-many */
  async attempt(username: string, address: string): Promise<Attempt> {
    const { failures, windowMinutes, lockMinutes, failuresPerAddress, addressWindowMinutes } = this.#settings
    const account = `account ${normalUsername(username).slice(0, 64)}`
    const source = `address ${address.slice(0, 64)}`
    const now = this.#now()
    // The refusal is returned and thrown outside: what has been counted stays counted.
    const refusal = await this.#db.write(async (tx) => {
      await tx.run('DELETE FROM sign_in_failure WHERE window_ends_at < $1 AND locked_until < $1', [now])
      const [ofAccount, ofSource] = [await failuresOf(tx, account), await failuresOf(tx, source)]
      if (ofSource.lockedUntil > now) return tooMany('request/too-many', ofSource.lockedUntil - now)
      if (ofAccount.lockedUntil > now) return tooMany('access/locked', ofAccount.lockedUntil - now)
      await count(tx, account, ofAccount, { most: failures, windowMs: windowMinutes * 60_000, lockMs: lockMinutes * 60_000, now })
      const windowMs = addressWindowMinutes * 60_000
      await count(tx, source, ofSource, { most: failuresPerAddress, windowMs, lockMs: windowMs, now })
      return undefined
    })
    if (refusal) throw refusal
    const takeBack = (tx: Transaction, subject: string) =>
      tx.run('UPDATE sign_in_failure SET failures = failures - 1, locked_until = 0 WHERE subject = $1 AND failures > 0', [subject])
    return {
      right: () =>
        this.#db.write(async (tx) => {
          await takeBack(tx, account)
          await takeBack(tx, source)
        }),
      succeeded: () =>
        this.#db.write(async (tx) => {
          await tx.run('DELETE FROM sign_in_failure WHERE subject = $1', [account])
          await takeBack(tx, source)
        }),
    }
  }

  /** User names that are locked now, existing or not. */
  async locked(): Promise<Set<string>> {
    const rows = await this.#db.all<{ subject: string }>('SELECT subject FROM sign_in_failure WHERE locked_until > $1', [this.#now()])
    return new Set(rows.filter(({ subject }) => subject.startsWith('account ')).map(({ subject }) => subject.slice('account '.length)))
  }

  async unlock(username: string): Promise<void> {
    await this.#db.run('DELETE FROM sign_in_failure WHERE subject = $1', [`account ${normalUsername(username)}`])
  }
}

const none: Failures = { failures: 0, windowEndsAt: 0, lockedUntil: 0 }

async function failuresOf(db: Pick<Database, 'get'>, subject: string): Promise<Failures> {
  const row = await db.get<Failures>(
    'SELECT failures, window_ends_at AS "windowEndsAt", locked_until AS "lockedUntil" FROM sign_in_failure WHERE subject = $1',
    [subject],
  )
  return row ?? none
}

async function count(
  tx: Transaction,
  subject: string,
  before: Failures,
  limit: { most: number; windowMs: number; lockMs: number; now: number },
): Promise<void> {
  const running = before.windowEndsAt > limit.now
  const failures = running ? before.failures + 1 : 1
  const windowEndsAt = running ? before.windowEndsAt : limit.now + limit.windowMs
  await tx.run(
    `INSERT INTO sign_in_failure (subject, failures, window_ends_at, locked_until) VALUES ($1, $2, $3, $4)
     ON CONFLICT (subject) DO UPDATE SET failures = $2, window_ends_at = $3, locked_until = $4`,
    [subject, failures, windowEndsAt, failures >= limit.most ? limit.now + limit.lockMs : 0],
  )
}

const tooMany = (code: 'access/locked' | 'request/too-many', waitMs: number) =>
  new Problem(code, { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) })
