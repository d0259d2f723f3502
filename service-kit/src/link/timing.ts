/** How patient the link is. The defaults suit hospitals on the WAN; tests shorten them. */
export interface Timing {
  /** Sync between node and hub also serves as heartbeat. */
  readonly heartbeatMs: number
  /** A sync or publication without an answer after this long has failed. */
  readonly answerTimeoutMs: number
  /** So many silent syncs in a row, and the connection is given up and made anew: it may look alive and carry nothing. */
  readonly silentSyncs: number
  /** A message without confirmation for this long is sent again. */
  readonly resendAfterMs: number
  readonly reconnectFirstMs: number
  readonly reconnectMaxMs: number
  /** Envelopes of messages older than this are refused; younger copies are resent, so no outage is too long (AGT-15). */
  readonly messageMaxAgeMs: number
  /** Envelopes of requests: someone waits for the answer, so this only has to cover clocks that differ. */
  readonly callMaxAgeMs: number
  /** Confirmed and processed messages stay visible this long. Must exceed `messageMaxAgeMs`: they also show replays. */
  readonly keepMs: number
}

const minute = 60_000
const day = 24 * 60 * minute

export const usualTiming: Timing = {
  heartbeatMs: 5_000,
  answerTimeoutMs: 5_000,
  silentSyncs: 3,
  resendAfterMs: 15_000,
  reconnectFirstMs: 200,
  reconnectMaxMs: 5_000,
  messageMaxAgeMs: day,
  callMaxAgeMs: 5 * minute,
  keepMs: 30 * day,
}

/** Messages sent and not yet confirmed, per peer: bounds what an outage leaves in the streams and what a resend repeats. */
export const WINDOW = 512
/** So many unconfirmed or unreported messages ask for a sync before the next heartbeat. */
export const EARLY_SYNC = WINDOW / 4
/** JSON of a message's body. The envelope around it (base64, twice encoded) must stay below ENVELOPE_MAX_BYTES. */
export const BODY_MAX_BYTES = 2 * 1024 * 1024
