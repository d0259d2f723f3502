import { mkdir, rm } from 'node:fs/promises'
import type { Database, Log } from 'service-kit'
import { Problem, type IntegrityFinding, type IntegrityPass, type RecycledStudy, type StorageMove, type StoragePolicy, type StoreHealth, type StudyRestored } from 'specs'
import type { FileEncryption } from '../encryption/file-encryption.ts'
import type { Folders } from '../folders.ts'
import type { FreeSpace } from '../free-space.ts'
import { parsePathTemplate, type PathOf } from '../path-template.ts'
import { filesOfStudy } from './copies.ts'
import { Copier } from './copier.ts'
import type { ImageStore } from './image-store.ts'
import { Integrity } from './integrity.ts'
import { listMoves, waitingByStore, type WaitingAtStore } from './moves.ts'
import { Mover } from './mover.ts'
import { decideQuota, defaultPolicy, type QuotaState } from './policy.ts'
import { Recalls } from './recall.ts'
import { destroyRecycled, dropStrays, dueToDestroy, recycledStudies, recycleStudy, restoreStudy } from './recycle.ts'
import { StoreBook } from './store-book.ts'
import { Sweep } from './sweep.ts'
import { storageMigrations } from './tables.ts'

export interface ArchiveStorageSetup {
  readonly db: Database
  readonly folders: Folders
  readonly encryption: FileEncryption | undefined
  readonly space: FreeSpace
  readonly log: Log
  readonly pathTemplate?: string | undefined
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  readonly totals: () => { readonly instances: number; readonly sizeBytes: number }
  /** A study came back or went: counts and caches follow. */
  readonly onStudyChanged: (studyInstanceUid: string, change: { readonly studies: number; readonly instances: number; readonly sizeBytes: number }) => Promise<void>
  readonly now?: () => number
}

/** What the node tells of stores and rules, and what it wants to hear. */
export interface StorageTerms {
  readonly stores: readonly ImageStore[]
  readonly policy: StoragePolicy
  readonly campusesOf?: (studies: readonly string[]) => Promise<ReadonlyMap<string, string>>
  readonly onFinding?: (finding: Omit<IntegrityFinding, 'copiesAt'>) => void
  readonly onPassEnd?: (pass: IntegrityPass) => void
  readonly onDestroyed?: (study: RecycledStudy) => Promise<void>
}

export interface StoreBytes {
  readonly storeId: string
  readonly tierBytes: number
  readonly replicaBytes: number
  readonly files: number
}

const FRESH_MS = 500
const TICK_MS = 5_000
const WHOLE_MS = 3_600_000
const OPENED_AGAIN_MS = 600_000
const OWNER_USE_MS = 15_000

/** Where an archive's files lie: its own root, further stores, and everything that moves between them in the background. */
export class ArchiveStorage {
  readonly #setup: ArchiveStorageSetup
  readonly #now: () => number
  readonly stores = new StoreBook()
  readonly recalls: Recalls
  readonly integrity: Integrity
  readonly #copier: Copier
  readonly #mover: Mover
  readonly #sweep: Sweep
  readonly #stopped = new AbortController()
  readonly #opened = new Map<string, number>()
  readonly #changed = new Set<string>()
  #policy: StoragePolicy
  #terms: StorageTerms | undefined
  #pathOf: PathOf
  #ownerPaths = new Map<string, PathOf>()
  #fresh: ReturnType<typeof setTimeout> | undefined
  #tick: ReturnType<typeof setInterval> | undefined
  #sweeping: Promise<unknown> = Promise.resolve()
  #wholeAt = 0
  #ownerBytes = new Map<string, number>()
  #ownersAt = 0

  private constructor(setup: ArchiveStorageSetup) {
    this.#setup = setup
    this.#now = setup.now ?? Date.now
    this.#policy = { ...defaultPolicy, ...(setup.pathTemplate !== undefined && { pathTemplate: setup.pathTemplate }) }
    this.#pathOf = parsePathTemplate(this.#policy.pathTemplate)
    const { db, folders, space, log, exclusively, encryption } = setup
    this.stores.onBack = (storeId) => void this.#mover.resume(storeId)
    const common = { db, folders, stores: this.stores, log, exclusively, policy: () => this.#policy, now: this.#now }
    this.#copier = new Copier(common)
    this.recalls = new Recalls({ ...common, space, onDamaged: (file, copy) => this.integrity.noteDamaged(file, copy) })
    this.#mover = new Mover({ ...common, space, copier: this.#copier, recalls: this.recalls })
    this.integrity = new Integrity({
      ...common, encryption, copier: this.#copier, recalls: this.recalls,
      instances: () => setup.totals().instances,
      onFinding: (finding) => this.#terms?.onFinding?.(finding),
      onPassEnd: (pass) => this.#terms?.onPassEnd?.(pass),
    }) // prettier-ignore
    this.#sweep = new Sweep({ ...common, campusesOf: (studies) => this.#terms?.campusesOf?.(studies) ?? Promise.resolve(new Map()) })
  }

  static async open(setup: ArchiveStorageSetup): Promise<ArchiveStorage> {
    await setup.db.migrate('archive-storage', storageMigrations)
    await rm(setup.folders.recalled, { recursive: true, force: true }) // what was half way back is fetched again
    await mkdir(setup.folders.recalled, { recursive: true, mode: 0o750 })
    await dropStrays(setup)
    return new ArchiveStorage(setup)
  }

  get policy(): StoragePolicy {
    return this.#policy
  }

  /** Begins to work by these terms; called again when they change. @throws {Error} for a path template that cannot be */
  apply(terms: StorageTerms): void {
    const { pathTemplate, ownerTemplates } = terms.policy
    this.#pathOf = parsePathTemplate(pathTemplate)
    this.#ownerPaths = new Map(Object.entries(ownerTemplates).map(([owner, template]) => [owner, parsePathTemplate(template)]))
    this.#policy = terms.policy
    this.#terms = terms
    this.stores.set(terms.stores)
    this.#wholeAt = 0
    this.#ownersAt = 0
    if (this.#tick === undefined) {
      this.#mover.start()
      this.#tick = setInterval(() => void this.tick(), TICK_MS)
      this.#tick.unref()
    }
    void this.tick()
  }

  /** Where the next file lies; every owner may have a rule of its own (ARC-07, AGT-14). */
  readonly pathOf: PathOf = (values, hospitalId, source) => (this.#ownerPaths.get(hospitalId) ?? this.#pathOf)(values, hospitalId, source)

  /** After instances have been stored. */
  noteStored(studies: Iterable<string>): void {
    if (this.#policy.tierRules.length + this.#policy.replicaRules.length === 0) return
    for (const study of studies) this.#changed.add(study)
    this.#fresh ??= setTimeout(() => {
      this.#fresh = undefined
      const uids = [...this.#changed]
      this.#changed.clear()
      this.#swept(() => this.#sweep.some(uids))
    }, FRESH_MS)
    this.#fresh.unref()
  }

  /** For rules that ask how long a study was not opened; nothing is noted where none does. */
  noteOpened(study: string): void {
    if (this.#policy.tierRules.length === 0 && this.#policy.cacheBytes === null) return
    const now = this.#now()
    if (now - (this.#opened.get(study) ?? 0) < OPENED_AGAIN_MS) return
    this.#opened.set(study, now)
    if (this.#opened.size > 10_000) this.#opened.clear()
    this.#setup.db.run('UPDATE archive_study SET opened_at = $1 WHERE study_instance_uid = $2', [now, study]).catch((error: unknown) => this.#setup.log.warn({ err: error }, 'opening not noted'))
  }

  /** What time brings: rules that have come to apply, checks and destructions that are due, a disk that runs short. */
  async tick(): Promise<void> {
    try {
      if (this.#now() - this.#wholeAt >= WHOLE_MS) {
        this.#wholeAt = this.#now()
        this.#swept(() => this.#sweep.whole(this.#stopped.signal))
      }
      await this.#mover.makeRoom()
      await this.integrity.tick()
      await this.#destroyDue()
      await this.#tryFailing()
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#setup.log.error({ err: error }, 'upkeep of stored files left for later')
    }
  }

  #swept(work: () => Promise<number>): void {
    this.#sweeping = this.#sweeping
      .then(() => (this.#stopped.signal.aborted ? 0 : work()))
      .then((asked) => asked > 0 && this.#mover.wake())
      .catch((error: unknown) => this.#setup.log.error({ err: error }, 'rules of storage not looked at'))
  }

  /** All rules at all studies, now; resolves when everything is queued. */
  async sweepNow(): Promise<void> {
    this.#swept(() => this.#sweep.whole(this.#stopped.signal))
    await this.#sweeping
  }

  async #tryFailing(): Promise<void> {
    for (const storeId of this.stores.ids) {
      if (this.stores.health(storeId)?.state !== 'ok') await this.stores.use(storeId, (store) => store.head('.lianpian-there')).catch(() => undefined) // its health says so
    }
  }

  // orders of people

  async order(study: string, order: 'move' | 'recall' | 'home', to: string | undefined, askedBy: string): Promise<void> {
    const row = await this.#setup.db.get<{ tier: string }>('SELECT tier FROM archive_study WHERE study_instance_uid = $1', [study])
    if (!row) throw new Problem('archive/unknown-study', { studyInstanceUid: study })
    if (order === 'move' && (to === undefined || !this.stores.has(to))) throw new Problem('store/unknown', { storeId: to })
    if (order === 'move') return this.#mover.order(study, to ?? '', 'tier', askedBy)
    await this.#mover.order(study, row.tier, order, askedBy)
  }

  moves(limit = 200): Promise<StorageMove[]> {
    return listMoves(this.#setup.db, limit)
  }

  /** Every file of a study that is missing or damaged, from a sound copy (ARC-24). @throws {Problem} archive/unknown-study */
  async restoreStudy(study: string): Promise<StudyRestored> {
    const files = await filesOfStudy(this.#setup.db, study)
    if (files.length === 0) throw new Problem('archive/unknown-study', { studyInstanceUid: study })
    const result = { checked: 0, restored: 0, failed: [] as StudyRestored['failed'] }
    for (const file of files) {
      result.checked += 1
      if (await this.integrity.isSound(file)) continue
      if (await this.integrity.repair(file.sopInstanceUid, 'local')) result.restored += 1
      else result.failed.push(file.sopInstanceUid as never)
    }
    return result
  }

  recycled(limit = 200): Promise<RecycledStudy[]> {
    return recycledStudies(this.#setup.db, limit)
  }

  /** Out of every list at once; for good after the days of the policy (0: now). @throws {Problem} archive/unknown-study */
  async recycle(study: string, deletedBy: string, reason: string): Promise<void> {
    const now = this.#now()
    const order = { deletedBy, reason, destroyAfter: now + this.#policy.recycleDays * 86_400_000 }
    await this.#setup.exclusively(async () => {
      const before = await this.#sizeOf(study)
      await recycleStudy(this.#setup, study, order, now)
      await this.#setup.onStudyChanged(study, { studies: -before.studies, instances: -before.instances, sizeBytes: -before.sizeBytes })
    })
    if (this.#policy.recycleDays === 0) await this.#destroyDue()
  }

  /** @throws {Problem} archive/not-recycled */
  async restoreRecycled(study: string): Promise<void> {
    await this.#setup.exclusively(async () => {
      const before = await this.#sizeOf(study)
      await restoreStudy(this.#setup, study)
      const after = await this.#sizeOf(study)
      await this.#setup.onStudyChanged(study, { studies: after.studies - before.studies, instances: after.instances - before.instances, sizeBytes: after.sizeBytes - before.sizeBytes })
    })
  }

  async #sizeOf(study: string): Promise<{ studies: number; instances: number; sizeBytes: number }> {
    const row = await this.#setup.db.get<{ instances: number; sizeBytes: number }>('SELECT instance_count AS "instances", size_bytes AS "sizeBytes" FROM archive_study WHERE study_instance_uid = $1', [study])
    return row ? { studies: 1, ...row } : { studies: 0, instances: 0, sizeBytes: 0 }
  }

  /** @throws {Problem} archive/not-recycled */
  async destroy(study: string, because?: string): Promise<void> {
    const row = (await this.recycled(10_000)).find(({ studyInstanceUid }) => studyInstanceUid === study)
    if (!row) throw new Problem('archive/not-recycled', { studyInstanceUid: study })
    await this.#setup.exclusively(() => destroyRecycled(this.#setup, study))
    await this.#terms?.onDestroyed?.({ ...row, reason: because ?? row.reason })
    this.#mover.wake()
  }

  /** With the study that is destroyed for good goes what was deleted of it before. Inside `exclusively`. */
  async forgetRecycled(study: string): Promise<void> {
    const isThere = await this.#setup.db.get('SELECT 1 AS "one" FROM archive_recycled WHERE study_instance_uid = $1', [study])
    if (isThere) await destroyRecycled(this.#setup, study)
    this.#mover.wake()
  }

  async #destroyDue(): Promise<void> {
    for (const { study } of await dueToDestroy(this.#setup.db, this.#now())) await this.destroy(study)
  }

  // quotas

  quota(): QuotaState {
    return decideQuota(this.#setup.totals().sizeBytes, this.#policy.quotaBytes, this.#policy.warnPercent)
  }

  /** @throws {Problem} archive/quota */
  async requireQuota(owner: string): Promise<void> {
    const { quotaBytes, ownerQuotas } = this.#policy
    if (this.quota() === 'full') throw new Problem('archive/quota', { quotaBytes, usedBytes: this.#setup.totals().sizeBytes })
    const own = (ownerQuotas as Readonly<Record<string, number>>)[owner]
    if (own === undefined) return
    if (this.#now() - this.#ownersAt > OWNER_USE_MS) {
      this.#ownersAt = this.#now()
      this.#ownerBytes = new Map((await this.owners()).map(({ hospitalId, sizeBytes }) => [hospitalId, sizeBytes]))
    }
    const usedBytes = this.#ownerBytes.get(owner) ?? 0
    if (usedBytes >= own) throw new Problem('archive/quota', { hospitalId: owner, quotaBytes: own, usedBytes })
  }

  owners(): Promise<{ hospitalId: string; studies: number; sizeBytes: number; replicaBytes: number }[]> {
    return this.#setup.db.all(
      `SELECT study.hospital_id AS "hospitalId", COUNT(*) AS "studies", SUM(study.size_bytes) AS "sizeBytes",
       COALESCE((SELECT SUM(copy.size_bytes) FROM archive_copy copy JOIN archive_study own ON own.study_instance_uid = copy.study_instance_uid
         WHERE own.hospital_id = study.hospital_id AND copy.role = 'replica'), 0) AS "replicaBytes"
       FROM archive_study study GROUP BY study.hospital_id ORDER BY study.hospital_id`,
    )
  }

  // figures

  tiers(): Promise<{ storeId: string; studies: number; sizeBytes: number }[]> {
    return this.#setup.db.all(`SELECT CASE WHEN tier = '' THEN 'local' ELSE tier END AS "storeId", COUNT(*) AS "studies", COALESCE(SUM(size_bytes), 0) AS "sizeBytes" FROM archive_study GROUP BY tier ORDER BY tier`)
  }

  bytesByStore(): Promise<StoreBytes[]> {
    return this.#setup.db.all(
      `SELECT store_id AS "storeId", SUM(CASE WHEN role = 'tier' THEN size_bytes ELSE 0 END) AS "tierBytes", SUM(CASE WHEN role = 'tier' THEN 0 ELSE size_bytes END) AS "replicaBytes", COUNT(*) AS "files"
       FROM archive_copy GROUP BY store_id`,
    )
  }

  waiting(): Promise<WaitingAtStore[]> {
    return waitingByStore(this.#setup.db)
  }

  async counts(): Promise<{ recycled: number; findings: number; unreadable: number }> {
    const count = async (sql: string) => (await this.#setup.db.get<{ n: number }>(sql))?.n ?? 0
    return {
      recycled: await count('SELECT COUNT(*) AS "n" FROM archive_recycled'),
      findings: await count('SELECT COUNT(*) AS "n" FROM archive_finding'),
      unreadable: await count("SELECT COUNT(*) AS \"n\" FROM archive_finding WHERE store_id = 'local'"),
    }
  }

  health(storeId: string): StoreHealth | undefined {
    return this.stores.health(storeId)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#fresh)
    clearInterval(this.#tick)
    await this.integrity.stop()
    await this.#mover.stop()
    await this.recalls.stop()
    await this.#sweeping
  }
}

