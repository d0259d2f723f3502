import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import sqlite3 from 'sqlite3'
import { Problem } from 'specs'
import type { DatabaseConfig } from '../database/index.ts'

type Postgres = Extract<DatabaseConfig, { dialect: 'postgres' }>

/** The database as it is at one moment, also while others write: a reader of a WAL database sees one state. */
export async function snapshotSqlite(file: string, to: string): Promise<void> {
  await withSqlite(file, sqlite3.OPEN_READONLY, async (run) => {
    await run('PRAGMA busy_timeout = 30000')
    await run(`VACUUM INTO '${to.replaceAll("'", "''")}'`)
  })
}

/** @throws {Problem} backup/damaged */
export async function checkSqlite(file: string): Promise<void> {
  await withSqlite(file, sqlite3.OPEN_READONLY, async (run) => {
    const [row] = await run('PRAGMA quick_check')
    if (row?.['quick_check'] !== 'ok') throw new Problem('backup/damaged', { what: file, reason: 'quick_check' })
  })
}

async function withSqlite(file: string, mode: number, work: (run: (sql: string) => Promise<Record<string, unknown>[]>) => Promise<void>): Promise<void> {
  const db = await new Promise<sqlite3.Database>((resolve, reject) => {
    const opened: sqlite3.Database = new sqlite3.Database(file, mode, (error) => (error ? reject(error) : resolve(opened)))
  })
  try {
    await work((sql) => new Promise((resolve, reject) => db.all(sql, (error: Error | null, rows: Record<string, unknown>[]) => (error ? reject(error) : resolve(rows)))))
  } finally {
    await new Promise<void>((resolve) => db.close(() => resolve()))
  }
}

/** Programs of PostgreSQL must be installed where backups are made; the password goes by the environment, not by the arguments. */
export async function dumpSchema({ url, schema = 'public' }: Postgres, to: string): Promise<void> {
  const { address, environment } = withoutPassword(url)
  await promisify(execFile)('pg_dump', ['--format=custom', '--no-owner', `--schema=${schema}`, `--file=${to}`, address], { env: environment })
}

/** The dump makes its schema itself; one that is there, empty, gives way. All of it or nothing. @throws An Error with PostgreSQL's own last words. */
export async function restoreSchema({ url }: Pick<Postgres, 'url'>, from: string): Promise<void> {
  const { address, environment } = withoutPassword(url)
  try {
    await promisify(execFile)('pg_restore', ['--no-owner', '--exit-on-error', '--single-transaction', '--clean', '--if-exists', `--dbname=${address}`, from], { env: environment })
  } catch (error) {
    // Its message repeats the whole statement.
    const said = /^pg_restore: error:.*$/m.exec((error as { stderr?: string }).stderr ?? '')?.[0]
    throw new Error(`pg_restore: ${said?.replace(/^pg_restore: error: /, '').slice(0, 300) ?? String(error)}`, { cause: error })
  }
}

function withoutPassword(url: string): { address: string; environment: NodeJS.ProcessEnv } {
  const parsed = new URL(url)
  const PGPASSWORD = decodeURIComponent(parsed.password)
  parsed.password = ''
  return { address: parsed.href, environment: { ...process.env, PGPASSWORD } }
}
