import type { MessageId } from 'specs'

/** Where we stand as the sender of one peer. */
export interface Sent {
  readonly sentUpTo: number
  readonly deliveredUpTo: number
}

/** What the peer said it took from us. */
export interface Taken {
  readonly receivedUpTo: number
  readonly receivedId?: MessageId | undefined
}

export type Resumption =
  /** The peer has everything up to here; the next to send follows. */
  | { kind: 'confirmed'; upTo: number }
  /** The peer lost what it had confirmed (restored from a backup, built anew): send again from here. */
  | { kind: 'rewound'; upTo: number }
  /** We lost what we had sent: our numbers up to here mean other messages at the peer, so ours move behind them. */
  | { kind: 'renumber'; after: number }

/**
 * @param ourIdAt id of our message with number `receivedUpTo`, if we still hold it.
 */
export function decideResumption(sent: Sent, taken: Taken, ourIdAt: MessageId | undefined): Resumption {
  const otherMessage = taken.receivedId !== undefined && ourIdAt !== undefined && ourIdAt !== taken.receivedId
  if (taken.receivedUpTo > sent.sentUpTo || otherMessage) return { kind: 'renumber', after: taken.receivedUpTo }
  if (taken.receivedUpTo < sent.deliveredUpTo) return { kind: 'rewound', upTo: taken.receivedUpTo }
  return { kind: 'confirmed', upTo: taken.receivedUpTo }
}
