import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Sequelize } from 'sequelize'
import sqlite3 from 'sqlite3'
import { DatabaseError, databaseError } from './database-error.ts'
import type { Database, Queries, Transaction } from './database.ts'
import { migrate } from './migrate.ts'
import { Mutex } from './mutex.ts'
import { sqliteStatements, type ConnectionQueries } from './sqlite-statements.ts'
import { isInside, TransactionScope } from './transaction-scope.ts'

/** Waited for another process (a backup, for instance) that holds the write lock; inside this process the mutex queues. */
const BUSY_TIMEOUT_MS = 15_000

/** A long search must not keep the short look-ups waiting; more would only fight for the threads of Node. */
const READERS = 3
/** KiB of pages that each of them may keep, where the database is that large: with SQLite's 2 MB a list of a million exams reads its index anew every time. */
const READER_CACHE_KIB = 16_384
/** Pages of 4 KiB in the log before they are copied into the file and both are synced: 16 MiB, since the commit that does it waits for the disk. */
const CHECKPOINT_PAGES = 4_000

/**
 * SQLite behind the port: one connection that writes, a few that read committed data beside it (WAL). Sequelize would open a file per
 * transaction and let them collide with SQLITE_BUSY; here every transaction of the process passes one mutex per file.
 */
export async function openSqlite(config: { file: string }): Promise<Database> {
  const file = await canonicalPath(config.file)
  const writing = await connect(file, `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  const { queries: writer } = writing
  // The first connection must have switched to WAL before a second one looks at the file.
  const mode = await writer.get<{ journal_mode: string }>('PRAGMA journal_mode')
  if (mode?.journal_mode !== 'wal') throw new Error(`${file}: this file system cannot hold a SQLite database in WAL mode`)
  const reading: Connected[] = []
  while (reading.length < READERS) reading.push(await connect(file, `PRAGMA query_only = ON; PRAGMA cache_size = -${READER_CACHE_KIB}`))
  const reader = leastBusy(reading.map(({ queries }) => queries))
  const { mutex, running } = writerOf(file)

  function refuseNesting(): void {
    if (isInside(running)) throw new Error('db.write and db.run cannot be used inside a transaction: use its tx')
  }

  async function write<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    refuseNesting()
    const scope = new TransactionScope(writer)
    const result = await mutex.run(async () => {
      await writer.run('BEGIN IMMEDIATE')
      running.add(scope)
      try {
        const value = await scope.run(work)
        await writer.run('COMMIT')
        return value
      } catch (error) {
        await rollback()
        throw error
      } finally {
        running.delete(scope)
      }
    })
    scope.announce()
    return result
  }

  async function rollback(): Promise<void> {
    try {
      await writer.run('ROLLBACK')
    } catch (error) {
      // After a full disk or an I/O error SQLite has rolled back by itself.
      if (!(error instanceof DatabaseError && error.message.includes('no transaction is active'))) throw error
    }
  }

  const database: Database = {
    dialect: 'sqlite',
    write,
    all: (sql, params) => (isRead(sql) ? reader.all(sql, params) : alone((tx) => tx.all(sql, params))),
    get: (sql, params) => (isRead(sql) ? reader.get(sql, params) : alone((tx) => tx.get(sql, params))),
    run: (sql, params) => alone((tx) => tx.run(sql, params)),
    migrate: (scope, migrations) => migrate({ db: database, exclusively: write }, scope, migrations),
    async close() {
      await mutex.run(async () => {
        for (const each of reading) await each.close()
        await writing.close()
      })
    },
  }

  async function alone<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    refuseNesting()
    return mutex.run(() => work(writer))
  }
  return database
}

/** Sends each query to the connection with the fewest waiting. */
function leastBusy(connections: readonly Queries[]): Pick<Queries, 'all' | 'get'> {
  const lanes = connections.map((queries) => ({ queries, waiting: 0 }))
  async function on<T>(use: (queries: Queries) => Promise<T>): Promise<T> {
    const lane = lanes.reduce((best, each) => (each.waiting < best.waiting ? each : best))
    lane.waiting++
    try {
      return await use(lane.queries)
    } finally {
      lane.waiting--
    }
  }
  return {
    all: (sql, params) => on((queries) => queries.all(sql, params)),
    get: (sql, params) => on((queries) => queries.get(sql, params)),
  }
}

const isRead = (sql: string) => /^\s*(?:select|with|values|explain|pragma)\b/i.test(sql)

interface Writer {
  readonly mutex: Mutex
  readonly running: Set<TransactionScope>
}

/** However often and under whatever name a file is opened, it has one writer at a time. */
const writers = new Map<string, Writer>()
function writerOf(file: string): Writer {
  const known = writers.get(file) ?? { mutex: new Mutex(), running: new Set() }
  writers.set(file, known)
  return known
}

async function canonicalPath(file: string): Promise<string> {
  const folder = dirname(resolve(file))
  await mkdir(folder, { recursive: true })
  return join(await realpath(folder), basename(file))
}

interface Connected {
  readonly queries: ConnectionQueries
  close(): Promise<void>
}

/** Sequelize opens and closes the connection; statements go to the driver (sqlite-statements.ts). */
async function connect(file: string, pragmas: string): Promise<Connected> {
  class Connection extends sqlite3.Database {
    constructor(filename: string, mode: number, opened: (error: Error | null) => void) {
      super(filename, mode, (error) => {
        if (error) opened(error)
        else this.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; ${pragmas}`, opened)
      })
    }
  }
  const sequelize = new Sequelize({
    dialect: 'sqlite',
    storage: file,
    logging: false,
    dialectModule: { ...sqlite3, Database: Connection },
    retry: { max: 1 },
  })
  const connection = await opened(sequelize, file)
  const queries = sqliteStatements(connection)
  return {
    queries,
    async close() {
      await queries.release()
      await sequelize.close()
    },
  }
}

async function opened(sequelize: Sequelize, file: string): Promise<sqlite3.Database> {
  try {
    return (await sequelize.connectionManager.getConnection({ type: 'write', useMaster: true })) as sqlite3.Database
  } catch (error) {
    throw databaseError(error, `open ${file}`)
  }
}
