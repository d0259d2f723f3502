import type { Database, Log, Transaction } from 'service-kit'
import type { EpochMs } from 'specs'
import type { Policy } from '../decide-access.ts'
import type { BreakGlass, RelationPolicy } from './decide-exam.ts'
import { RuleBook } from './rule-book.ts'
import { loadRules } from './rule-store.ts'

/** Another process of the same node (PostgreSQL) learns of a change after this long at the latest. */
const LOOK_MS = 1_000

export interface PolicyBookParts {
  readonly db: Database
  readonly log: Log
  readonly relation: RelationPolicy
  readonly now?: () => EpochMs
}

/** Rules and emergency accesses as they stand, in memory. A change made here holds when `refresh` has resolved. */
export class PolicyBook implements Policy {
  readonly relation: RelationPolicy
  readonly #db: Database
  readonly #log: Log
  readonly #now: () => EpochMs
  #version = 0
  #rules = new RuleBook([])
  #breakGlass: readonly BreakGlass[] = []
  #reading: Promise<void> = Promise.resolve()
  readonly #timer: NodeJS.Timeout

  private constructor({ db, log, relation, now = Date.now }: PolicyBookParts) {
    this.relation = relation
    this.#db = db
    this.#log = log
    this.#now = now
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /** The tables must be there (policyMigrations). */
  static async open(parts: PolicyBookParts): Promise<PolicyBook> {
    const book = new PolicyBook(parts)
    await book.refresh()
    return book
  }

  get rules(): RuleBook {
    return this.#rules
  }

  get breakGlass(): readonly BreakGlass[] {
    return this.#breakGlass
  }

  /** To be called in the transaction of every change of rules or emergency accesses. */
  async bump(tx: Transaction): Promise<void> {
    await tx.run(`UPDATE access_version SET value = value + 1 WHERE name = 'policy'`)
  }

  /** Reads what has changed; one after the other, so that an older reading never comes last. */
  refresh(): Promise<void> {
    const reading = this.#reading.then(() => this.#read())
    this.#reading = reading.catch(() => undefined)
    return reading
  }

  async #read(): Promise<void> {
    const row = await this.#db.get<{ value: number }>(`SELECT value FROM access_version WHERE name = 'policy'`)
    const version = row?.value ?? 0
    if (version === this.#version) return
    const now = this.#now()
    // Read after the version: whatever changes in between is read again with the next one.
    const rules = await loadRules(this.#db, now)
    const breakGlass = await this.#db.all<BreakGlass>(
      `SELECT break_glass_id AS "breakGlassId", account_id AS "subjectId", patient_id AS "patientId", until FROM break_glass WHERE until > $1 AND ended_at IS NULL`,
      [now],
    )
    this.#rules = new RuleBook(rules)
    this.#breakGlass = breakGlass
    this.#version = version
  }

  async #look(): Promise<void> {
    try {
      await this.refresh()
    } catch (error) {
      this.#log.warn({ err: error }, 'access rules not read again; those known before go on holding')
    }
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#reading
  }
}
