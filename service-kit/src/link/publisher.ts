import { randomBytes } from 'node:crypto'
import { isProblem, type MessageId, type PartyId, type Posting, type ProblemCode } from 'specs'
import type { Log } from '../log/index.ts'
import { type Clock, pause } from './clock.ts'
import type { Outbox, Outgoing } from './outbox.ts'
import { backoffMs } from './backoff.ts'
import { type Timing, WINDOW } from './timing.ts'

/** Seals and hands one message to JetStream; resolves with its acknowledgement. `undefined` text: the peer cannot be sealed for now. */
export interface PublishPort {
  seal(peer: PartyId, id: MessageId, posting: Posting): string | undefined
  publish(peer: PartyId, text: string, dedupeId: string): Promise<void>
}

/** Acknowledged together, so that a burst does not wait a round trip each. */
const batchSize = 64
/** What JetStream has acknowledged is written down in the calm after a burst; a crash in between only repeats a publication. */
const markAfterMs = 1_000

/**
 * Publishes the outbox of one peer in the order of its numbers. Closed until both ends have told each other what they
 * hold (sync): a party that came back from a backup must not send under numbers its former self has used.
 */
export class Publisher {
  readonly #peer: PartyId
  readonly #outbox: Outbox
  readonly #port: PublishPort
  readonly #clock: Clock
  readonly #timing: Timing
  readonly #log: Log
  /** Ends with the connection. */
  #session: AbortSignal = AbortSignal.abort()
  #next = 1
  #confirmed = 0
  /** Part of the deduplication id of resends; the first publication uses the envelope's id alone. */
  #generation = ''
  #progressAt = 0
  /** When unconfirmed messages were handed over, oldest first. */
  #handedOverAt: { seq: number; at: number }[] = []
  #running: Promise<void> | undefined
  #wakened = false
  #unmarked: { from: number; to: number } | undefined
  #marking: Promise<void> = Promise.resolve()
  #markTimer: (() => void) | undefined
  #problem: ProblemCode | null = null

  constructor(peer: PartyId, parts: { outbox: Outbox; port: PublishPort; clock: Clock; timing: Timing; log: Log }) {
    this.#peer = peer
    this.#outbox = parts.outbox
    this.#port = parts.port
    this.#clock = parts.clock
    this.#timing = parts.timing
    this.#log = parts.log
  }

  /** Messages handed over that the peer has not confirmed yet. */
  get unconfirmed(): number {
    return Math.max(0, this.#next - 1 - this.#confirmed)
  }

  /** Why the last publication failed; null when it did not. */
  get problem(): ProblemCode | null {
    return this.#problem
  }

  /** There may be something to send. */
  wake(): void {
    this.#wakened = true
    if (this.#session.aborted || this.#running) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.#wakened && !this.#session.aborted) this.wake()
    })
  }

  /**
   * The peer holds everything up to `upTo`. Opens the publisher for this session.
   *
   * @param again what follows will not come by itself; otherwise it is resent only when it has been under way for long.
   */
  confirm(session: AbortSignal, upTo: number, { again }: { again: boolean }): void {
    const isOpening = this.#session !== session
    this.#session = session
    while (this.#handedOverAt[0] && this.#handedOverAt[0].seq <= upTo) this.#handedOverAt.shift()
    // While confirmations advance, the peer is merely slow; sending again would only make it slower.
    const now = this.#clock.now()
    if (isOpening || upTo > this.#confirmed) this.#progressAt = now
    this.#confirmed = upTo
    const oldest = this.#handedOverAt[0]
    const overdue = oldest !== undefined && now - Math.max(oldest.at, this.#progressAt) > this.#timing.resendAfterMs
    const goBack = (again || overdue) && this.#next > upTo + 1
    if (goBack) this.#generation = randomBytes(4).toString('hex')
    if (goBack || isOpening || this.#next <= upTo) {
      this.#next = upTo + 1
      this.#handedOverAt = []
    }
    this.wake()
  }

  /** Waits until nothing is being sent and everything acknowledged is written down. The session must have ended before. */
  async settle(): Promise<void> {
    await this.#running
    this.#markTimer?.()
    await this.#mark()
  }

  async #run(): Promise<void> {
    const session = this.#session
    let failures = 0
    while (this.#wakened && !session.aborted) {
      this.#wakened = false
      try {
        while (await this.#sendBatch(session)) failures = 0
      } catch (error) {
        if (session.aborted) return
        failures += 1
        this.#problem = isProblem(error) ? error.code : 'region/hub-unreachable'
        this.#wakened = true
        this.#log.warn({ err: error, peer: this.#peer, failures }, 'publication failed; it will be repeated')
        await pause(this.#clock, backoffMs(failures, { firstMs: 100, maxMs: this.#timing.reconnectMaxMs }, Math.random()), session)
      }
    }
  }

  /** @returns whether there may be more. */
  async #sendBatch(session: AbortSignal): Promise<boolean> {
    const room = Math.min(batchSize, this.#confirmed + WINDOW + 1 - this.#next)
    if (session.aborted || room <= 0) return false
    const from = this.#next
    const rows = await this.#outbox.from(this.#peer, from, room)
    if (rows.length === 0 || session.aborted || this.#next !== from) return this.#next !== from
    const handedOver: Promise<void>[] = []
    for (const row of rows) {
      const text = this.#port.seal(this.#peer, row.id, postingOf(row))
      if (text === undefined) {
        this.#problem = 'region/unknown-hospital'
        break
      }
      handedOver.push(this.#port.publish(this.#peer, text, this.#generation === '' ? row.id : `${row.id}.${this.#generation}`))
      this.#handedOverAt.push({ seq: row.seq, at: this.#clock.now() })
      this.#next = row.seq + 1
    }
    const outcomes = await Promise.allSettled(handedOver)
    const failedAt = outcomes.findIndex((outcome) => outcome.status === 'rejected')
    const sent = failedAt === -1 ? outcomes.length : failedAt
    if (sent > 0) this.#noteAcknowledged(rows[0]!.seq, rows[sent - 1]!.seq)
    const failed = outcomes[failedAt]
    if (failed?.status === 'rejected') {
      this.#next = Math.min(this.#next, rows[failedAt]!.seq)
      throw failed.reason
    }
    if (outcomes.length > 0) this.#problem = null
    return outcomes.length > 0
  }

  #noteAcknowledged(from: number, to: number): void {
    this.#unmarked = this.#unmarked ? { from: Math.min(this.#unmarked.from, from), to: Math.max(this.#unmarked.to, to) } : { from, to }
    this.#markTimer ??= this.#clock.after(markAfterMs, () => void this.#mark())
  }

  #mark(): Promise<void> {
    this.#markTimer = undefined
    const range = this.#unmarked
    this.#unmarked = undefined
    if (range === undefined) return this.#marking
    this.#marking = this.#marking
      .then(() => this.#outbox.markPublished(this.#peer, range.from, range.to))
      .catch((error: unknown) =>
        this.#log.warn({ err: error, peer: this.#peer }, 'published messages could not be marked; they may be sent again'),
      )
    return this.#marking
  }
}

const postingOf = (row: Outgoing): Posting => ({ seq: row.seq, kind: row.kind, body: JSON.parse(row.body) as unknown })
