import type { Database, Log } from 'service-kit'
import type { EpochMs } from 'specs'
import {
  listRefusals,
  refusalMigrations,
  saveRefusal,
  trimRefusals,
  type EdgeRefusal,
  type KeptRefusal,
  type RefusalFilter,
  type RepeatedRefusal,
} from './store.ts'

export interface RefusalBookParts {
  readonly db: Database
  readonly log: Log
  readonly now?: () => EpochMs
  /** Rows kept at most. */
  readonly atMost?: number
}

const KEEP_MS = 30 * 24 * 3_600_000
const KEPT_AT_MOST = 10_000
const WRITE_EVERY_MS = 500
/** Different peers remembered between two writes; callers choose their names, so beyond this they are one. */
const MOST_BETWEEN_WRITES = 1_000

/**
 * What the edges of this node refused (rule 10), for the people of the hospital. A device that tries ten times a second is
 * one row with a count: refusing must never cost more than accepting. What was noted within the last half second may be
 * lost with the process; the log has it.
 */
export class RefusalBook {
  readonly #parts: Required<RefusalBookParts>
  readonly #waiting = new Map<string, RepeatedRefusal>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  private constructor(parts: RefusalBookParts) {
    this.#parts = { now: Date.now, atMost: KEPT_AT_MOST, ...parts }
  }

  static async open(parts: RefusalBookParts): Promise<RefusalBook> {
    await parts.db.migrate('edge-refusal', refusalMigrations)
    return new RefusalBook(parts)
  }

  note(refusal: EdgeRefusal): void {
    const isFull = this.#waiting.size >= MOST_BETWEEN_WRITES
    // Names come from the wire: databases refuse NUL, and a page needs no more than this.
    const peer = isFull ? '' : clean(refusal.peer, 64)
    const address = isFull ? '' : clean(refusal.address, 64)
    const key = JSON.stringify([refusal.service, refusal.code, peer, address])
    const before = this.#waiting.get(key)
    this.#waiting.set(key, { ...refusal, peer, address, firstAt: before?.firstAt ?? refusal.at, count: (before?.count ?? 0) + 1 })
    this.#timer ??= setTimeout(() => void this.#write(), WRITE_EVERY_MS)
  }

  /** Newest first, with what is still on its way to the table. */
  async list(filter: RefusalFilter): Promise<{ rows: KeptRefusal[]; total: number }> {
    await this.#write()
    return listRefusals(this.#parts.db, filter)
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    await this.#write()
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const rows = [...this.#waiting.values()]
    this.#waiting.clear()
    if (rows.length === 0) return this.#writing
    const { db, log, now, atMost } = this.#parts
    this.#writing = this.#writing
      .then(() =>
        db.write(async (tx) => {
          for (const row of rows) await saveRefusal(tx, row)
          await trimRefusals(tx, now() - KEEP_MS, atMost)
        }),
      )
      .catch((error: unknown) => log.error({ err: error, refusals: rows.length }, 'refusals not kept'))
    return this.#writing
  }
}

function clean(text: string, most: number): string {
  return text.replaceAll('\0', '').slice(0, most)
}
