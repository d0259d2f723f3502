import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Log } from 'service-kit'
import type { Backfill } from './backfills.ts'
import type { ArchiveIndex } from './indexes.ts'

export interface UpkeepSetup {
  readonly db: Database
  readonly log: Log
  readonly indexes: readonly ArchiveIndex[]
  readonly backfills: readonly Backfill[]
  /** How long nothing has come in, in ms. */
  quietMs(): number
  /** Rows of a backfill's step; 500 unless told. */
  readonly stepRows?: number
  /** Up to so many rows of a table an index is built before the archive is open, and rows are filled as far as `atOnceMs` reaches; 20,000 unless told. */
  readonly smallRows?: number
  /** How long the archive may stay closed for it; 1,000 unless told. */
  readonly atOnceMs?: number
  /** On SQLite a large index waits until nothing has come in for so long; 5,000 unless told. */
  readonly quietEnoughMs?: number
  /** … but no longer than this; 15 minutes unless told. */
  readonly patienceMs?: number
}

/** One thing to be done to the tables, and how far it is. */
export interface UpkeepTask {
  readonly kind: 'backfill' | 'index'
  readonly name: string
  readonly table: string
  readonly state: 'waiting' | 'running' | 'failed'
  /** Rows so far, and about how many there are; only of a backfill. */
  readonly done?: number
  readonly total?: number
}

interface Position {
  readonly position: string
  readonly done: number
  readonly endedAt: number | null
}

/** A quarter of the time at most: the rest is for those who are served. */
const PAUSE_FACTOR = 3
const MIN_PAUSE_MS = 10
const RETRY_MS = 60_000

/**
 * Brings the tables of a large archive to what this version wants while it serves: backfills by small steps, then indexes. Everything is resumed at
 * the next start where it stood. What is small is done at once.
 */
export class Upkeep {
  readonly #setup: Required<UpkeepSetup>
  readonly #stopped = new AbortController()
  #tasks: UpkeepTask[] = []
  #running: Promise<void> = Promise.resolve()

  private constructor(setup: UpkeepSetup) {
    this.#setup = { stepRows: 500, smallRows: 20_000, atOnceMs: 1_000, quietEnoughMs: 5_000, patienceMs: 900_000, ...setup }
  }

  /** Finds what is missing, does what is small, and begins the rest beside whoever called. */
  static async begin(setup: UpkeepSetup): Promise<Upkeep> {
    const upkeep = new Upkeep(setup)
    const missing = await missingIndexes(setup.db, setup.indexes)
    const positions = await positionsOf(setup.db)
    const unfinished = setup.backfills.filter(({ name }) => (positions.get(name)?.endedAt ?? null) === null)
    upkeep.#tasks = [
      ...unfinished.map(({ name, table }): UpkeepTask => ({ kind: 'backfill', name, table, state: 'waiting', done: positions.get(name)?.done ?? 0 })),
      ...missing.map(({ name, table }): UpkeepTask => ({ kind: 'index', name, table, state: 'waiting' })),
    ]
    const sizes = new Map<string, boolean>()
    for (const { table } of upkeep.#tasks) sizes.set(table, await upkeep.#isSmall(table))
    const deadline = performance.now() + upkeep.#setup.atOnceMs
    const isLate = () => performance.now() > deadline
    const [laterBackfills, laterIndexes]: [Backfill[], ArchiveIndex[]] = [[], []]
    for (const backfill of unfinished) {
      const isDone = sizes.get(backfill.table) === true && (await upkeep.#backfill(backfill, { pauseFactor: 0, isEnough: isLate }))
      if (!isDone) laterBackfills.push(backfill)
    }
    for (const index of missing) {
      if (sizes.get(index.table) === true && !isLate()) await upkeep.#build(index)
      else laterIndexes.push(index)
    }
    if (upkeep.#tasks.length > 0) upkeep.#running = upkeep.#work(laterBackfills, laterIndexes)
    return upkeep
  }

  /** What is still to be done; empty when the tables are as this version wants them. */
  get tasks(): readonly UpkeepTask[] {
    return this.#tasks
  }

  /** Resolves when everything is done, or after `stop`. */
  get finished(): Promise<void> {
    return this.#running
  }

  /** After the step under way; on SQLite that may be a whole index. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #work(unfinished: readonly Backfill[], missing: readonly ArchiveIndex[]): Promise<void> {
    const works = [
      ...unfinished.map((backfill) => ({ name: backfill.name, run: () => this.#backfill(backfill, { pauseFactor: PAUSE_FACTOR }) })),
      ...missing.map((index) => ({ name: index.name, run: () => this.#buildInQuiet(index) })),
    ]
    for (const { name, run } of works) {
      while (!this.#stopped.signal.aborted) {
        try {
          await run()
          break
        } catch (error) {
          if (this.#stopped.signal.aborted) return
          this.#setup.log.error({ err: error, task: name }, 'upkeep of the index failed, tried again later')
          this.#note(name, { state: 'failed' })
          await this.#pause(RETRY_MS)
        }
      }
    }
  }

  /** @returns whether nothing is left. */
  async #backfill(backfill: Backfill, { pauseFactor, isEnough = () => false }: { pauseFactor: number; isEnough?: () => boolean }): Promise<boolean> {
    const { db, stepRows, log } = this.#setup
    this.#note(backfill.name, { state: 'running', total: await approximateRows(db, backfill.table) })
    while (!this.#stopped.signal.aborted && !isEnough()) {
      const began = performance.now()
      const at = await db.write((tx) => oneStep(tx, backfill, stepRows))
      if (at.endedAt !== null) {
        log.info({ backfill: backfill.name, rows: at.done }, 'rows of before have what new ones have')
        this.#done(backfill.name)
        return true
      }
      this.#note(backfill.name, { done: at.done })
      if (pauseFactor > 0) await this.#pause(Math.max(MIN_PAUSE_MS, (performance.now() - began) * pauseFactor))
    }
    return false
  }

  async #buildInQuiet(index: ArchiveIndex): Promise<void> {
    const { db, quietMs, quietEnoughMs, patienceMs } = this.#setup
    if (db.dialect === 'sqlite') {
      const latest = Date.now() + patienceMs
      while (!this.#stopped.signal.aborted && quietMs() < quietEnoughMs && Date.now() < latest) await this.#pause(Math.min(quietEnoughMs, 1_000))
    }
    if (!this.#stopped.signal.aborted) await this.#build(index)
  }

  async #build(index: ArchiveIndex): Promise<void> {
    const { db, log } = this.#setup
    const began = performance.now()
    this.#note(index.name, { state: 'running' })
    if (db.dialect === 'postgres') await buildConcurrently(db, index)
    else await db.run(createSql(db, index, 'IF NOT EXISTS'))
    const tookMs = Math.round(performance.now() - began)
    if (tookMs > 1_000) log.info({ index: index.name, tookMs }, 'index built')
    this.#done(index.name)
  }

  #note(name: string, change: Partial<UpkeepTask>): void {
    this.#tasks = this.#tasks.map((task) => (task.name === name ? { ...task, ...change } : task))
  }

  #done(name: string): void {
    this.#tasks = this.#tasks.filter((task) => task.name !== name)
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopped.signal }).catch(() => undefined)
  }

  async #isSmall(table: string): Promise<boolean> {
    const { db, smallRows } = this.#setup
    return (await db.get(`SELECT 1 AS one FROM ${table} LIMIT 1 OFFSET ${smallRows}`)) === undefined
  }
}

async function oneStep(tx: Parameters<Parameters<Database['write']>[0]>[0], backfill: Backfill, limit: number): Promise<Position> {
  const held = await tx.get<Position>('SELECT position, done, ended_at AS "endedAt" FROM archive_backfill WHERE name = $1', [backfill.name])
  const before = held ?? { position: '', done: 0, endedAt: null }
  if (before.endedAt !== null) return before // another process was quicker
  const step = await backfill.step(tx, before.position, limit)
  const after: Position = step ? { position: step.position, done: before.done + step.rows, endedAt: null } : { ...before, endedAt: Date.now() }
  await tx.run(
    `INSERT INTO archive_backfill (name, position, done, ended_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name) DO UPDATE SET position = excluded.position, done = excluded.done, ended_at = excluded.ended_at`,
    [backfill.name, after.position, after.done, after.endedAt],
  )
  return after
}

async function positionsOf(db: Database): Promise<Map<string, Position>> {
  const rows = await db.all<Position & { name: string }>('SELECT name, position, done, ended_at AS "endedAt" FROM archive_backfill')
  return new Map(rows.map((row) => [row.name, row]))
}

async function missingIndexes(db: Database, wanted: readonly ArchiveIndex[]): Promise<ArchiveIndex[]> {
  const sql =
    db.dialect === 'sqlite'
      ? `SELECT name FROM sqlite_master WHERE type = 'index'`
      : `SELECT class.relname AS "name" FROM pg_class class JOIN pg_index index ON index.indexrelid = class.oid JOIN pg_namespace space ON space.oid = class.relnamespace
         WHERE space.nspname = current_schema() AND index.indisvalid`
  const built = new Set((await db.all<{ name: string }>(sql)).map(({ name }) => name))
  return wanted.filter(({ name, only = db.dialect }) => !built.has(name) && only === db.dialect)
}

function createSql(db: Database, { name, table, columns, where }: ArchiveIndex, how: string): string {
  return `CREATE INDEX ${how} ${name} ON ${table} (${typeof columns === 'string' ? columns : columns[db.dialect]})${where === undefined ? '' : ` WHERE ${where}`}`
}

/** What an interrupted building left behind is invalid and in the way; what another process is building right now is left to it. */
async function buildConcurrently(db: Database, index: ArchiveIndex): Promise<void> {
  const left = await db.get<{ building: number }>(
    `SELECT (SELECT count(*) FROM pg_stat_progress_create_index progress WHERE progress.index_relid = class.oid) AS "building"
     FROM pg_class class JOIN pg_namespace space ON space.oid = class.relnamespace JOIN pg_index index ON index.indexrelid = class.oid
     WHERE space.nspname = current_schema() AND class.relname = $1 AND NOT index.indisvalid`,
    [index.name],
  )
  if (left && left.building > 0) throw new Error('another process is building this index')
  if (left) await db.run(`DROP INDEX CONCURRENTLY IF EXISTS ${index.name}`)
  await db.run(createSql(db, index, 'CONCURRENTLY IF NOT EXISTS'))
}

/** How many rows there are, without counting them. */
export async function approximateRows(db: Database, table: string): Promise<number> {
  const sql =
    db.dialect === 'sqlite'
      ? `SELECT max(rowid) AS "rows" FROM ${table}`
      : `SELECT greatest(class.reltuples, 0) AS "rows" FROM pg_class class JOIN pg_namespace space ON space.oid = class.relnamespace WHERE space.nspname = current_schema() AND class.relname = '${table}'`
  return (await db.get<{ rows: number | null }>(sql))?.rows ?? 0
}
