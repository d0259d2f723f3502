import { type EpochMs, type MessageId, Problem } from 'specs'

const CAPACITY = 200_000

/**
 * Remembers the ids of opened envelopes for as long as they would still pass as fresh. For requests and replies, which
 * no inbox table keeps. It lives in memory, so after a restart an envelope younger than `maxAgeMs` could be shown once
 * more: keep that window at seconds, and let what must never happen twice go through the inbox.
 */
export class ReplayGuard {
  readonly #seen = new Map<MessageId, EpochMs>()
  readonly #maxAgeMs: number
  readonly #now: () => EpochMs
  readonly #capacity: number

  /** @param options.maxAgeMs as given to the Opener. */
  constructor(options: { maxAgeMs: number; now?: () => EpochMs; capacity?: number }) {
    this.#maxAgeMs = options.maxAgeMs
    this.#now = options.now ?? Date.now
    this.#capacity = options.capacity ?? CAPACITY
  }

  /**
   * @throws {Problem} envelope/replayed for an id seen before; request/too-many when it cannot remember one more,
   *   because forgetting a fresh one would let it in again.
   */
  rememberOnce(opened: { id: MessageId; sealedAt: EpochMs }): void {
    const now = this.#now()
    if (this.#seen.has(opened.id)) throw new Problem('envelope/replayed', { id: opened.id })
    if (this.#seen.size >= this.#capacity) this.#forgetStale(now)
    if (this.#seen.size >= this.#capacity) throw new Problem('request/too-many', { remembered: this.#seen.size })
    this.#seen.set(opened.id, opened.sealedAt + this.#maxAgeMs)
  }

  get size(): number {
    return this.#seen.size
  }

  #forgetStale(now: EpochMs): void {
    for (const [id, until] of this.#seen) if (until < now) this.#seen.delete(id)
  }
}
