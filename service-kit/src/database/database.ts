/**
 * The database port. SQL is written once for SQLite ≥ 3.35 and PostgreSQL ≥ 13: parameters `$1, $2 …`, types TEXT, BIGINT, INTEGER
 * and DOUBLE PRECISION, timestamps as BIGINT epoch ms, flags as INTEGER 0/1, JSON as TEXT, keys made by us.
 * Every number arrives as a JavaScript number on both, sums and counts included.
 */
export type SqlValue = string | number | boolean | null

export interface Queries {
  /**
   * All rows of a SELECT, or of an INSERT/UPDATE/DELETE … RETURNING. Alias to camelCase in the SQL: `study_uid AS "studyUid"`.
   * @throws {DatabaseError} with a `kind` that callers may tell apart; never with the values of the parameters.
   */
  all<T>(sql: string, params?: readonly SqlValue[]): Promise<T[]>
  /** The first row, if any. */
  get<T>(sql: string, params?: readonly SqlValue[]): Promise<T | undefined>
  /** Number of rows inserted, changed or deleted. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>
}

export interface Transaction extends Queries {
  /** Runs after the commit has reached the disk, in order, never after a rollback. */
  afterCommit(work: () => void): void
}

export interface Database extends Queries {
  readonly dialect: 'sqlite' | 'postgres'
  /**
   * Runs `work` in one transaction that behaves as if it were alone; durable when the promise resolves, undone when `work` throws.
   * PostgreSQL may call `work` again when another process was quicker, so it must touch nothing but `tx` (use `afterCommit` for the rest).
   * SQLite has one writer: `db.write` and `db.run` inside `work` would wait for themselves and throw instead; reads are fine anywhere.
   */
  write<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /** Brings the tables of `scope` up to date, forward only; see migrate.ts. */
  migrate(scope: string, migrations: readonly Migration[]): Promise<void>
  /** Waits for running transactions, then closes. */
  close(): Promise<void>
}

/** One small step. `name` orders nothing and never changes; the array does the ordering. A released step is never edited. */
export interface Migration {
  readonly name: string
  readonly up: readonly string[] | ((tx: Transaction) => Promise<void>)
}
