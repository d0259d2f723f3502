import type { AuditActor, AuditEvent } from 'specs'
import { type Draft, newEventId } from './draft.ts'

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

  /** Whether an event like this one is being counted: then it is, and nothing more needs to be made of it. */
  repeats(key: string, at: number): boolean {
    const open = this.#open.get(key)
    if (open === undefined || at >= open.until) return false
    open.repeated += 1
    open.last = Math.max(open.last, at)
    return true
  }

  /** The first of its minute. */
  begin(key: string, draft: Draft): void {
    const before = this.#open.get(key)
    if (before) this.#close(key, before)
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

/** Everything that makes two events the same but their time. Made for every event, so it is no more than joined texts. */
export function foldingKey({ action, outcome, object, basis, code, purpose, facts }: AuditEvent, actor: AuditActor): string {
  const said = facts === undefined ? '' : JSON.stringify(facts)
  const what = object === undefined ? '' : `${object.type}\u0001${object.id}\u0001${object.owner ?? ''}`
  return `${actor.kind}\u0001${actor.id}\u0001${actor.sessionId ?? ''}\u0001${actor.sourceIp ?? ''}\u0001${action}\u0001${outcome}\u0001${what}\u0001${basis ?? ''}\u0001${code ?? ''}\u0001${purpose ?? ''}\u0001${said}`
}
