import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log/index.ts'
import type { Database } from '../database/index.ts'
import { isSealed, type Vault } from './vault.ts'

/** A column that holds sealed values; whoever owns the table says so. */
export interface SealedColumn {
  readonly table: string
  /** Column of the primary key, text. */
  readonly key: string
  readonly column: string
  /** Another column that the context is made of; the key itself unless told. */
  readonly of?: string
  /** As given when it was sealed. */
  readonly context: (of: string) => string
  /** Gives the value back that lies there from before there was a vault; such values are left alone without it. */
  readonly clear?: (kept: string) => string | undefined
}

export interface ResealProgress {
  readonly state: 'none' | 'running' | 'done' | 'failed'
  readonly done: number
  readonly total: number
  readonly startedAt: number | null
  readonly endedAt: number | null
}

const PAGE = 200

/**
 * Seals with the key of today what was sealed with former ones, page by page beside the running service. Doing it again, or after an
 * interruption, changes only what is left.
 */
export class Resealing {
  readonly #parts: { db: Database; vault: Vault; columns: readonly SealedColumn[]; log: Log; now?: () => number }
  #progress: ResealProgress = { state: 'none', done: 0, total: 0, startedAt: null, endedAt: null }
  #running: Promise<void> | undefined
  readonly #stopping = new AbortController()

  constructor(parts: { db: Database; vault: Vault; columns: readonly SealedColumn[]; log: Log; now?: () => number }) {
    this.#parts = parts
  }

  get progress(): ResealProgress {
    return this.#progress
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Begins, or goes on with what runs. */
  start(): void {
    const { log, now = Date.now } = this.#parts
    this.#running ??= this.#run()
      .then(() => (this.#progress = { ...this.#progress, state: this.#stopping.signal.aborted ? 'none' : 'done', endedAt: now() }))
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return
        log.error({ err: error }, 're-sealing has stopped; what is left is still readable')
        this.#progress = { ...this.#progress, state: 'failed', endedAt: now() }
      })
      .then(() => (this.#running = undefined))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { db, columns, vault, now = Date.now } = this.#parts
    let total = 0
    for (const { table, column } of columns) total += (await db.get<{ n: number }>(`SELECT COUNT(*) AS "n" FROM ${table} WHERE ${column} <> ''`))?.n ?? 0
    this.#progress = { state: 'running', done: 0, total, startedAt: now(), endedAt: null }
    // Until every process knows the new key, the former one is the key of today and nothing would be left to do.
    while (vault.newKeyWaitsMs > 0) await sleep(vault.newKeyWaitsMs, undefined, { signal: this.#stopping.signal })
    for (const column of columns) await this.#column(column)
  }

  async #column({ table, key, column, of = key, context, clear }: SealedColumn): Promise<void> {
    const { db, vault } = this.#parts
    let after = ''
    while (!this.#stopping.signal.aborted) {
      const rows = await db.all<{ key: string; kept: string; of: string }>(
        `SELECT ${key} AS "key", ${column} AS "kept", ${of} AS "of" FROM ${table} WHERE ${column} <> '' AND ${key} > $1 ORDER BY ${key} LIMIT $2`,
        [after, PAGE],
      )
      const last = rows.at(-1)
      if (last === undefined) return
      const old = rows.flatMap((row) => {
        if (vault.isCurrent(row.kept)) return []
        const value = isSealed(row.kept) ? vault.open(row.kept, context(row.of)) : clear?.(row.kept)
        return value === undefined ? [] : [{ ...row, sealed: vault.seal(value, context(row.of)) }]
      })
      if (old.length > 0) {
        await db.write(async (tx) => {
          // Whoever has written meanwhile has sealed with the key of today.
          for (const { key: id, kept, sealed } of old) await tx.run(`UPDATE ${table} SET ${column} = $3 WHERE ${key} = $1 AND ${column} = $2`, [id, kept, sealed])
        })
      }
      after = last.key
      this.#progress = { ...this.#progress, done: this.#progress.done + rows.length }
    }
  }
}
