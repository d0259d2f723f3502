import { type Problem } from 'specs'
import { type QueryLevel, type StorageSink } from './services.ts'
import { type DicomPeer, type ScuOptions } from './scu.ts'

/** PS3.4 C.6: which information model the peer is asked in. */
export type QueryRoot = 'patient' | 'study'

/** What is asked for. PATIENT exists in Patient Root alone. */
export interface Asked {
  readonly root: QueryRoot
  readonly level: QueryLevel
  /** DICOM keyword → text as in an identifier; '' asks for the value. Several UIDs are joined by backslash. */
  readonly keys: Readonly<Record<string, string>>
}

export interface QueryOptions extends ScuOptions {
  /** Stops the peer by C-CANCEL; what was under way ends with dimse/cancelled (find) or with what has come so far (move, get). */
  readonly signal?: AbortSignal
  /** Asks for relational queries (PS3.4 C.5.1.1): keys of the levels above may be missing where the peer agrees. */
  readonly relational?: boolean
}

/** Sub-operations of a retrieval as the peer counts them (PS3.7 9.1.4). */
export interface RetrieveProgress {
  readonly remaining: number
  readonly completed: number
  readonly failed: number
  readonly warning: number
}

export interface RetrieveOptions extends QueryOptions {
  /** After each pending response that tells counts. */
  onProgress?(progress: RetrieveProgress): void
}

/** How a retrieval ended. `status` is the peer's last (PS3.4 C.4.2.1.5): 0x0000 all done, 0xB000 some failed, 0xFE00 cancelled, others refused or failed. */
export interface Retrieved extends RetrieveProgress {
  readonly status: number
  /** What the peer could not send, where it says so. */
  readonly failedSopInstanceUids: readonly string[]
  /** The peer's words, perhaps with a patient's data: to be shown, never logged. */
  readonly errorComment?: string
}

/**
 * C-FIND at a peer, in the order of its answers. Reading slowly holds the peer back; leaving the loop early cancels the query.
 *
 * @returns DICOM keyword → text, decoded by the answer's own character set, several values joined by backslash; elements without keyword are left out.
 * @throws {Problem} outbound/refused, dimse/unreachable, dimse/rejected, dimse/not-accepted, dimse/timeout, dimse/lost, dimse/protocol;
 *   dimse/failed-at-peer with its status; dimse/cancelled
 */
export declare function findAt(peer: DicomPeer, asked: Asked, options: QueryOptions): AsyncIterable<Readonly<Record<string, string>>>

/**
 * C-MOVE at a peer: it sends to `destinationAeTitle`, which it must know. Resolves with whatever status it ends by.
 * @throws {Problem} as findAt, but for the peer's status
 */
export declare function moveFrom(peer: DicomPeer, asked: Asked & { readonly destinationAeTitle: string }, options: RetrieveOptions): Promise<Retrieved>

/**
 * C-GET at a peer: it sends on our own association, into `storage` (which decides the status of each object, as for C-STORE).
 *
 * @param asked.sopClassUids which storage classes may come, best from a C-FIND at IMAGE level before; the usual ones unless told.
 * @returns what the peer counted and what `storage` took.
 * @throws {Problem} as findAt, but for the peer's status
 */
export declare function getFrom(
  peer: DicomPeer,
  asked: Asked & { readonly sopClassUids?: readonly string[] },
  storage: StorageSink,
  options: RetrieveOptions,
): Promise<Retrieved & { readonly stored: readonly string[]; readonly refused: readonly { readonly sopInstanceUid: string; readonly problem: Problem }[] }>
