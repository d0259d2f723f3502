import { randomUUID } from 'node:crypto'
import type { Database, Transaction } from 'service-kit'
import { Problem } from 'specs'

const NAME = 'files'

/**
 * One conversion of an archive at a time, whichever process or machine runs it: a second one would take the first one's new files for what
 * was left over. A killed holder's lease ends by itself; a holder that slept through its end notices at its next change.
 */
export class ConversionLease {
  readonly #db: Database
  readonly #holder = randomUUID()
  readonly #leaseMs: number
  #timer: ReturnType<typeof setInterval> | undefined

  private constructor(db: Database, leaseMs: number) {
    this.#db = db
    this.#leaseMs = leaseMs
  }

  /** @throws {Problem} archive/converting, with the time in ms after which it is worth asking again. */
  static async take(db: Database, leaseMs = 15_000): Promise<ConversionLease> {
    const lease = new ConversionLease(db, leaseMs)
    await db.write(async (tx) => {
      const held = await tx.get<{ until: number }>('SELECT until_ms AS "until" FROM archive_conversion_lease WHERE name = $1', [NAME])
      const now = Date.now()
      if (held && held.until > now) throw new Problem('archive/converting', { retryAfterMs: held.until - now })
      await tx.run(
        'INSERT INTO archive_conversion_lease (name, holder, until_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms',
        [NAME, lease.#holder, now + leaseMs],
      )
    })
    // A failure shows when the lease is required.
    lease.#timer = setInterval(() => void db.write((tx) => lease.require(tx)).catch(() => undefined), leaseMs / 3)
    lease.#timer.unref()
    return lease
  }

  /** Part of a transaction that changes something. @throws {Problem} archive/converting, when somebody else has taken over. */
  async require(tx: Transaction): Promise<void> {
    const changes = await tx.run('UPDATE archive_conversion_lease SET until_ms = $1 WHERE name = $2 AND holder = $3', [Date.now() + this.#leaseMs, NAME, this.#holder])
    if (changes === 0) throw new Problem('archive/converting')
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#db.run('DELETE FROM archive_conversion_lease WHERE name = $1 AND holder = $2', [NAME, this.#holder])
  }
}
