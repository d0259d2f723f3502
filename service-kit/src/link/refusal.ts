import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { answers, type EpochMs, isProblemCode, noteOf, type ProblemCode, type ProblemFacts, type RefusalRow } from 'specs'
import type { Database } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'
import type { Clock } from './clock.ts'

/** Something that reached us over the link and was not let in (rule 10). */
export interface Refusal {
  readonly id: string
  readonly at: EpochMs
  readonly subject: string
  /** Whom the channel belongs to; what is inside was not believed. */
  readonly claimedSender: string
  readonly code: ProblemCode
  readonly facts: ProblemFacts
}

const rawMaxBytes = 64 * 1024
/** A flood must not fill the disk: beyond this many the oldest go; the metric goes on counting. */
const keptAtMost = 10_000

export interface RefusalStoreOptions {
  readonly db: Database
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
  readonly onRefusal?: ((refusal: Refusal) => void) | undefined
}

export class RefusalStore {
  readonly #options: RefusalStoreOptions
  readonly #counter
  #sinceTrim = 0

  constructor(options: RefusalStoreOptions) {
    this.#options = options
    this.#counter = options.metrics.counter('lianpian_link_refusals_total', 'Messages and requests refused at the link, by problem code', [
      'code',
    ])
  }

  /** Keeps what was refused, counts it and tells whoever listens. @throws when it cannot be saved. */
  async keep(refused: { subject: string; claimedSender: string; raw: Uint8Array; error: unknown }): Promise<Refusal> {
    const { db, log, clock, onRefusal } = this.#options
    const note = noteOf(refused.error)
    const code = isProblemCode(note.code) ? note.code : 'service/internal'
    const { subject, claimedSender } = refused
    const refusal: Refusal = { id: randomUUID(), at: clock.now(), subject, claimedSender, code, facts: note.facts }
    this.#counter.inc({ code })
    if (code === 'service/internal') log.error({ err: refused.error, subject }, 'refused because of a fault of ours')
    else log.warn({ code, facts: refusal.facts, subject, claimedSender }, 'refused at the link')
    await db.run('INSERT INTO refusal (id, at, subject, claimed_sender, code, facts, raw) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
      refusal.id,
      refusal.at,
      subject,
      claimedSender,
      code,
      JSON.stringify(refusal.facts),
      textOf(refused.raw),
    ])
    await this.#trim()
    onRefusal?.(refusal)
    return refusal
  }

  /** Newest first. */
  async list({ limit = 100 }: { limit?: number } = {}): Promise<(RefusalRow & { subject: string })[]> {
    const rows = await this.#options.db.all<{ id: string; at: number; subject: string; source: string; code: ProblemCode; facts: string }>(
      'SELECT id, at, subject, claimed_sender AS "source", code, facts FROM refusal ORDER BY at DESC, id LIMIT $1',
      [limit],
    )
    return rows.map((row) => ({ ...row, title: answers[row.code].zh, facts: JSON.parse(row.facts) as Record<string, unknown> }))
  }

  /** The refused text itself, at most 64 KiB of it, for a person to judge. */
  async raw(id: string): Promise<string | undefined> {
    const row = await this.#options.db.get<{ raw: string }>('SELECT raw FROM refusal WHERE id = $1', [id])
    return row?.raw
  }

  async count(): Promise<number> {
    const row = await this.#options.db.get<{ n: number }>('SELECT COUNT(*) AS "n" FROM refusal')
    return row?.n ?? 0
  }

  async #trim(): Promise<void> {
    this.#sinceTrim += 1
    if (this.#sinceTrim < 100) return
    this.#sinceTrim = 0
    await this.#options.db.run('DELETE FROM refusal WHERE id IN (SELECT id FROM refusal ORDER BY at DESC, id LIMIT 1000000 OFFSET $1)', [
      keptAtMost,
    ])
  }
}

/** Envelopes are text; anything else is kept as base64, marked as such. Databases refuse NUL in text. */
function textOf(raw: Uint8Array): string {
  const bytes = Buffer.from(raw.subarray(0, rawMaxBytes))
  const text = bytes.toString('utf8')
  const isText = !text.includes('\0') && !text.slice(0, -1).includes('\uFFFD')
  return isText ? text.replace(/\uFFFD$/, '') : `base64:${bytes.subarray(0, (rawMaxBytes / 4) * 3 - 8).toString('base64')}`
}
