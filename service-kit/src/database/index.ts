import type { Database } from './database.ts'
import { DatabaseConfig } from './config.ts'
import { openPostgres } from './postgres.ts'
import { openSqlite } from './sqlite.ts'

export type { Database, Migration, Queries, SqlValue, Transaction } from './database.ts'
export { DatabaseConfig } from './config.ts'
export { DatabaseError, isUniqueViolation, type DatabaseErrorKind } from './database-error.ts'

/**
 * Opens the database of one service. Its files, its writer and its rules are in sqlite.ts and postgres.ts.
 * @throws {DatabaseError} `unavailable` when PostgreSQL does not answer.
 */
export function openDatabase(config: DatabaseConfig): Promise<Database> {
  const parsed = DatabaseConfig.parse(config)
  return parsed.dialect === 'sqlite' ? openSqlite(parsed) : openPostgres(parsed)
}
