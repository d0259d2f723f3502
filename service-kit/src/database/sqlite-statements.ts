import type { Database as Connection, Statement } from 'sqlite3'
import { sqliteError } from './database-error.ts'
import type { Queries, SqlValue } from './database.ts'

/** Compiled statements kept on a connection; longer texts (many rows in one INSERT) come in too many lengths to be worth it. */
const KEPT = 200
const KEPT_TEXT = 16_384

/** Ends with its first step, so that it leaves nothing open on the connection. */
const isChange = (sql: string): boolean => /^\s*(?:insert|update|delete|begin|commit|rollback)\b/i.test(sql) && !/\breturning\b/i.test(sql)

interface Compiled {
  readonly statement: Statement
  readonly order: readonly number[]
}

export interface ConnectionQueries extends Queries {
  /** Gives compiled statements back; the connection can be closed then. */
  release(): Promise<void>
}

/**
 * Raw statements on one connection of the sqlite3 driver, one after the other, each compiled once: going through Sequelize for every statement costs more
 * than SQLite itself does on the receiving path.
 */
export function sqliteStatements(connection: Connection): ConnectionQueries {
  const kept = new Map<string, Compiled>()
  let last: Promise<unknown> = Promise.resolve()

  /** Two statements at once on one connection would only hold two of Node's threads. */
  function inTurn<T>(sql: string, work: () => Promise<T>): Promise<T> {
    const result = last.then(work).catch((error: unknown) => {
      throw sqliteError(error, sql)
    })
    last = result.catch(() => undefined)
    return result
  }

  async function compiled(sql: string): Promise<Compiled> {
    const known = kept.get(sql)
    if (known) {
      kept.delete(sql)
      kept.set(sql, known) // the newest is last
      return known
    }
    const statement = await new Promise<Statement>((resolve, reject) => {
      const made: Statement = connection.prepare(sql, (error: Error | null) => (error ? reject(error) : resolve(made)))
    })
    const entry = { statement, order: parameterOrder(sql) }
    if (sql.length > KEPT_TEXT) return entry
    kept.set(sql, entry)
    for (const [oldest, { statement: unused }] of kept) {
      if (kept.size <= KEPT) break
      kept.delete(oldest)
      unused.finalize()
    }
    return entry
  }

  async function using<T>(sql: string, params: readonly SqlValue[], use: (statement: Statement, values: readonly SqlValue[]) => Promise<T>): Promise<T> {
    const { statement, order } = await compiled(sql)
    try {
      return await use(statement, bound(order, params))
    } finally {
      if (!kept.has(sql)) statement.finalize()
    }
  }

  const all = <T>(sql: string, params: readonly SqlValue[] = []): Promise<T[]> =>
    inTurn(sql, () =>
      using(sql, params, (statement, values) =>
        new Promise<T[]>((resolve, reject) => statement.all(values, (error: Error | null, rows: T[]) => (error ? reject(error) : resolve(rows)))),
      ),
    )

  return {
    all,
    get: async <T>(sql: string, params?: readonly SqlValue[]) => (await all<T>(sql, params))[0],
    run: (sql, params = []) =>
      inTurn(sql, () => {
        if (!isChange(sql))
          return new Promise<number>((resolve, reject) => {
            connection.run(sql, bound(parameterOrder(sql), params), function (error) {
              if (error) reject(error)
              else resolve(this.changes)
            })
          })
        return using(sql, params, (statement, values) =>
          new Promise<number>((resolve, reject) => {
            statement.run(values, function (error: Error | null) {
              if (error) reject(error)
              else resolve(this.changes)
            })
          }),
        )
      }),
    async release() {
      await last
      await Promise.all([...kept.values()].map(({ statement }) => new Promise<void>((resolve) => statement.finalize(() => resolve()))))
      kept.clear()
    },
  }
}

/** SQLite numbers parameters by their first appearance in the text, whatever their names say. */
export function parameterOrder(sql: string): number[] {
  const order: number[] = []
  const seen = new Set<number>()
  for (const match of sql.matchAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*.*?\*\/|\$(\d+)/gs)) {
    if (match[1] === undefined || seen.has(Number(match[1]))) continue
    seen.add(Number(match[1]))
    order.push(Number(match[1]))
  }
  return order
}

/** Flags are INTEGER 0/1 on both dialects. */
function bound(order: readonly number[], params: readonly SqlValue[]): (string | number | null)[] {
  return order.map((number) => {
    const value = params[number - 1]
    if (value === undefined) throw new Error(`the statement has a parameter $${number}, and no value for it was given`)
    return typeof value === 'boolean' ? Number(value) : value
  })
}
