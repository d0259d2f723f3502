import { AsyncLocalStorage } from 'node:async_hooks'
import type { Queries, SqlValue, Transaction } from './database.ts'

/**
 * What is true of a transaction on every dialect: it cannot be nested, it is dead after its end, and a failed statement dooms it
 * (PostgreSQL would answer COMMIT with a silent rollback; SQLite would keep the other half).
 */
export class TransactionScope {
  readonly tx: Transaction
  #open = true
  #failure: unknown
  readonly #committed: (() => void)[] = []

  constructor(queries: Queries) {
    this.tx = {
      all: <T>(sql: string, params?: readonly SqlValue[]) => this.#checked(() => queries.all<T>(sql, params)),
      get: <T>(sql: string, params?: readonly SqlValue[]) => this.#checked(() => queries.get<T>(sql, params)),
      run: (sql, params) => this.#checked(() => queries.run(sql, params)),
      afterCommit: (work) => this.#committed.push(work),
    }
  }

  async #checked<T>(use: () => Promise<T>): Promise<T> {
    if (!this.#open) throw new Error('this transaction is over')
    try {
      return await use()
    } catch (error) {
      this.#failure ??= error
      throw error
    }
  }

  get open(): boolean {
    return this.#open
  }

  /** Does the work; afterwards nothing more can be done with `tx`. @throws what the work threw, or the failure that it hid. */
  async run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    try {
      const value = await current.run([...ancestors(), this], () => work(this.tx))
      if (this.#failure !== undefined) throw this.#failure
      return value
    } finally {
      this.#open = false
    }
  }

  announce(): void {
    for (const work of this.#committed) work()
  }
}

/** Transactions around the running code, of whatever databases. */
const current = new AsyncLocalStorage<readonly TransactionScope[]>()
const ancestors = () => current.getStore() ?? []

/** Whether the running code is inside one of these transactions, which it would wait for in vain. */
export function isInside(mine: ReadonlySet<TransactionScope>): boolean {
  return ancestors().some((scope) => scope.open && mine.has(scope))
}
