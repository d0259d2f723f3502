import type { Readable } from 'node:stream'
import type {
  EpochMs,
  HospitalId,
  ManifestRow,
  RegionId,
  SeriesInstanceUid,
  Sm3Hex,
  SopClassUid,
  SopInstanceUid,
  StudyInstanceUid,
  TransferSyntaxUid,
} from 'specs'
import type { Database, Log, Metrics } from 'service-kit'
import type { FrameIndex } from '../dicom/frame-index.ts'
import type { IndexedValues } from './attributes.ts'
import type { Digests } from './digest/digests.ts'
import type { EncryptionMode, FileEncryption } from './encryption/file-encryption.ts'
import type { MatchingRules } from './predicate.ts'
import type { ArchiveStorage } from './storage/archive-storage.ts'
import type { StoreOutcome } from './store-outcome.ts'
import type { UpkeepTask } from './upkeep.ts'

export type { StoreOutcome } from './store-outcome.ts'
export type { FrameIndex } from '../dicom/frame-index.ts'

export type ArchiveName = 'in-hospital' | 'regional'

/** Where an instance comes from. `owner` is the hospital the study belongs to: ourselves unless said otherwise; for a transfer, the peer. */
export interface IncomingSource {
  readonly kind: 'dimse' | 'stow' | 'transfer' | 'import' | 'own'
  /** AE title, user name, hospital id: shown and kept with the instance, never a patient's data. */
  readonly peer: string
  readonly owner?: HospitalId
  /** Region of the transfer's task, of the opinion's task, or of the registered AE; otherwise the study's, then the node's own (FED-20). */
  readonly regionId?: RegionId | undefined
  /** 接收节点: the receiving node (FED-19) at which it came, if at one; kept with the study. At most 16 characters, those of an AE title. */
  readonly receivingNode?: string | undefined
}

/**
 * `part10: true` is a file with preamble and meta header, `part10: false` a bare dataset as in P-DATA, in the named syntax.
 * The dataset is kept byte for byte. The meta header is written anew, so that the same dataset gives the same file whichever
 * way it came; only `transfer` and `own` are kept whole, because their digest has been promised to somebody.
 */
export type IncomingForm = { readonly part10: true } | { readonly part10: false; readonly transferSyntaxUid: string }

/** What the sender said it would send. A difference is `archive/uid-mismatch` (UIDs) or `transfer/digest-mismatch` (size, digest). */
export interface ExpectedInstance {
  readonly studyInstanceUid?: string
  readonly sopClassUid?: string
  readonly sopInstanceUid?: string
  readonly sm3?: Sm3Hex
  readonly sizeBytes?: number
}

/** What a dataset says it is. */
export interface ToldInstance {
  readonly studyInstanceUid: StudyInstanceUid
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  /** '' when it does not say. */
  readonly modality: string
}

/** The answer to "is it safe with you": given only when file and rows are on disk. */
export interface Receipt {
  readonly studyInstanceUid: StudyInstanceUid
  readonly seriesInstanceUid: SeriesInstanceUid
  readonly sopInstanceUid: SopInstanceUid
  readonly sopClassUid: SopClassUid
  readonly transferSyntaxUid: TransferSyntaxUid
  /** Of the Part 10 file as kept. */
  readonly sizeBytes: number
  readonly sm3: Sm3Hex
  readonly outcome: StoreOutcome
}

/** One instance on its way in. Exactly one of `commit` and `abort` ends it; `abort` after a failure is harmless. */
export interface IncomingInstance {
  /** Awaiting it is the back-pressure. The chunk must not be changed afterwards. @throws {Problem} archive/unreadable, bad-uid, out-of-space; the instance is then already discarded. */
  write(chunk: Uint8Array): Promise<void>
  /**
   * Resolves when file and rows are durable. @throws {Problem} archive/*, transfer/digest-mismatch; nothing is kept then.
   * @param admit asked when the dataset has told which instance it is; what it throws keeps the instance out.
   */
  commit(expected?: ExpectedInstance, admit?: (told: ToldInstance) => Promise<void>): Promise<Receipt>
  abort(): Promise<void>
}

/**
 * Matching as in PS3.4 C.2.2.2: DICOM keyword → text exactly as in a C-FIND identifier or QIDO parameter (wildcards, ranges,
 * lists by backslash or comma for UIDs). Empty text matches everything. Keywords of higher levels may be used at lower ones.
 * A keyword that is not indexed is ignored; `unmatchedKeywords` tells which those are. A search that no key narrows and that would look at too much is
 * refused with archive/query-too-broad (docs/adr/0022).
 */
export interface MatchQuery extends MatchingRules {
  readonly match?: Readonly<Record<string, string>>
  /** Only rows that carry this region (FED-20). */
  readonly regionId?: RegionId | undefined
  /** Only what came at this receiving node (FED-19). */
  readonly receivingNode?: string | undefined
  /** Only rows of this campus (ARC-19). */
  readonly campus?: string | undefined
  readonly limit?: number
  readonly offset?: number
}
export type StudyQuery = MatchQuery

export interface PatientRow {
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly patientId: string
  readonly issuerOfPatientId: string
  /** Person names are text as in (0010,0010), decoded: `Wang^XiaoDong=王^小东`. */
  readonly patientName: string
  readonly patientBirthDate: string
  readonly patientSex: string
  readonly studyCount: number
}

/** Dates are `YYYYMMDD`, times `HHMMSS[.ffffff]`, both '' when absent; every text is decoded to Unicode. */
export interface StudyRow {
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly studyInstanceUid: StudyInstanceUid
  readonly patientId: string
  readonly issuerOfPatientId: string
  readonly patientName: string
  readonly patientBirthDate: string
  readonly patientSex: string
  readonly patientAge: string
  readonly studyDate: string
  readonly studyTime: string
  readonly accessionNumber: string
  readonly studyId: string
  readonly studyDescription: string
  readonly referringPhysicianName: string
  readonly institutionName: string
  readonly modalitiesInStudy: readonly string[]
  readonly bodyPartsExamined: readonly string[]
  readonly sopClassesInStudy: readonly string[]
  readonly seriesCount: number
  readonly instanceCount: number
  readonly sizeBytes: number
  /** How many instances were offered again unchanged and dropped (ARC-12). */
  readonly duplicateCount: number
  /** '' while the lasting copy of its files is on the local disk; otherwise the store that has it (ARC-20). */
  readonly tier: string
  /** 院区, '' while nothing is known of it (ARC-19). */
  readonly campus: string
  readonly receivedAt: EpochMs
  readonly updatedAt: EpochMs
}

export type StudyCounts = Pick<StudyRow, 'studyInstanceUid' | 'regionId' | 'instanceCount' | 'sizeBytes'>

export interface SeriesRow {
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly studyInstanceUid: StudyInstanceUid
  readonly seriesInstanceUid: SeriesInstanceUid
  readonly modality: string
  readonly seriesNumber: string
  readonly seriesDescription: string
  readonly seriesDate: string
  readonly seriesTime: string
  readonly bodyPartExamined: string
  readonly laterality: string
  readonly protocolName: string
  readonly manufacturer: string
  readonly manufacturerModelName: string
  readonly stationName: string
  readonly performedProcedureStepStartDate: string
  readonly performedProcedureStepStartTime: string
  readonly instanceCount: number
  readonly sizeBytes: number
  /** Changes whenever an instance of the series does: key of caches. */
  readonly version: number
  readonly campus: string
  readonly updatedAt: EpochMs
}

export interface InstanceRow {
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly studyInstanceUid: StudyInstanceUid
  readonly seriesInstanceUid: SeriesInstanceUid
  readonly sopInstanceUid: SopInstanceUid
  readonly sopClassUid: SopClassUid
  readonly transferSyntaxUid: TransferSyntaxUid
  readonly instanceNumber: string
  readonly rows: number | null
  readonly columns: number | null
  readonly bitsAllocated: number | null
  readonly numberOfFrames: number | null
  readonly contentDate: string
  readonly contentTime: string
  readonly imageType: string
  readonly sizeBytes: number
  /** SM3 of the whole Part 10 file. */
  readonly sm3: Sm3Hex
  /** Below the archive's root; ends with `.sm4` where the file lies encrypted (ADR 0016). */
  readonly path: string
  readonly receivedAt: EpochMs
  readonly sourceKind: IncomingSource['kind']
  readonly sourcePeer: string
}

/** A study with the rows below it that match as well: one row per level, as C-FIND and QIDO-RS answer. */
export type SeriesMatch = SeriesRow & { readonly study: StudyRow }
export type InstanceMatch = InstanceRow & { readonly series: SeriesRow; readonly study: StudyRow }

/** A stored Part 10 file, open for as many ranged reads as wanted. */
export interface InstanceFile {
  readonly row: InstanceRow
  /** Where it lies, perhaps encrypted: for messages, not for reading. */
  readonly file: string
  readonly sizeBytes: number
  readonly transferSyntaxUid: TransferSyntaxUid
  readonly frameIndex: FrameIndex
  /** Length of preamble and meta header. */
  readonly datasetOffset: number
  /** Where Pixel Data begins; the whole file when there is none, or when it is deflated. */
  readonly headerBytes: number
  /** Bytes [offset, offset+length), shorter only at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>
  /** The whole file, or what follows `start` up to and without `end`. */
  stream(range?: { start?: number; end?: number }): Readable
}

export interface StoredEvent {
  readonly receipt: Receipt
  readonly study: StudyRow
  readonly source: IncomingSource
}

/** What a look through rows and files found; empty lists are the good news (ARC-22). */
export interface ArchiveCheck {
  readonly checkedInstances: number
  readonly missing: readonly SopInstanceUid[]
  readonly wrongSize: readonly SopInstanceUid[]
  /** Present only when digests were asked for. */
  readonly wrongDigest: readonly SopInstanceUid[]
  /** Files below the root without a row. */
  readonly orphans: readonly string[]
}

/** Instances replaced by changed content (FED-22) or rewritten by us; the previous file stays below `replaced/`. */
export interface ReplacementRow {
  readonly sopInstanceUid: SopInstanceUid
  readonly studyInstanceUid: StudyInstanceUid
  readonly previousSm3: Sm3Hex
  readonly previousSizeBytes: number
  readonly newSm3: Sm3Hex
  readonly keptAs: string
  readonly replacedAt: EpochMs
  readonly sourceKind: IncomingSource['kind']
  /** Who sent the new content; whoever had it rewritten. */
  readonly sourcePeer: string
  /** `sent`: changed content came; the others: rewritten here (`Archive.rewriteStudy`). */
  readonly reason: 'sent' | RewriteOptions['reason']
  /** One for all instances of one rewriting, '' of what was sent. */
  readonly rewriteId: string
}

/** New content of a stored instance as a Part 10 file of the same UIDs; undefined leaves it as it is. */
export type RewriteOne = (file: InstanceFile) => Promise<AsyncIterable<Uint8Array> | undefined> | AsyncIterable<Uint8Array> | undefined

export interface RewriteOptions {
  /** Who has it rewritten: account or part of the product, kept in the trace. */
  readonly peer: string
  readonly reason: 'correction' | 'restored' | 'compression'
  /** The former files stay below `replaced/`, with a row in `replacements`. */
  readonly keepPrevious: boolean
  /** Names the rewriting in the trace; made unless told. */
  readonly rewriteId?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, of: number) => void
}

export interface RewriteResult {
  readonly rewriteId: string
  readonly rewritten: number
  /** Instances that `rewriteOne` left. */
  readonly left: number
  /** Instances whose file is lost. */
  readonly lost: number
  /** Series that changed. */
  readonly series: readonly string[]
}

/** One value that was changed when an instance came in (ARC-25). Texts are decoded; the instance keeps the former bytes in its Original Attributes Sequence. */
export interface ChangedValue {
  /** DICOM keyword, or eight hex digits. */
  readonly attribute: string
  readonly from: string
  readonly to: string
}

/** An instance on the way in, whole on the disk and not registered yet. */
export interface LandedContent {
  readonly values: IndexedValues
  readonly source: IncomingSource
  open(): Promise<InstanceFile>
}

/** What an instance is to become before it is registered. */
export interface Coercion {
  readonly content: AsyncIterable<Uint8Array>
  /** Rule or correction, as kept in the trace. */
  readonly by: string
  readonly changes: readonly ChangedValue[]
}

/** Asked for every instance that devices and people send; undefined at once when nothing applies, because ingest waits for it. */
export type Coerce = (landed: LandedContent) => Promise<Coercion | undefined> | undefined

/** What was changed of an instance when it came in. */
export interface CoercionRow {
  readonly sopInstanceUid: SopInstanceUid
  readonly studyInstanceUid: StudyInstanceUid
  readonly coercedAt: EpochMs
  readonly by: string
  readonly changes: readonly ChangedValue[]
  /** Of the instance as it was sent. */
  readonly originalSm3: Sm3Hex
  readonly sourcePeer: string
}

/** An instance whose rows could not be written; its file is kept until somebody retries it (FED-23). */
export interface FailedRegistration {
  readonly fileId: string
  readonly failedAt: EpochMs
  readonly code: string
  readonly title: string
  readonly studyInstanceUid: string
  readonly sopInstanceUid: string
  readonly sizeBytes: number
  readonly source: IncomingSource
}

/** A study that something came of within a time. */
export interface ArrivedStudy {
  readonly studyInstanceUid: StudyInstanceUid
  readonly hospitalId: HospitalId
  readonly modality: string
  readonly sourcePeer: string
  readonly receivedAt: EpochMs
  readonly updatedAt: EpochMs
  readonly seriesCount: number
  readonly instanceCount: number
  readonly sizeBytes: number
  readonly duplicateCount: number
  /** Instances whose file is lost (ARC-22). */
  readonly missing: number
}

/** Keeping instances. A node has two, each with its own database and storage root (FED-33). */
export interface Archive {
  readonly name: ArchiveName
  receive(source: IncomingSource, form: IncomingForm): Promise<IncomingInstance>

  patients(query?: MatchQuery): Promise<PatientRow[]>
  studies(query?: StudyQuery): Promise<StudyRow[]>
  series(studyInstanceUid: string | undefined, query?: MatchQuery): Promise<SeriesMatch[]>
  instances(studyInstanceUid: string | undefined, seriesInstanceUid?: string, query?: MatchQuery): Promise<InstanceMatch[]>
  study(studyInstanceUid: string): Promise<StudyRow | undefined>
  /** All studies page by page in the order of their UIDs, for comparisons; `after` is '' at first, then the last UID of the page before. */
  studyCounts(after: string, limit: number): Promise<StudyCounts[]>
  instance(sopInstanceUid: string): Promise<InstanceRow | undefined>

  /** @throws {Problem} archive/unknown-instance; archive/wrong-key, archive/damaged-file for encrypted files */
  open(sopInstanceUid: string): Promise<InstanceFile>
  /** At most `length` bytes of the file. @throws {Problem} archive/unknown-instance */
  read(sopInstanceUid: string, offset: number, length: number): Promise<Buffer>
  /** gzip of a UTF-8 JSON array, one DICOM JSON object per instance (PS3.18 F), in order of Instance Number. @throws {Problem} archive/unknown-study */
  seriesMetadata(studyInstanceUid: string, seriesInstanceUid: string): Promise<Buffer>
  /** Rows in order of series and Instance Number. @throws {Problem} archive/unknown-study */
  manifest(studyInstanceUid: string): Promise<ManifestRow[]>
  replacements(studyInstanceUid: string): Promise<ReplacementRow[]>
  /** The receiving nodes (FED-19) at which a study came, the first one first. */
  receivers(studyInstanceUid: string): Promise<string[]>
  /** How many studies came at each receiving node. */
  studiesByReceiver(): Promise<ReadonlyMap<string, number>>
  /** A former file of an instance, decrypted. @throws {Problem} request/not-found when no replacement names it; archive/wrong-key */
  openReplaced(keptAs: string): Promise<Readable>
  /**
   * Gives instances of a study new content (corrections, compression): all of them or, when something is thrown, none. Who reads meanwhile reads the old content
   * or the new. Sent again, the originals count as duplicates (ARC-12). @throws {Problem} archive/identity-conflict, archive/out-of-space
   */
  rewriteStudy(studyInstanceUid: string, options: RewriteOptions, rewriteOne: RewriteOne): Promise<RewriteResult>
  /** Notes to which campus studies and their series belong; unknown studies are no error. */
  placeStudies(campusOf: ReadonlyMap<string, string>): Promise<void>
  /** Studies of which something came or changed within a time, newest first. */
  arrivals(within: { since: EpochMs; until: EpochMs; limit: number }): Promise<ArrivedStudy[]>
  /** What was changed on the way in, newest first: of a study, or of everything between two times. */
  coercions(filter?: { studyInstanceUid?: string; since?: EpochMs; until?: EpochMs; limit?: number }): Promise<CoercionRow[]>
  /** Newest first. */
  failedRegistrations(): Promise<FailedRegistration[]>
  /** @throws {Problem} request/not-found, or why it failed again. */
  retryFailed(fileId: string): Promise<Receipt>

  /**
   * Rows that were registered before there was a region become `to`'s (FED-20); study by study in small transactions, so it may be
   * interrupted and begun again. @returns how many studies.
   */
  adoptRegion(from: RegionId, to: RegionId): Promise<number>
  /** Rows first, then files; a crash between is finished at the next start. Unknown studies are no error. */
  delete(studyInstanceUid: string): Promise<void>
  /** Called after the instance is durable, in the order of commits. Returns how to stop listening. */
  onStored(listener: (event: StoredEvent) => void): () => void
  /** Of a large archive that has just been opened, what has been counted so far. */
  totals(): { readonly studies: number; readonly instances: number; readonly sizeBytes: number }
  /** What this version still has to do to the tables of a large archive while it serves; empty when nothing is. */
  upkeep(): readonly UpkeepTask[]
  freeBytes(): Promise<number>
  /** Where the files lie, besides the archive's own root. */
  readonly storage: ArchiveStorage
  verify(options?: { digests?: boolean }): Promise<ArchiveCheck>
  close(): Promise<void>
}

export interface ArchiveOptions {
  readonly name: ArchiveName
  readonly db: Database
  /** Folder of this archive alone; made when missing. */
  readonly root: string
  /** Below it every new instance is refused with archive/out-of-space. */
  readonly minFreeBytes: number
  readonly log: Log
  readonly metrics: Metrics
  /** The region of whatever says nothing of its own; asked at every commit, because a running node joins and changes regions (FED-20). */
  readonly regionId: () => RegionId
  readonly hospitalId: HospitalId
  /** Tokens {hospital} {modality} {year} {month} {day} {study} {series} {instance}; must contain {instance} (ARC-07). */
  readonly pathTemplate?: string
  /** Larger instances are refused. */
  readonly maxInstanceBytes?: number
  /** How often a failed registration is tried again by itself (FED-23); 3 unless told. */
  readonly registrationRetries?: number
  /** Wait before each of them; 1,000 unless told. */
  readonly registrationRetryMs?: number
  /** Rules and corrections for what devices and people send (ARC-25). */
  readonly coerce?: Coerce
  /** What becomes of changed content under the UID of an instance that is held (FED-22); `replace` unless told. */
  readonly changedContent?: (source: IncomingSource, modality: string) => 'replace' | 'refuse'
  /** How new files are written, `none` unless told; files of both kinds are read. */
  readonly encryptionMode?: EncryptionMode
  /** Where SM3 of what arrives is made: of all archives of a node together; by the caller's thread unless told. */
  readonly digests?: Digests
  /** Needed to write and to read encrypted files. */
  readonly encryption?: FileEncryption
}

export { openArchive } from './open-archive.ts'
