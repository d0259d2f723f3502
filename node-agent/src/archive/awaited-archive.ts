import type { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { isProblem, Problem, type ManifestRow, type RegionId } from 'specs'
import type { Log } from 'service-kit'
import type {
  Archive, ArchiveCheck, ArchiveName, ArrivedStudy, CoercionRow, FailedRegistration, IncomingForm, IncomingInstance, IncomingSource, InstanceFile, InstanceMatch, InstanceRow, MatchQuery,
  PatientRow, Receipt, ReplacementRow, RewriteOne, RewriteOptions, RewriteResult, SeriesMatch, StoredEvent, StudyCounts, StudyRow,
} from './archive.ts' // prettier-ignore
import type { ArchiveStorage } from './storage/archive-storage.ts'

const RETRY_MS = 5_000
/** A database that does not even refuse would hold up the start of everything else. */
const PATIENCE_MS = 15_000
const nothing = { studies: 0, instances: 0, sizeBytes: 0 }

/** An archive that may not be there yet. */
export interface AwaitedArchive extends Archive {
  /** Why it is not there, and since when; undefined once it is. */
  readonly absence: { readonly since: number; readonly reason: string } | undefined
  /** Called when it has come, at once if it is there. */
  whenOpen(listener: () => void): void
}

/**
 * Opens an archive without which the rest of the node can live (edge first): while its database or storage cannot be opened, every use of it
 * is refused with archive/unavailable, and it is tried again until it comes.
 *
 * @throws {Problem} what opening refuses for good, as archive/wrong-key: waiting would not mend it.
 */
export async function awaitArchive(name: ArchiveName, open: () => Promise<Archive>, { log, retryMs = RETRY_MS, patienceMs = PATIENCE_MS }: { log: Log; retryMs?: number; patienceMs?: number }): Promise<AwaitedArchive> {
  const archive = new WaitingArchive(name, open, log, retryMs)
  await archive.begin(patienceMs)
  return archive
}

class WaitingArchive implements AwaitedArchive {
  readonly name: ArchiveName
  readonly #openIt: () => Promise<Archive>
  readonly #log: Log
  readonly #retryMs: number
  readonly #listeners = new Map<(event: StoredEvent) => void, (() => void) | undefined>()
  readonly #waiting: (() => void)[] = []
  #archive: Archive | undefined
  #absence: AwaitedArchive['absence']
  #timer: ReturnType<typeof setTimeout> | undefined
  #opening: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(name: ArchiveName, open: () => Promise<Archive>, log: Log, retryMs: number) {
    this.name = name
    this.#openIt = open
    this.#log = log
    this.#retryMs = retryMs
  }

  /** @throws {Problem} what is known within `patienceMs` to be no matter of waiting. */
  async begin(patienceMs: number): Promise<void> {
    this.#absence = { since: Date.now(), reason: 'slow' }
    let isFirst = true
    const opened = this.#attempt(() => isFirst)
    this.#opening = opened.catch(() => undefined)
    let patience: ReturnType<typeof setTimeout> | undefined
    await Promise.race([opened, new Promise((resolve) => (patience = setTimeout(resolve, patienceMs)))]).finally(() => clearTimeout(patience))
    isFirst = false
    if (this.#absence) this.#log.error({ archive: this.name, ...this.#absence }, 'this archive cannot be opened; the rest works without it, and it is tried again')
  }

  get absence(): AwaitedArchive['absence'] {
    return this.#absence
  }

  whenOpen(listener: () => void): void {
    if (this.#archive) listener()
    else this.#waiting.push(listener)
  }

  /** One try; what it refuses for good ends the start of the node while `isStarting`. */
  async #attempt(isStarting: () => boolean): Promise<void> {
    let archive: Archive
    try {
      archive = await this.#openIt()
    } catch (error) {
      if (isStarting() && isProblem(error)) throw error
      this.#absence = { since: this.#absence?.since ?? Date.now(), reason: reasonOf(error) }
      this.#log.debug({ err: error, archive: this.name }, 'this archive cannot be opened yet')
      return this.#later()
    }
    if (this.#isClosed) return archive.close()
    if (!isStarting()) this.#log.info({ archive: this.name, sinceMs: Date.now() - (this.#absence?.since ?? 0) }, 'this archive has come')
    this.#take(archive)
    for (const listener of this.#waiting.splice(0)) listener()
  }

  #later(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#opening = this.#attempt(() => false)
    }, this.#retryMs)
    this.#timer.unref()
  }

  #take(archive: Archive): void {
    this.#archive = archive
    this.#absence = undefined
    for (const listener of this.#listeners.keys()) this.#listeners.set(listener, archive.onStored(listener))
  }

  /** Asynchronous, so that every refusal is a rejected promise like the archive's own. */
  async #its<T>(work: (archive: Archive) => Promise<T>): Promise<T> {
    if (!this.#archive) throw new Problem('archive/unavailable', { archive: this.name, ...this.#absence })
    return work(this.#archive)
  }

  onStored(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.set(listener, this.#archive?.onStored(listener))
    return () => {
      this.#listeners.get(listener)?.()
      this.#listeners.delete(listener)
    }
  }

  get storage(): ArchiveStorage {
    if (!this.#archive) throw new Problem('archive/unavailable', { archive: this.name, ...this.#absence })
    return this.#archive.storage
  }

  totals(): { readonly studies: number; readonly instances: number; readonly sizeBytes: number } {
    return this.#archive?.totals() ?? nothing
  }

  upkeep(): ReturnType<Archive['upkeep']> {
    return this.#archive?.upkeep() ?? []
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#opening
    await this.#archive?.close()
  }

  receive = (source: IncomingSource, form: IncomingForm): Promise<IncomingInstance> => this.#its((archive) => archive.receive(source, form))
  patients = (query?: MatchQuery): Promise<PatientRow[]> => this.#its((archive) => archive.patients(query))
  studies = (query?: MatchQuery): Promise<StudyRow[]> => this.#its((archive) => archive.studies(query))
  series = (study: string | undefined, query?: MatchQuery): Promise<SeriesMatch[]> => this.#its((archive) => archive.series(study, query))
  instances = (study: string | undefined, series?: string, query?: MatchQuery): Promise<InstanceMatch[]> => this.#its((archive) => archive.instances(study, series, query))
  study = (uid: string): Promise<StudyRow | undefined> => this.#its((archive) => archive.study(uid))
  studyCounts = (after: string, limit: number): Promise<StudyCounts[]> => this.#its((archive) => archive.studyCounts(after, limit))
  instance = (uid: string): Promise<InstanceRow | undefined> => this.#its((archive) => archive.instance(uid))
  open = (uid: string): Promise<InstanceFile> => this.#its((archive) => archive.open(uid))
  read = (uid: string, offset: number, length: number): Promise<Buffer> => this.#its((archive) => archive.read(uid, offset, length))
  seriesMetadata = (study: string, series: string): Promise<Buffer> => this.#its((archive) => archive.seriesMetadata(study, series))
  manifest = (study: string): Promise<ManifestRow[]> => this.#its((archive) => archive.manifest(study))
  receivers = (study: string): Promise<string[]> => this.#its((archive) => archive.receivers(study))
  studiesByReceiver = (): Promise<ReadonlyMap<string, number>> => this.#its((archive) => archive.studiesByReceiver())
  replacements = (study: string): Promise<ReplacementRow[]> => this.#its((archive) => archive.replacements(study))
  openReplaced = (keptAs: string): Promise<Readable> => this.#its((archive) => archive.openReplaced(keptAs))
  rewriteStudy = (study: string, options: RewriteOptions, rewriteOne: RewriteOne): Promise<RewriteResult> => this.#its((archive) => archive.rewriteStudy(study, options, rewriteOne))
  placeStudies = (campusOf: ReadonlyMap<string, string>): Promise<void> => this.#its((archive) => archive.placeStudies(campusOf))
  arrivals = (within: Parameters<Archive['arrivals']>[0]): Promise<ArrivedStudy[]> => this.#its((archive) => archive.arrivals(within))
  coercions = (filter?: Parameters<Archive['coercions']>[0]): Promise<CoercionRow[]> => this.#its((archive) => archive.coercions(filter))
  failedRegistrations = (): Promise<FailedRegistration[]> => this.#its((archive) => archive.failedRegistrations())
  retryFailed = (fileId: string): Promise<Receipt> => this.#its((archive) => archive.retryFailed(fileId))
  adoptRegion = (from: RegionId, to: RegionId): Promise<number> => this.#its((archive) => archive.adoptRegion(from, to))
  delete = (study: string): Promise<void> => this.#its((archive) => archive.delete(study))
  freeBytes = (): Promise<number> => this.#its((archive) => archive.freeBytes())
  verify = (options?: { digests?: boolean }): Promise<ArchiveCheck> => this.#its((archive) => archive.verify(options))
}

/** The cause without addresses and passwords: a database's own words may repeat the whole connection string. */
function reasonOf(error: unknown): string {
  if (isProblem(error)) return error.code
  const named = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return named ?? (error instanceof Error ? error.name : 'unknown')
}
