import type { Database, Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Draft } from './draft.ts'
import type { ChainWriter } from './writer.ts'

const BATCH = 200
/** Rows left by a process that died, or by one that could not reach the trail. */
const LOOK_MS = 5_000

/** Saves an event in the transaction of the fact it tells of. */
export async function savePending(tx: Transaction, draft: Draft): Promise<void> {
  await tx.run('INSERT INTO audit_pending (event_id, at, body) VALUES ($1, $2, $3)', [draft.eventId, draft.at, JSON.stringify(draft)])
}

/**
 * Moves events from the databases of their facts into the chain: first into the chain, then away from here. A process that dies between the two
 * leaves a row whose event the chain knows by its id, so that it enters once (the writer looks under the lock of the head).
 */
export class PendingMover {
  readonly #callers: readonly Database[]
  readonly #writer: ChainWriter
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined
  #again = false

  constructor(callers: readonly Database[], writer: ChainWriter, log: Log) {
    this.#callers = callers
    this.#writer = writer
    this.#log = log
    this.#timer = setInterval(() => this.wake(), LOOK_MS)
    this.#timer.unref()
  }

  wake(): void {
    if (this.#running) this.#again = true
    else
      this.#running = this.#run().finally(() => {
        this.#running = undefined
        if (this.#again) this.wake()
        this.#again = false
      })
  }

  /** Everything saved before the call is in the chain when it resolves, unless the trail cannot be written. */
  async settle(): Promise<void> {
    await this.#running
    this.wake()
    await this.#running
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.settle()
  }

  async #run(): Promise<void> {
    try {
      for (const db of this.#callers) while ((await this.#move(db)) === BATCH);
    } catch (error) {
      this.#log.error({ err: error }, 'audit events wait beside their facts')
    }
  }

  async #move(db: Database): Promise<number> {
    const rows = await db.all<{ eventId: string; body: string }>(
      'SELECT event_id AS "eventId", body FROM audit_pending ORDER BY at, event_id LIMIT $1',
      [BATCH],
    )
    await Promise.all(rows.map(({ body }) => this.#writer.write(JSON.parse(body) as Draft, { once: true })))
    if (rows.length > 0) {
      const ids = rows.map(({ eventId }) => eventId)
      await db.run(`DELETE FROM audit_pending WHERE event_id IN (${ids.map((_id, index) => `$${index + 1}`).join(', ')})`, ids)
    }
    return rows.length
  }
}
