import { z } from 'zod'
import { EpochMs, Sm3Hex, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid } from '../identifiers.ts'
import { SignedGrant } from '../access/grant.ts'
import { SignedAssertion } from '../federation/assertion.ts'

/**
 * Receiver-driven transfer: open (sealed) → manifest and session keys (sealed) → pieces under the session keys.
 * The owner checks the grant at every piece; the receiver checks every instance against the manifest, which the owner
 * signed as part of the sealed reply.
 */
export const PIECE_BYTES = 1024 * 1024
/** Rows of a manifest in one reply. */
export const MANIFEST_ROWS = 1_000

/** Sealed request of service `transfer.open`. */
export const OpenTransfer = z.object({
  studyInstanceUid: StudyInstanceUid,
  grant: SignedGrant,
  purpose: z.enum(['push', 'pull', 'prefetch']),
  /** For whom; absent when the node fetches by itself what a task sends it. A grant of a person needs it. */
  assertion: SignedAssertion.optional(),
  /** Further rows of a long manifest, of a session opened before; rows from this index on. */
  more: z.object({ sessionId: z.uuid(), fromRow: z.number().int().positive() }).optional(),
})
export type OpenTransfer = z.infer<typeof OpenTransfer>

export const ManifestRow = z.object({
  seriesInstanceUid: SeriesInstanceUid,
  sopInstanceUid: SopInstanceUid,
  sopClassUid: SopClassUid,
  transferSyntaxUid: TransferSyntaxUid,
  /** Instance Number as text, for ordering only; may be empty. */
  instanceNumber: z.string().max(16),
  modality: z.string().max(16),
  sizeBytes: z.number().int().positive(),
  /** SM3 of the whole Part 10 file. */
  sm3: Sm3Hex,
})
export type ManifestRow = z.infer<typeof ManifestRow>

export const Manifest = z.object({ studyInstanceUid: StudyInstanceUid, rows: z.array(ManifestRow).min(1).max(100_000), madeAt: EpochMs })
export type Manifest = z.infer<typeof Manifest>

/** Sealed reply. Keys are base64: `encryptionKey` 16 bytes for SM4-CTR, `macKey` 32 bytes for HMAC-SM3. */
export const OpenedTransfer = z.object({
  sessionId: z.uuid(),
  encryptionKey: z.base64(),
  macKey: z.base64(),
  expires: EpochMs,
  /** At most MANIFEST_ROWS of its rows, so that a reply stays a message; `totalRows` says how many there are. */
  manifest: Manifest,
  totalRows: z.number().int().positive(),
})
export type OpenedTransfer = z.infer<typeof OpenedTransfer>

/** Request of a piece, in clear but authenticated by HMAC-SM3 under the session key; UIDs say nothing about the patient. */
export const PieceRequest = z.object({
  sessionId: z.uuid(),
  /** Strictly increasing per session: a repeated request is refused. */
  counter: z.number().int().positive(),
  sopInstanceUid: SopInstanceUid,
  offset: z.number().int().nonnegative(),
  length: z.number().int().positive().max(PIECE_BYTES),
})
export type PieceRequest = z.infer<typeof PieceRequest>

/** Asks for bytes of the gzip of a series' DICOM JSON; the answer begins with the whole length (4 bytes, big-endian). */
export const MetadataRequest = z.object({
  sessionId: z.uuid(),
  counter: z.number().int().positive(),
  seriesInstanceUid: SeriesInstanceUid,
  offset: z.number().int().nonnegative(),
})
export type MetadataRequest = z.infer<typeof MetadataRequest>
