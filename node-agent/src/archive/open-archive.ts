import { createReadStream } from 'node:fs'
import type { Database, Log } from 'service-kit'
import { isProblem, parseHospitalId, Problem, type ManifestRow, type RegionId } from 'specs'
import type {
  Archive,
  ArchiveCheck,
  ArchiveName,
  ArchiveOptions,
  FailedRegistration,
  IncomingForm,
  IncomingInstance,
  IncomingSource,
  InstanceFile,
  InstanceMatch,
  InstanceRow,
  MatchQuery,
  PatientRow,
  Receipt,
  ReplacementRow,
  SeriesMatch,
  StoredEvent,
  StudyRow,
} from './archive.ts'
import { adoptStudies } from './adopt-region.ts'
import { archiveMetrics, type ArchiveMetrics } from './archive-metrics.ts'
import { checkArchive } from './check.ts'
import { CommitQueue } from './commit-queue.ts'
import { discardFailed, keepFailed, listFailed, readFailed } from './failed-registrations.ts'
import { makeFolders, type Folders } from './folders.ts'
import { FreeSpace } from './free-space.ts'
import { Incoming, type LandedInstance } from './incoming.ts'
import { IndexQueries } from './index-queries.ts'
import { MetadataCache } from './metadata-cache.ts'
import { defaultPathTemplate, parsePathTemplate } from './path-template.ts'
import { finishUnlinking, recover } from './recover.ts'
import type { Totals } from './register.ts'
import { ENCRYPTED, isEncryptedPath } from './encryption/file-form.ts'
import type { FileEncryption } from './encryption/file-encryption.ts'
import { decrypted } from './encryption/encrypted-input.ts'
import { requireRightKey } from './encryption/key-check.ts'
import { StoredFile, type StoredFiles } from './stored-file.ts'
import { migrations } from './tables.ts'

const defaultMaxInstanceBytes = 16 * 1024 ** 3

/**
 * Opens an archive, brings its tables up to date and finishes what the last stop interrupted.
 * @throws {Problem} archive/wrong-key, when it holds encrypted files and their key is missing or another one.
 */
export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  const placeOf = parsePathTemplate(options.pathTemplate ?? defaultPathTemplate)
  const encrypts = options.encryptionMode === 'sm4'
  const pathOf: typeof placeOf = encrypts ? (values, hospitalId) => placeOf(values, hospitalId) + ENCRYPTED : placeOf
  const folders = await makeFolders(options.root)
  await options.db.migrate('archive', migrations)
  await requireRightKey(options.db, options.encryption, encrypts)
  await recover(options.db, folders, options.log)
  const index = new IndexQueries(options.db)
  const archive = new DiskArchive(options, folders, pathOf, index, await index.totals())
  return archive
}

class DiskArchive implements Archive {
  readonly name: ArchiveName
  readonly #options: ArchiveOptions
  readonly #folders: Folders
  readonly #db: Database
  readonly #log: Log
  readonly #index: IndexQueries
  readonly #space: FreeSpace
  readonly #commits: CommitQueue
  readonly #metadata: MetadataCache
  readonly #files: StoredFiles
  /** Of new files. */
  readonly #encryption: FileEncryption | undefined
  readonly #metrics: ArchiveMetrics
  readonly #listeners = new Set<(event: StoredEvent) => void>()
  #totals: Totals

  constructor(
    options: ArchiveOptions,
    folders: Folders,
    pathOf: ReturnType<typeof parsePathTemplate>,
    index: IndexQueries,
    totals: Totals,
  ) {
    this.name = options.name
    this.#options = options
    this.#folders = folders
    this.#db = options.db
    this.#log = options.log
    this.#index = index
    this.#totals = totals
    this.#space = new FreeSpace(folders.root, options.minFreeBytes)
    this.#encryption = options.encryptionMode === 'sm4' ? options.encryption : undefined
    this.#files = { folders, encryption: options.encryption, find: (uid) => index.storedFile(uid) }
    this.#metadata = new MetadataCache(this.#files, index, options.log, this.#encryption)
    this.#metrics = archiveMetrics(options.metrics)
    this.#commits = new CommitQueue({
      db: options.db,
      folders,
      log: options.log,
      pathOf,
      regionId: options.regionId,
      hospitalId: options.hospitalId,
      registrationRetries: options.registrationRetries ?? 3,
      registrationRetryMs: options.registrationRetryMs ?? 1_000,
      onCommitted: (batch, grown) => this.#committed(batch, grown),
      onFailed: (landed, problem) => keepFailed(folders, landed, problem),
    })
  }

  async receive(source: IncomingSource, form: IncomingForm): Promise<IncomingInstance> {
    // The owner becomes part of paths and rows.
    if (source.kind === 'transfer') parseHospitalId(source.owner ?? source.peer)
    return Incoming.begin({
      folder: this.#folders.incoming,
      space: this.#space,
      maxInstanceBytes: this.#options.maxInstanceBytes ?? defaultMaxInstanceBytes,
      source,
      form,
      encryption: this.#encryption,
      register: (landed) => this.#commits.add(landed),
    })
  }

  async #committed(batch: readonly { readonly landed: LandedInstance; readonly receipt: Receipt }[], grown: Totals): Promise<void> {
    const { studies: before, instances, sizeBytes } = this.#totals
    this.#totals = { studies: before + grown.studies, instances: instances + grown.instances, sizeBytes: sizeBytes + grown.sizeBytes }
    for (const { receipt, landed } of batch) {
      this.#metrics.stored(this.name, receipt.outcome.kind, landed.source.kind, receipt.sizeBytes)
      if (receipt.outcome.kind === 'duplicate') continue
      this.#metadata.changed(receipt.studyInstanceUid, receipt.seriesInstanceUid)
      if (receipt.outcome.kind === 'replaced')
        this.#log.warn(
          { sopInstanceUid: receipt.sopInstanceUid, previousSm3: receipt.outcome.previous, source: landed.source },
          'instance replaced by changed content',
        )
    }
    if (this.#listeners.size === 0) return
    const studies = new Map<string, StudyRow>()
    for (const uid of new Set(batch.map(({ receipt }) => receipt.studyInstanceUid))) {
      const study = await this.#index.study(uid)
      if (study) studies.set(uid, study)
    }
    for (const { receipt, landed } of batch) {
      const study = studies.get(receipt.studyInstanceUid)
      if (study) this.#tell({ receipt, study, source: landed.source })
    }
  }

  #tell(event: StoredEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        // A listener's bug must not turn a durable instance into a failure for its sender.
        this.#log.error({ err: error, sopInstanceUid: event.receipt.sopInstanceUid }, 'listener to stored instances failed')
      }
    }
  }

  patients(query?: MatchQuery): Promise<PatientRow[]> {
    return this.#index.patients(query)
  }

  studies(query?: MatchQuery): Promise<StudyRow[]> {
    return this.#index.studies(query)
  }

  series(studyInstanceUid: string | undefined, query?: MatchQuery): Promise<SeriesMatch[]> {
    return this.#index.series(studyInstanceUid, query)
  }

  instances(studyInstanceUid: string | undefined, seriesInstanceUid?: string, query?: MatchQuery): Promise<InstanceMatch[]> {
    return this.#index.instances(studyInstanceUid, seriesInstanceUid, query)
  }

  study(studyInstanceUid: string): Promise<StudyRow | undefined> {
    return this.#index.study(studyInstanceUid)
  }

  instance(sopInstanceUid: string): Promise<InstanceRow | undefined> {
    return this.#index.storedFile(sopInstanceUid)
  }

  async open(sopInstanceUid: string): Promise<InstanceFile> {
    const row = await this.#index.storedFile(sopInstanceUid)
    if (!row) throw new Problem('archive/unknown-instance', { sopInstanceUid })
    return StoredFile.locate(this.#files, row)
  }

  async read(sopInstanceUid: string, offset: number, length: number): Promise<Buffer> {
    return (await this.open(sopInstanceUid)).read(offset, length)
  }

  seriesMetadata(studyInstanceUid: string, seriesInstanceUid: string): Promise<Buffer> {
    return this.#metadata.read(studyInstanceUid, seriesInstanceUid)
  }

  async manifest(studyInstanceUid: string): Promise<ManifestRow[]> {
    const rows = await this.#index.manifest(studyInstanceUid)
    if (rows.length === 0) throw new Problem('archive/unknown-study', { studyInstanceUid })
    return rows
  }

  replacements(studyInstanceUid: string): Promise<ReplacementRow[]> {
    return this.#index.replacements(studyInstanceUid)
  }

  failedRegistrations(): Promise<FailedRegistration[]> {
    return listFailed(this.#folders)
  }

  async retryFailed(fileId: string): Promise<Receipt> {
    const failed = await readFailed(this.#folders, fileId)
    if (!failed) throw new Problem('request/not-found', { fileId })
    // The meta header was written by us, so the file may be taken whole: its digest stays what it was.
    const incoming = await this.receive(failed.note.source, { part10: true })
    for await (const chunk of this.#contentOf(failed.file, fileId)) await incoming.write(chunk as Uint8Array)
    try {
      const receipt = await incoming.commit()
      await discardFailed(this.#folders, fileId)
      return receipt
    } catch (error) {
      // Not even now: then it has been set aside anew, with the newer reason.
      if (isProblem(error) && error.code === 'archive/failed') await discardFailed(this.#folders, fileId)
      throw error
    }
  }

  #contentOf(file: string, fileId: string): AsyncIterable<unknown> {
    if (!isEncryptedPath(file)) return createReadStream(file, { highWaterMark: 256 * 1024 })
    const { encryption } = this.#options
    if (!encryption) throw new Problem('archive/wrong-key', { fileId, reason: 'no vault' })
    return decrypted(encryption, file, fileId)
  }

  async adoptRegion(from: RegionId, to: RegionId): Promise<number> {
    let adopted = 0
    for (;;) {
      // Apart from commits: one that asked for the region before it was joined has been written when we look.
      const studies = await this.#commits.exclusively(() => this.#db.write((tx) => adoptStudies(tx, from, to)))
      if (studies === 0) return adopted
      adopted += studies
    }
  }

  async delete(studyInstanceUid: string): Promise<void> {
    await this.#commits.exclusively(async () => {
      await this.#db.write(async (tx) => {
        await tx.run(
          'INSERT INTO archive_unlink (path) SELECT path FROM archive_instance WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING',
          [studyInstanceUid],
        )
        await tx.run(
          'INSERT INTO archive_unlink (path) SELECT kept_as FROM archive_replacement WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING',
          [studyInstanceUid],
        )
        const study = await tx.get<{ patientKey: string }>(
          'SELECT patient_key AS "patientKey" FROM archive_study WHERE study_instance_uid = $1',
          [studyInstanceUid],
        )
        for (const table of ['archive_instance', 'archive_series_class', 'archive_series', 'archive_replacement', 'archive_study'])
          await tx.run(`DELETE FROM ${table} WHERE study_instance_uid = $1`, [studyInstanceUid])
        if (study)
          await tx.run(
            'DELETE FROM archive_patient WHERE patient_key = $1 AND NOT EXISTS (SELECT 1 FROM archive_study WHERE patient_key = $1)',
            [study.patientKey],
          )
      })
      await finishUnlinking(this.#db, this.#folders)
      await this.#metadata.forget(studyInstanceUid)
      this.#totals = await this.#index.totals()
    })
  }

  onStored(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  totals(): Totals {
    return this.#totals
  }

  freeBytes(): Promise<number> {
    return this.#space.measure()
  }

  verify({ digests = false }: { digests?: boolean } = {}): Promise<ArchiveCheck> {
    return checkArchive({ db: this.#db, folders: this.#folders, encryption: this.#options.encryption }, digests, (work) => this.#commits.exclusively(work))
  }

  async close(): Promise<void> {
    await this.#commits.exclusively(async () => undefined)
    await this.#metadata.close()
  }
}
