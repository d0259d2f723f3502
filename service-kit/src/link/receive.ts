import type { Sm3Hex } from 'specs'

/** What to do with a genuine message, by its number alone: the next one is taken, nothing else has an effect. */
export type Arrival = 'take' | 'repetition' | 'gap'

/** @param last number of the last message taken from this sender, 0 before the first. */
export function decideReceive(last: number, seq: number): Arrival {
  if (seq === last + 1) return 'take'
  return seq <= last ? 'repetition' : 'gap'
}

/** How a message reached us: the text as received, and its place in the stream. */
export interface Trace {
  readonly digest: Sm3Hex
  /** Stream sequence and time given by JetStream; equal for redeliveries of one publication. */
  readonly arrival: string
}

export type Repetition = 'duplicate' | 'replayed' | 'conflict'

/**
 * Senders seal anew whenever they publish. So the same text at another place of the stream was published by somebody who
 * copied it; another text with the same id is a resend; a redelivery keeps its place. A number whose id we never took
 * shows a sender that lost its memory and numbers anew.
 */
export function decideRepetition(taken: Trace | undefined, arrived: Trace): Repetition {
  if (taken === undefined) return 'conflict'
  return taken.digest === arrived.digest && taken.arrival !== arrived.arrival ? 'replayed' : 'duplicate'
}
