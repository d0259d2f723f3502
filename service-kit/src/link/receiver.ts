import { Buffer } from 'node:buffer'
import type { JsMsg } from '@nats-io/jetstream'
import { sm3Hex, type Opener } from 'pki'
import { isProblem, parseWith, type PartyId, Posting, Problem } from 'specs'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'
import { parseJson } from './calls.ts'
import { backoffMs } from './backoff.ts'
import { type Clock, pause } from './clock.ts'
import type { Inbox, Incoming, Received } from './inbox.ts'
import type { Session } from './line.ts'
import type { RefusalStore } from './refusal.ts'

export interface ReceiverParts {
  readonly opener: Opener
  readonly inbox: Inbox
  readonly refusals: RefusalStore
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly onTaken: (from: PartyId) => void
  /** A later message than the next came: what lies between must be sent again. */
  readonly onGap: (from: PartyId, last: number) => void
}

const waitingAtMost = 256

/** From JetStream's delivery to its acknowledgement; one message of a sender at a time, different senders side by side. */
export class Receiver {
  readonly #parts: ReceiverParts
  readonly #queues = new Map<PartyId, Promise<void>>()
  readonly #counter
  #waiting = 0

  constructor(parts: ReceiverParts) {
    this.#parts = parts
    this.#counter = parts.metrics.counter('lianpian_link_received_total', 'Messages received, by what became of them', ['outcome'])
  }

  /**
   * @param from whom the channel belongs to. Unacknowledged messages of a session that ends are delivered again in the next.
   * @returns when there is room for another, which is before this one has been handled.
   */
  async offer(message: JsMsg, from: PartyId, session: Session): Promise<void> {
    this.#waiting += 1
    const queue = (this.#queues.get(from) ?? Promise.resolve()).then(() => this.#untilHandled(message, from, session))
    this.#queues.set(from, queue)
    void queue.then(() => {
      this.#waiting -= 1
      if (this.#queues.get(from) === queue) this.#queues.delete(from)
    })
    if (this.#waiting >= waitingAtMost) await Promise.race(this.#queues.values())
  }

  /** Waits until nothing is being handled. */
  async settle(): Promise<void> {
    await Promise.all(this.#queues.values())
  }

  /** Only a database that does not answer stops us; then those behind wait, too, or they would count as a gap. */
  async #untilHandled(message: JsMsg, from: PartyId, session: Session): Promise<void> {
    for (let attempt = 1; !session.signal.aborted; attempt++) {
      try {
        await this.#handle(message, from)
        if (!session.signal.aborted) message.ack()
        return
      } catch (error) {
        this.#parts.log.error({ err: error, from, attempt }, 'a message could not be recorded; it will be tried again')
        await pause(this.#parts.clock, backoffMs(attempt, { firstMs: 100, maxMs: 5_000 }, Math.random()), session.signal)
      }
    }
  }

  async #handle(message: JsMsg, from: PartyId): Promise<void> {
    const opened = this.#open(message, from)
    if ('refused' in opened) {
      await this.#refuse(message, from, opened.refused)
      return
    }
    const received = await this.#parts.inbox.receive(opened)
    await this.#act(received, opened, message)
  }

  async #act(received: Received, incoming: Incoming, message: JsMsg): Promise<void> {
    const { log, onGap, onTaken } = this.#parts
    const { id, from, seq, kind } = incoming
    this.#counter.inc({ outcome: received.kind === 'repetition' ? received.repetition : received.kind })
    switch (received.kind) {
      case 'taken':
        return onTaken(from)
      case 'failed':
        log.error(
          { err: isProblem(received.error) ? undefined : received.error, problem: received.problem, id, from, seq, kind },
          'a message could not be processed; it waits to be retried',
        )
        return onTaken(from)
      case 'gap':
        return onGap(from, received.last)
      case 'repetition':
        if (received.repetition === 'replayed') await this.#refuse(message, from, new Problem('envelope/replayed', { id, seq }))
        if (received.repetition === 'conflict') await this.#refuse(message, from, new Problem('message/sequence-conflict', { id, seq }))
    }
  }

  async #refuse(message: JsMsg, from: PartyId, error: unknown): Promise<void> {
    this.#counter.inc({ outcome: 'refused' })
    await this.#parts.refusals.keep({ subject: message.subject, claimedSender: from, raw: message.data, error })
  }

  #open(message: JsMsg, from: PartyId): Incoming | { refused: unknown } {
    try {
      const opened = this.#parts.opener.open(message.data, { from })
      const posting = parseWith(Posting, parseJson(opened), 'posting')
      const arrival = `${message.info.streamSequence}@${message.info.timestampNanos}`
      return { ...posting, id: opened.id, from, digest: sm3Hex(Buffer.from(message.data)), arrival }
    } catch (error) {
      return { refused: error }
    }
  }
}
