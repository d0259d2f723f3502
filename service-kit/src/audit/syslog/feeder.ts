import { randomUUID } from 'node:crypto'
import { rowOf } from '../search.ts'
import type { SyslogConfig } from '../config.ts'
import type { Trail } from '../trail.ts'
import { syslogMessage } from './message.ts'
import { openSyslogSender, type SyslogSender } from './sender.ts'

const CURSOR = 'syslog'
const BATCH = 200
const SETTLE_MS = 500
const RETRY_MS = 5_000
/** Of several processes of one node, one sends; another takes over when it has been silent for this long. */
const LEASE_MS = 30_000

export interface FeederTiming {
  readonly settleMs: number
  readonly retryMs: number
}

/**
 * Follows the chain and tells a collector (IHE ATNA). The chain is the queue: while the collector is away only a number stands still, and after a kill
 * the same records are sent again rather than none. Begins where the trail stood when the collector was first named.
 */
export class SyslogFeeder {
  readonly #trail: Trail
  readonly #sender: SyslogSender
  readonly #own = randomUUID()
  readonly #timing: FeederTiming
  #timer: NodeJS.Timeout | undefined
  #dueAt = 0
  #running: Promise<void> | undefined
  #failing = false
  #stopped = false

  private constructor(trail: Trail, sender: SyslogSender, timing: FeederTiming) {
    this.#trail = trail
    this.#sender = sender
    this.#timing = timing
    trail.onRecords(() => this.#wake(timing.settleMs))
  }

  static async start(trail: Trail, config: SyslogConfig, timing: Partial<FeederTiming> = {}): Promise<SyslogFeeder> {
    const { db } = trail
    await db.run(
      `INSERT INTO audit_cursor (name, seq, holder, held_until) SELECT $1, seq, '', 0 FROM audit_head WHERE id = 1 ON CONFLICT (name) DO NOTHING`,
      [CURSOR],
    )
    const feeder = new SyslogFeeder(trail, await openSyslogSender(config), { settleMs: SETTLE_MS, retryMs: RETRY_MS, ...timing })
    feeder.#wake(0)
    return feeder
  }

  /** Records that the collector has not been told of, and since when. */
  async status(): Promise<{ waiting: number; since: number | null }> {
    const { db } = this.#trail
    const row = await db.get<{ waiting: number; cursor: number }>(
      `SELECT h.seq - c.seq AS "waiting", c.seq AS "cursor" FROM audit_head h, audit_cursor c WHERE h.id = 1 AND c.name = $1`,
      [CURSOR],
    )
    const oldest = row && row.waiting > 0 ? await db.get<{ at: number }>('SELECT at FROM audit_record WHERE seq > $1 ORDER BY seq LIMIT 1', [row.cursor]) : undefined
    return { waiting: row?.waiting ?? 0, since: oldest?.at ?? null }
  }

  #wake(afterMs: number): void {
    const dueAt = Date.now() + afterMs
    if (this.#stopped || this.#running || (this.#timer && this.#dueAt <= dueAt)) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#feed()
        .then((more) => this.#after(more ? 0 : this.#timing.retryMs))
        .catch((error: unknown) => {
          if (!this.#failing) this.#trail.log.warn({ err: error }, 'the audit collector cannot be reached; records wait in the trail')
          this.#failing = true
          this.#after(this.#timing.retryMs)
        })
    }, afterMs)
    this.#timer.unref()
  }

  /** Also looks again when nothing was waiting: a record may have come while we looked. */
  #after(waitMs: number): void {
    this.#running = undefined
    this.#wake(waitMs)
  }

  /** @returns whether there is more. */
  async #feed(): Promise<boolean> {
    const { db, now } = this.#trail
    const held = await db.run('UPDATE audit_cursor SET holder = $2, held_until = $3 WHERE name = $1 AND (holder = $2 OR held_until < $4)', [CURSOR, this.#own, now() + LEASE_MS, now()])
    if (held !== 1) throw new Error('another process of this node tells the collector')
    const cursor = await db.get<{ seq: number }>('SELECT seq FROM audit_cursor WHERE name = $1', [CURSOR])
    const rows = await db.all<{ seq: number; body: string; hash: string }>('SELECT seq, body, hash FROM audit_record WHERE seq > $1 ORDER BY seq LIMIT $2', [cursor?.seq ?? 0, BATCH])
    const last = rows.at(-1)?.seq
    if (last === undefined) return false
    await this.#sender.send(rows.map((row) => syslogMessage(rowOf(row))))
    if (this.#failing) this.#trail.log.info('the audit collector is back')
    this.#failing = false
    await db.run('UPDATE audit_cursor SET seq = $2 WHERE name = $1 AND holder = $3', [CURSOR, last, this.#own])
    return true
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
    await this.#sender.close()
    // So that the next process need not wait for the lease to end.
    await this.#trail.db.run(`UPDATE audit_cursor SET holder = '', held_until = 0 WHERE name = $1 AND holder = $2`, [CURSOR, this.#own]).catch(() => undefined)
  }
}
