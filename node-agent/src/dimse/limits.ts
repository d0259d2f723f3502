/** What a peer may cost us. Every figure is configurable; CONFORMANCE.md states these defaults. */
export interface DimseLimits {
  /** Longest P-DATA-TF we take, announced to the peer. */
  readonly maxPduBytes: number
  /** A peer that takes less in one P-DATA-TF is refused: nobody works with that, but a hang can be made of it. */
  readonly minPeerPduBytes: number
  /** Associations at the same time; one more is refused as transient, "local limit exceeded". */
  readonly maxAssociations: number
  /** Connections at the same time, associated or not; one more is closed at once. */
  readonly maxConnections: number
  /** From connection to whole A-ASSOCIATE-RQ, and from our last word to the peer's closing (PS3.8 ARTIM). */
  readonly artimMs: number
  /** Between two messages of an association. */
  readonly idleMs: number
  /** Inside a message `minBytesPerStall` must move in each such span, either way. */
  readonly stallMs: number
  readonly minBytesPerStall: number
  /** Longest identifier of a query. */
  readonly maxIdentifierBytes: number
  /** Answers to one query; then the status is "out of resources" with a comment that says so. */
  readonly maxMatches: number
}

export const defaultLimits: DimseLimits = {
  maxPduBytes: 128 * 1024,
  minPeerPduBytes: 4096,
  maxAssociations: 32,
  maxConnections: 256,
  artimMs: 15_000,
  idleMs: 120_000,
  stallMs: 30_000,
  minBytesPerStall: 16 * 1024,
  maxIdentifierBytes: 256 * 1024,
  maxMatches: 2_000,
}

/** 128 contexts with thirty transfer syntaxes each take about 110 KB. */
export const MAX_ASSOCIATE_BYTES = 256 * 1024
