import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Log } from 'service-kit'
import { isProblem, parseHospitalId, Problem, type ManifestRow, type RegionId } from 'specs'
import type {
  Archive,
  ArchiveCheck,
  ArchiveName,
  ArchiveOptions,
  ArrivedStudy,
  CoercionRow,
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
  RewriteOne,
  RewriteOptions,
  RewriteResult,
  SeriesMatch,
  StoredEvent,
  StudyCounts,
  StudyRow,
} from './archive.ts'
import { adoptStudies } from './adopt-region.ts'
import { archiveMetrics, type ArchiveMetrics } from './archive-metrics.ts'
import { checkArchive } from './check.ts'
import { CommitQueue } from './commit-queue.ts'
import { discardFailed, keepFailed, listFailed, readFailed } from './failed-registrations.ts'
import { makeFolders, type Folders } from './folders.ts'
import { removeStudyRows } from './delete-study.ts'
import { FreeSpace } from './free-space.ts'
import { Incoming, type LandedInstance } from './incoming.ts'
import { IndexQueries } from './index-queries.ts'
import { nameWordsOfBefore } from './name-words.ts'
import { MetadataCache } from './metadata-cache.ts'
import type { PathOf } from './path-template.ts'
import { finishUnlinking, recover } from './recover.ts'
import { coerceLanded, openLanded } from './coerce-landed.ts'
import type { Totals } from './register.ts'
import { rewriteStudy, type RewriteSetup } from './rewrite.ts'
import { ENCRYPTED, isEncryptedPath } from './encryption/file-form.ts'
import { Digests } from './digest/digests.ts'
import type { FileEncryption } from './encryption/file-encryption.ts'
import { decrypted } from './encryption/encrypted-input.ts'
import { receiversOf, studiesByReceiver } from './receiver.ts'
import { requireRightKey } from './encryption/key-check.ts'
import { StoredFile, type StoredFiles } from './stored-file.ts'
import { ArchiveStorage } from './storage/archive-storage.ts'
import { forgetCopies } from './storage/copies.ts'
import { archiveIndexes } from './indexes.ts'
import { backfills } from './backfills.ts'
import { migrations } from './tables.ts'
import { Upkeep, type UpkeepTask } from './upkeep.ts'

const defaultMaxInstanceBytes = 16 * 1024 ** 3

/**
 * Opens an archive, brings its tables up to date and finishes what the last stop interrupted.
 * @throws {Problem} archive/wrong-key, when it holds encrypted files and their key is missing or another one.
 */
export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  const folders = await makeFolders(options.root)
  await options.db.migrate('archive', migrations)
  await requireRightKey(options.db, options.encryption, options.encryptionMode === 'sm4')
  await recover(options.db, folders, options.log)
  const archive = new DiskArchive(options, folders)
  await archive.begin()
  return archive
}

/** Up to so many studies are counted before the archive is open; more are counted beside it. */
const countedAtOnce = 20_000
const recountAfterMs = 30_000

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
  readonly #pathOf: PathOf = (values, hospitalId, source) => this.storage.pathOf(values, hospitalId, source) + (this.#encryption ? ENCRYPTED : '')
  #storage: ArchiveStorage | undefined
  /** Of new files. */
  readonly #encryption: FileEncryption | undefined
  readonly #digests: Digests
  readonly #metrics: ArchiveMetrics
  readonly #listeners = new Set<(event: StoredEvent) => void>()
  #totals: Totals = { studies: 0, instances: 0, sizeBytes: 0 }
  #upkeep: Upkeep | undefined
  #counting: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()

  constructor(
    options: ArchiveOptions,
    folders: Folders,
  ) {
    const index = new IndexQueries(options.db, {
      nameWords: () => this.#upkeep?.tasks.some(({ name }) => name === nameWordsOfBefore.name) === false,
      // Not counted yet: there are many.
      studies: () => this.#totals.studies || Infinity,
    })
    this.name = options.name
    this.#options = options
    this.#folders = folders
    this.#db = options.db
    this.#log = options.log
    this.#index = index
    this.#space = new FreeSpace(folders.root, options.minFreeBytes)
    this.#digests = options.digests ?? Digests.inline()
    this.#encryption = options.encryptionMode === 'sm4' ? options.encryption : undefined
    this.#files = { folders, encryption: options.encryption, find: (uid) => index.storedFile(uid), recall: (row) => this.storage.recalls.of(row) }
    this.#metadata = new MetadataCache(this.#files, index, options.log, this.#encryption)
    this.#metrics = archiveMetrics(options.metrics)
    this.#commits = new CommitQueue({
      db: options.db,
      folders,
      log: options.log,
      pathOf: this.#pathOf,
      regionId: options.regionId,
      hospitalId: options.hospitalId,
      ...(options.changedContent && { changedContent: options.changedContent }),
      registrationRetries: options.registrationRetries ?? 3,
      registrationRetryMs: options.registrationRetryMs ?? 1_000,
      onCommitted: (batch, grown) => this.#committed(batch, grown),
      onFailed: (landed, problem) => keepFailed(folders, landed, problem),
    })
  }

  /** What a large archive need not wait for goes on beside it: counting, and what its tables still lack. */
  async begin(): Promise<void> {
    this.#storage = await ArchiveStorage.open({
      db: this.#db,
      folders: this.#folders,
      encryption: this.#options.encryption,
      space: this.#space,
      log: this.#log,
      pathTemplate: this.#options.pathTemplate,
      exclusively: (work) => this.#commits.exclusively(work),
      totals: () => this.#totals,
      onStudyChanged: (study, change) => this.#studyChanged(study, change),
    })
    const large = await this.#db.get(`SELECT 1 AS one FROM archive_study LIMIT 1 OFFSET ${countedAtOnce}`)
    if (large) this.#counting = this.#count().catch((error: unknown) => this.#log.error({ err: error }, 'studies could not be counted'))
    else await this.#count()
    this.#upkeep = await Upkeep.begin({ db: this.#db, log: this.#log, indexes: archiveIndexes, backfills, quietMs: () => this.#commits.quietMs })
  }

  get storage(): ArchiveStorage {
    if (!this.#storage) throw new Error('the archive has not begun')
    return this.#storage
  }

  async #studyChanged(study: string, change: Totals): Promise<void> {
    const { studies, instances, sizeBytes } = this.#totals
    this.#totals = { studies: studies + change.studies, instances: instances + change.instances, sizeBytes: sizeBytes + change.sizeBytes }
    await this.#metadata.forget(study)
  }

  /** A count beside commits may miss some or see them twice; it is repeated until nothing came between. */
  async #count(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const before = this.#commits.stamp
      this.#totals = await this.#index.totals()
      if (before !== 'busy' && before === this.#commits.stamp) return
      await sleep(recountAfterMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
    }
  }

  async receive(source: IncomingSource, form: IncomingForm): Promise<IncomingInstance> {
    // The owner becomes part of paths and rows.
    if (source.kind === 'transfer') parseHospitalId(source.owner ?? source.peer)
    // What we write ourselves about images that we hold is never refused for a quota.
    if (source.kind !== 'own') await this.storage.requireQuota(source.owner ?? (source.kind === 'transfer' ? source.peer : this.#options.hospitalId))
    return Incoming.begin({
      folder: this.#folders.incoming,
      space: this.#space,
      maxInstanceBytes: this.#options.maxInstanceBytes ?? defaultMaxInstanceBytes,
      source,
      form,
      encryption: this.#encryption,
      digests: this.#digests,
      register: (landed) => this.#registered(landed),
    })
  }

  /** Straight to the commit queue, unless a rule or a correction says otherwise (ARC-25). What another archive or we ourselves promised is never touched. */
  #registered(landed: LandedInstance): Promise<Receipt> {
    const { kind } = landed.source
    const coercion = kind === 'transfer' || kind === 'own' ? undefined : this.#options.coerce?.({ values: landed.values, source: landed.source, open: () => openLanded(this.#files, landed) })
    if (coercion === undefined) return this.#commits.add(landed)
    return coerceLanded(landed, coercion, (source, content) => this.#land(source, content), this.#log).then((made) => this.#commits.add(made))
  }

  /** Content of our own making, in incoming/ and without rows. */
  async #land(source: IncomingSource, content: AsyncIterable<Uint8Array>): Promise<LandedInstance> {
    let landed: LandedInstance | undefined
    const incoming = await Incoming.begin({
      folder: this.#folders.incoming,
      space: this.#space,
      maxInstanceBytes: this.#options.maxInstanceBytes ?? defaultMaxInstanceBytes,
      source,
      form: { part10: true },
      encryption: this.#encryption,
      digests: this.#digests,
      register: (made) => {
        landed = made
        return Promise.resolve({} as Receipt)
      },
    })
    try {
      for await (const chunk of content) await incoming.write(chunk)
      await incoming.commit()
    } catch (error) {
      await incoming.abort()
      throw error
    }
    if (!landed) throw new Error('what is committed has landed')
    return landed
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
    this.storage.noteStored(batch.map(({ receipt }) => receipt.studyInstanceUid))
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

  studyCounts(after: string, limit: number): Promise<StudyCounts[]> {
    return this.#db.all<StudyCounts>(
      `SELECT study_instance_uid AS "studyInstanceUid", region_id AS "regionId", instance_count AS "instanceCount", size_bytes AS "sizeBytes" FROM archive_study
       WHERE study_instance_uid > $1 ORDER BY study_instance_uid LIMIT $2`,
      [after, limit],
    )
  }

  instance(sopInstanceUid: string): Promise<InstanceRow | undefined> {
    return this.#index.storedFile(sopInstanceUid)
  }

  async open(sopInstanceUid: string): Promise<InstanceFile> {
    const row = await this.#index.storedFile(sopInstanceUid)
    if (!row) throw new Problem('archive/unknown-instance', { sopInstanceUid })
    this.storage.noteOpened(row.studyInstanceUid)
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

  receivers(studyInstanceUid: string): Promise<string[]> {
    return receiversOf(this.#db, studyInstanceUid)
  }

  studiesByReceiver(): Promise<ReadonlyMap<string, number>> {
    return studiesByReceiver(this.#db)
  }

  replacements(studyInstanceUid: string): Promise<ReplacementRow[]> {
    return this.#index.replacements(studyInstanceUid)
  }

  async openReplaced(keptAs: string): Promise<Readable> {
    const kept = await this.#index.keptReplacement(keptAs)
    const file = kept && path.join(this.#folders.root, kept.keptAs)
    if (!file || !(await stat(file).catch(() => undefined))) throw new Problem('request/not-found', { keptAs })
    return this.#contentOf(file, path.basename(keptAs).slice(0, 36)) as Readable
  }

  async rewriteStudy(studyInstanceUid: string, options: RewriteOptions, rewriteOne: RewriteOne): Promise<RewriteResult> {
    const setup: RewriteSetup = {
      db: this.#db,
      folders: this.#folders,
      hospitalId: this.#options.hospitalId,
      regionId: this.#options.regionId,
      pathOf: this.#pathOf,
      open: (sopInstanceUid) => this.open(sopInstanceUid),
      land: (source, content) => this.#land(source, content),
      exclusively: (work) => this.#commits.exclusively(work),
    }
    const { grownBytes, ...result } = await rewriteStudy(setup, studyInstanceUid, options, rewriteOne)
    for (const series of result.series) this.#metadata.changed(studyInstanceUid, series)
    this.storage.noteStored([studyInstanceUid])
    this.#totals = { ...this.#totals, sizeBytes: this.#totals.sizeBytes + grownBytes }
    return result
  }

  async placeStudies(campusOf: ReadonlyMap<string, string>): Promise<void> {
    if (campusOf.size === 0) return
    await this.#db.write(async (tx) => {
      for (const [study, campus] of campusOf)
        for (const table of ['archive_study', 'archive_series']) await tx.run(`UPDATE ${table} SET campus = $2 WHERE study_instance_uid = $1 AND campus <> $2`, [study, campus])
    })
  }

  arrivals(within: Parameters<Archive['arrivals']>[0]): Promise<ArrivedStudy[]> {
    return this.#index.arrivals(within)
  }

  coercions(filter?: Parameters<Archive['coercions']>[0]): Promise<CoercionRow[]> {
    return this.#index.coercions(filter)
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
      const gone = await this.#db.write(async (tx) => {
        await tx.run(
          'INSERT INTO archive_unlink (path) SELECT path FROM archive_instance WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING',
          [studyInstanceUid],
        )
        await tx.run(
          'INSERT INTO archive_unlink (path) SELECT kept_as FROM archive_replacement WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING',
          [studyInstanceUid],
        )
        await forgetCopies(tx, studyInstanceUid)
        return removeStudyRows(tx, studyInstanceUid)
      })
      const { studies, instances, sizeBytes } = this.#totals
      if (gone) this.#totals = { studies: studies - 1, instances: instances - gone.instances, sizeBytes: sizeBytes - gone.sizeBytes }
      await finishUnlinking(this.#db, this.#folders)
      await this.#metadata.forget(studyInstanceUid)
      await this.storage.forgetRecycled(studyInstanceUid)
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

  upkeep(): readonly UpkeepTask[] {
    return this.#upkeep?.tasks ?? []
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#storage?.stop()
    await this.#upkeep?.stop()
    await this.#counting
    await this.#commits.close()
    await this.#metadata.close()
  }
}
