import type { PartyId } from 'specs'

const againAfterMs = 2_000

/**
 * Behind a lost message come many that cannot be taken; one question for the missing ones is enough until there was
 * progress, or until the answer must have been lost, too.
 */
export class GapThrottle {
  readonly #asked = new Map<PartyId, { last: number; at: number }>()

  /** @returns whether to ask `from` now for what follows `last`. */
  shouldAsk(from: PartyId, last: number, now: number): boolean {
    const asked = this.#asked.get(from)
    if (asked && asked.last === last && now - asked.at < againAfterMs) return false
    this.#asked.set(from, { last, at: now })
    return true
  }
}
