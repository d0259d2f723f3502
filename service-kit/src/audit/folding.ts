import type { Draft } from './draft.ts'
import { newEventId } from './draft.ts'

/** The same person opening the same thing again within this time is counted, not told anew. */
export const FOLD_MS = 60_000
const MOST_OPEN = 20_000

interface Open {
  readonly draft: Draft
  readonly until: number
  repeated: number
  last: number
}

/**
 * Folds notes: the first of a minute is passed on at once, those like it are counted and told in one record when the minute is over.
 * A viewer that fetches a thousand frames leaves two records. What a killed process had counted is lost; that it was opened is not.
 */
export class Folding {
  readonly #open = new Map<string, Open>()
  readonly #pass: (draft: Draft) => void

  constructor(pass: (draft: Draft) => void) {
    this.#pass = pass
  }

  note(draft: Draft): void {
    const key = keyOf(draft)
    const open = this.#open.get(key)
    if (open && draft.at < open.until) {
      open.repeated += 1
      open.last = Math.max(open.last, draft.at)
      return
    }
    if (open) this.#close(key, open)
    if (this.#open.size >= MOST_OPEN) this.sweep(Infinity)
    this.#open.set(key, { draft, until: draft.at + FOLD_MS, repeated: 0, last: draft.at })
    this.#pass(draft)
  }

  /** Tells what was counted in minutes that are over. */
  sweep(now: number): void {
    for (const [key, open] of this.#open) if (open.until <= now) this.#close(key, open)
  }

  #close(key: string, { draft, repeated, last }: Open): void {
    this.#open.delete(key)
    if (repeated > 0) this.#pass({ ...draft, eventId: newEventId(last), at: last, count: repeated, facts: { ...draft.facts, repetitionOf: draft.eventId } })
  }
}

/** Everything that makes two events the same but their time. */
function keyOf({ action, outcome, actor, object, basis, code, purpose, facts }: Draft): string {
  const said = facts === undefined ? '' : JSON.stringify(facts)
  return [actor.kind, actor.id, actor.sessionId, actor.sourceIp, action, outcome, object?.type, object?.id, object?.owner, basis, code, purpose, said].join('\u0001')
}
