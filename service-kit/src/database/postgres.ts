import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { Sequelize, Transaction as SequelizeTransaction } from 'sequelize'
import { DatabaseError, databaseError, isUniqueViolation } from './database-error.ts'
import type { Database, Queries, Transaction } from './database.ts'
import { migrate } from './migrate.ts'
import { statements } from './statements.ts'
import { isInside, TransactionScope } from './transaction-scope.ts'

/** Another transaction was quicker: the work is done again on what that one left. */
const MAX_ATTEMPTS = 30
/** Any number of ours; pg_advisory_xact_lock keeps two processes from migrating one schema together. */
const MIGRATION_LOCK = 0x6c69616e

/** PostgreSQL behind the port: SERIALIZABLE, so that read-decide-write means there what the single writer of SQLite means here. */
export async function openPostgres(config: { url: string; schema?: string | undefined; poolSize: number }): Promise<Database> {
  const sequelize = connect(config)
  const queries = statements(sequelize)
  if (config.schema !== undefined) await ensureSchema(queries, config.schema)
  else await queries.get('SELECT 1 AS one') // a wrong address or password is told at the start
  const running = new Set<TransactionScope>()

  async function attempt<T>(isolationLevel: SequelizeTransaction.ISOLATION_LEVELS, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const transaction = await begin(isolationLevel)
    const own = statements(sequelize, transaction)
    const scope = new TransactionScope(own)
    running.add(scope)
    let value: T
    try {
      value = await scope.run(work)
      // A conflict may show only here. Sequelize's own commit would write to the console and throw the connection away.
      await own.run('COMMIT')
    } catch (error) {
      await rollback(transaction, error)
      throw error
    } finally {
      running.delete(scope)
    }
    await transaction.commit() // nothing is left to commit: gives the connection back to the pool
    scope.announce()
    return value
  }

  async function begin(isolationLevel: SequelizeTransaction.ISOLATION_LEVELS): Promise<SequelizeTransaction> {
    try {
      return await sequelize.transaction({ isolationLevel })
    } catch (error) {
      throw databaseError(error, 'START TRANSACTION')
    }
  }

  /** On a broken line the server rolls back by itself; why the work failed is what the caller must hear. */
  async function rollback(transaction: SequelizeTransaction, reason: unknown): Promise<void> {
    try {
      await transaction.rollback()
    } catch (error) {
      if (!(reason instanceof DatabaseError)) throw databaseError(error, 'ROLLBACK')
    }
  }

  function refuseNesting(): void {
    if (isInside(running)) throw new Error('db.write and db.run cannot be used inside a transaction: use its tx')
  }

  async function write<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    refuseNesting()
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt(SequelizeTransaction.ISOLATION_LEVELS.SERIALIZABLE, work)
      } catch (error) {
        const conflict = error instanceof DatabaseError && error.kind === 'serialization'
        if (!conflict || attempts === MAX_ATTEMPTS) throw error
        await delay(Math.random() * Math.min(200, 5 * attempts))
      }
    }
  }

  const database: Database = {
    dialect: 'postgres',
    ...queries,
    run: async (sql, params) => {
      refuseNesting()
      return queries.run(sql, params)
    },
    write,
    migrate: (scope, migrations) => migrate({ db: database, exclusively: lockedForMigration }, scope, migrations),
    close: () => sequelize.close(), // waits until every connection has come back to the pool
  }

  /** READ COMMITTED: a snapshot taken before the lock was got would not see what the other process has just migrated. */
  function lockedForMigration<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return attempt(SequelizeTransaction.ISOLATION_LEVELS.READ_COMMITTED, async (tx) => {
      await tx.get('SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))', [MIGRATION_LOCK])
      return work(tx)
    })
  }
  return database
}

/** IF NOT EXISTS is no promise when two processes start together: the second may see the row of the first as a duplicate. */
async function ensureSchema(queries: Queries, schema: string): Promise<void> {
  try {
    await queries.run(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
  }
}

const INT8 = 20
const NUMERIC = 1700

/** COUNT is int8 and SUM over BIGINT is numeric: text in pg and in Sequelize, numbers in SQLite. */
class Client extends pg.Client {
  constructor(config: pg.ClientConfig) {
    const inherited = config.types ?? pg.types
    const getTypeParser: typeof pg.types.getTypeParser = (oid, format) =>
      oid === INT8 || oid === NUMERIC ? Number : inherited.getTypeParser(oid, format)
    super({ ...config, types: { getTypeParser } })
  }
}

function connect(config: { url: string; schema?: string | undefined; poolSize: number }): Sequelize {
  return new Sequelize(config.url, {
    dialect: 'postgres',
    dialectModule: { ...pg, Client },
    logging: false,
    pool: { max: config.poolSize, min: 0, acquire: 30_000, idle: 10_000 },
    retry: { max: 1 },
    dialectOptions: {
      application_name: 'lianpian',
      keepAlive: true,
      ...(config.schema !== undefined && { options: `-c search_path=${config.schema}` }),
    },
  })
}
