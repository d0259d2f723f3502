import { BaseError } from 'sequelize'

/** What callers do different things about; anything else is `other`. */
export type DatabaseErrorKind = 'unique' | 'foreign-key' | 'busy' | 'serialization' | 'full' | 'unavailable' | 'other'

/**
 * A failed statement. The drivers' own errors carry parameters and row values, which may be a patient's; this one holds the
 * statement (always parameterised) and the driver's code only, so that it may be logged.
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  readonly kind: DatabaseErrorKind
  /** SQLITE_… or an SQLSTATE of five characters. */
  readonly code: string
  readonly sql: string

  constructor(kind: DatabaseErrorKind, code: string, reason: string, sql: string) {
    super(`${code}: ${reason}`)
    this.kind = kind
    this.code = code
    this.sql = sql
  }
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.kind === 'unique'
}

/** SQLSTATE (PostgreSQL appendix A), SQLite result codes, and socket errors of the driver. */
const kindOfCode: Readonly<Record<string, DatabaseErrorKind>> = {
  '23505': 'unique',
  '23503': 'foreign-key',
  '40001': 'serialization',
  '40P01': 'serialization', // deadlock detected
  '55P03': 'busy',
  '53100': 'full',
  '53300': 'unavailable', // too many connections
  '57P01': 'unavailable', // admin shutdown
  '57P03': 'unavailable', // starting up
  SQLITE_BUSY: 'busy',
  SQLITE_FULL: 'full',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  ENOTFOUND: 'unavailable',
  ENOENT: 'unavailable', // the socket folder of PostgreSQL
}

/** Turns what Sequelize throws into a DatabaseError; a bug of ours (a missing parameter, for instance) stays what it is. */
export function databaseError(error: unknown, sql: string): unknown {
  if (!(error instanceof BaseError)) return error
  const driver = driverErrorOf(error)
  return ofDriver(driver.code ?? error.name, driver.message, sql)
}

/** The same for what the sqlite3 driver itself throws; `code` tells its errors from ours. */
export function sqliteError(error: unknown, sql: string): unknown {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_'))) return error
  return ofDriver(error.code, error.message, sql)
}

function ofDriver(code: string, message: string, sql: string): DatabaseError {
  return new DatabaseError(kindOf(code, message), code, withoutValues(code, message), sql)
}

function driverErrorOf(error: BaseError): { code?: string; message: string } {
  const parent: unknown = 'parent' in error ? error.parent : undefined
  if (!(parent instanceof Error)) return { message: error.message }
  const code: unknown = 'code' in parent ? parent.code : undefined
  return { ...(typeof code === 'string' && { code }), message: parent.message }
}

function kindOf(code: string, message: string): DatabaseErrorKind {
  if (code === 'SQLITE_CONSTRAINT') {
    if (message.includes('UNIQUE constraint failed')) return 'unique'
    return message.includes('FOREIGN KEY constraint failed') ? 'foreign-key' : 'other'
  }
  if (/^Connection terminated|timeout exceeded when trying to connect/.test(message)) return 'unavailable' // pg gives these no code
  return kindOfCode[code] ?? 'other'
}

/** SQLSTATE class 22 (data exception) quotes the offending value in its message. */
function withoutValues(code: string, message: string): string {
  const plain = message.replace(/^SQLITE_[A-Z_]+: /, '')
  return code.startsWith('22') ? plain.replace(/"(?:[^"]|"")*"/gs, '"…"') : plain
}
