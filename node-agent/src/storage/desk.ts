import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Log, User, Vault } from 'service-kit'
import { Problem, type HospitalId, type RecycledStudy, type S3StoreDraft, type StorageState, type StoragePolicy, type StoreHealth, type StoreRow, type StoreUse } from 'specs'
import type { Archive, ArchiveName } from '../archive/archive.ts'
import type { AwaitedArchive } from '../archive/awaited-archive.ts'
import { parsePathTemplate } from '../archive/path-template.ts'
import { type ImageStore, tryStore } from '../archive/storage/image-store.ts'
import { defaultPolicy } from '../archive/storage/policy.ts'
import type { OutboundGate } from '../archive/storage/s3-request.ts'
import { openBucket, openStores } from './open-stores.ts'
import { dropBucket, keepBucket, keepPolicy, keptBuckets, keptPolicy, secretContext, storageSettingsMigrations, type KeptPolicy } from './settings-store.ts'
import type { StoreConfig } from './store-config.ts'

export interface StorageDeskParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail & { note(event: Parameters<AuditTrail['record']>[0]): void }
  readonly vault: Vault
  readonly outbound: OutboundGate
  readonly hospitalId: HospitalId
  readonly inHospital: Archive
  readonly regional: AwaitedArchive
  readonly configured: readonly StoreConfig[]
  readonly roots: Readonly<Record<ArchiveName, string>>
  readonly minFreeBytes: number
  readonly pathTemplate: string | undefined
  /** Of the configuration; the page may say otherwise (AGT-12). */
  readonly cacheBytes: number
  readonly now?: () => number
}

const KEPT_TIMES = 20
const names: readonly ArchiveName[] = ['in-hospital', 'regional']
const example = { studyDate: '20261122', modality: 'CT', studyInstanceUid: '1.2.840.1', seriesInstanceUid: '1.2.840.1.1', sopInstanceUid: '1.2.840.1.1.1' }

/** 存储: what an administrator sees and decides of where images lie, for both archives of the node. */
export class StorageDesk {
  readonly #parts: StorageDeskParts
  readonly #now: () => number
  readonly #policies = new Map<ArchiveName, KeptPolicy>()
  readonly #stores = new Map<ArchiveName, ImageStore[]>()
  readonly #figures = new Map<string, { readonly value: unknown; readonly until: number }>()

  private constructor(parts: StorageDeskParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  /** The archives work by these terms from now on, the regional one as soon as it is there. */
  static async open(parts: StorageDeskParts): Promise<StorageDesk> {
    await parts.db.migrate('storage-settings', storageSettingsMigrations)
    const desk = new StorageDesk(parts)
    await desk.#loadPolicies()
    await desk.#loadStores()
    desk.#apply('in-hospital')
    parts.regional.whenOpen(() => desk.#apply('regional'))
    return desk
  }

  async #loadPolicies(): Promise<void> {
    const { db, pathTemplate, cacheBytes } = this.#parts
    for (const name of names) {
      const whenNone = { ...defaultPolicy, ...(pathTemplate !== undefined && { pathTemplate }), cacheBytes: name === 'regional' ? cacheBytes : null, ...(name === 'regional' && { recycleDays: 0 }) }
      this.#policies.set(name, await keptPolicy(db, name, whenNone))
    }
  }

  /** What is still being done with the former ones ends as an interruption, and is done again. */
  async #loadStores(): Promise<void> {
    for (const name of names) {
      const former = this.#stores.get(name) ?? []
      this.#stores.set(name, await openStores(this.#parts, name))
      for (const store of former) store.close()
    }
  }

  #archive(name: ArchiveName): Archive {
    return name === 'regional' ? this.#parts.regional : this.#parts.inHospital
  }

  #apply(name: ArchiveName): void {
    const { audit, db, hospitalId } = this.#parts
    this.#archive(name).storage.apply({
      stores: this.#stores.get(name) ?? [],
      policy: this.policy(name),
      campusesOf: async (studies) => {
        const marks = studies.map((_study, at) => `$${at + 1}`).join(', ')
        const rows = await db.all<{ study: string; campus: string }>(`SELECT study_instance_uid AS "study", campus AS "campus" FROM exam WHERE study_instance_uid IN (${marks})`, studies)
        return new Map(rows.map(({ study, campus }) => [study, campus]))
      },
      onFinding: ({ studyInstanceUid, sopInstanceUid, storeId, kind }) =>
        audit.note({ action: 'archive.damage', outcome: 'failed', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, facts: { sopInstanceUid, store: storeId, kind, archive: name } }),
      onPassEnd: ({ passId, checked, missing, corrupt, repaired, unreachable }) =>
        audit.note({ action: 'archive.check', outcome: missing + corrupt > repaired ? 'failed' : 'success', object: { type: 'config', id: `storage/${name}` }, facts: { passId, checked, missing, corrupt, repaired, unreachable } }),
      onDestroyed: (study) => this.#noteDestroyed(name, study),
    })
  }

  #noteDestroyed(name: ArchiveName, { studyInstanceUid, reason, deletedBy, instanceCount, sizeBytes }: RecycledStudy): Promise<void> {
    const { audit, hospitalId } = this.#parts
    return audit.record({ action: 'study.destroy', outcome: 'success', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, reason, facts: { deletedBy, instanceCount, sizeBytes, archive: name } })
  }

  policy(name: ArchiveName): StoragePolicy {
    return this.#policies.get(name)?.policy ?? defaultPolicy
  }

  storageOf(name: ArchiveName): Archive['storage'] {
    return this.#archive(name).storage
  }

  /** @throws {Problem} request/invalid for a path rule that cannot be, or a rule for a store that there is not */
  async changePolicy(user: Pick<User, 'name'>, name: ArchiveName, policy: StoragePolicy, reason: string): Promise<void> {
    const { db, audit } = this.#parts
    for (const template of [policy.pathTemplate, ...Object.values(policy.ownerTemplates)]) requireTemplate(template)
    const known = (this.#stores.get(name) ?? []).map(({ storeId }) => storeId)
    for (const { to } of [...policy.tierRules, ...policy.replicaRules]) if (!known.includes(to)) throw new Problem('store/unknown', { storeId: to })
    const before = this.policy(name)
    await db.write(async (tx) => {
      await keepPolicy(tx, name, policy, { name: user.name, reason }, this.#now())
      await audit.within(tx, { action: 'config.change', outcome: 'success', object: { type: 'config', id: `storage/${name}` }, reason, before: changedOnly(before, policy), after: changedOnly(policy, before) })
    })
    await this.#loadPolicies()
    this.#applyAll()
  }

  /** An archive that is not there takes its terms when it comes. */
  #applyAll(): void {
    for (const name of names) if (name !== 'regional' || !this.#parts.regional.absence) this.#apply(name)
  }

  /** Tried before it is saved. @throws {Problem} store/…, outbound/refused */
  async saveBucket(user: Pick<User, 'name'>, { secretAccessKey, reason, ...settings }: S3StoreDraft): Promise<void> {
    const { db, audit, vault, configured } = this.#parts
    if (configured.some(({ id }) => id === settings.storeId)) throw new Problem('request/conflict', { storeId: settings.storeId })
    const held = (await keptBuckets(db)).find((bucket) => bucket.settings.storeId === settings.storeId)
    const secret = secretAccessKey !== '' || !held ? secretAccessKey : vault.open(held.sealedSecret, secretContext(settings.storeId))
    if (secret === '') throw new Problem('request/invalid', { field: 'secretAccessKey' })
    for (const name of names) {
      const store = openBucket(this.#parts, settings, secret, name)
      await tryStore(store, randomUUID()).finally(() => store.close())
    }
    await db.write(async (tx) => {
      await keepBucket(tx, { settings, sealedSecret: vault.seal(secret, secretContext(settings.storeId)) }, user.name, this.#now())
      const told = ({ storeId: _id, caPem: _ca, ...rest }: typeof settings) => rest
      await audit.within(tx, { action: 'config.change', outcome: 'success', object: { type: 'config', id: `store/${settings.storeId}` }, reason, ...(held && { before: told(held.settings) }), after: told(settings) })
    })
    await this.#loadStores()
    this.#applyAll()
  }

  /** Whether it can be worked with at this moment; the answer stands with the store. @throws {Problem} store/unknown */
  async tryStore(storeId: string): Promise<StoreHealth> {
    const { stores } = this.#parts.inHospital.storage
    if (!stores.has(storeId)) throw new Problem('store/unknown', { storeId })
    await stores.use(storeId, (store) => tryStore(store, randomUUID())).catch(() => undefined) // its health says so
    return stores.health(storeId) ?? { state: 'unknown', since: this.#now(), code: '', reason: '' }
  }

  /** @throws {Problem} store/unknown, store/in-use */
  async dropBucket(user: Pick<User, 'name'>, storeId: string, reason: string): Promise<void> {
    const { db, audit } = this.#parts
    if (!(await keptBuckets(db)).some(({ settings }) => settings.storeId === storeId)) throw new Problem('store/unknown', { storeId })
    for (const name of names) {
      const { tierRules, replicaRules } = this.policy(name)
      const named = [...tierRules, ...replicaRules].some(({ to }) => to === storeId)
      const held = await this.storageOf(name).bytesByStore()
      if (named || held.some((each) => each.storeId === storeId && each.files > 0)) throw new Problem('store/in-use', { storeId, archive: name })
    }
    await db.write(async (tx) => {
      await dropBucket(tx, storeId)
      await audit.within(tx, { action: 'config.change', outcome: 'success', object: { type: 'config', id: `store/${storeId}` }, reason, after: { deleted: true, by: user.name } })
    })
    await this.#loadStores()
    this.#applyAll()
  }

  async stores(): Promise<StoreRow[]> {
    const { configured, db, roots, minFreeBytes, inHospital } = this.#parts
    const buckets = new Map((await keptBuckets(db)).map(({ settings }) => [settings.storeId, settings]))
    const uses = await this.#uses()
    const now = this.#now()
    const freeBytes = await inHospital.freeBytes()
    const local: StoreRow = {
      storeId: 'local', name: '本机存储', kind: 'local', place: roots['in-hospital'], fixed: true, freeBytes, totalBytes: null, bucket: null, use: [],
      health: { state: freeBytes < minFreeBytes ? 'failing' : 'ok', since: now, code: freeBytes < minFreeBytes ? 'archive/out-of-space' : '', reason: '' },
    } // prettier-ignore
    const rows = (this.#stores.get('in-hospital') ?? []).map(async (store): Promise<StoreRow> => {
      const { storeId, kind } = store
      const config = configured.find(({ id }) => id === storeId)
      const bucket = buckets.get(storeId)
      const capacity = await store.capacity().catch(() => undefined)
      return {
        storeId, kind,
        name: config?.name ?? bucket?.name ?? storeId,
        place: config?.kind === 'folder' ? config.folder : placeOf(config ?? bucket),
        fixed: config !== undefined,
        freeBytes: capacity?.freeBytes ?? null,
        totalBytes: capacity?.totalBytes ?? null,
        health: this.#parts.inHospital.storage.health(storeId) ?? { state: 'unknown', since: now, code: '', reason: '' },
        use: uses.filter((use) => use.storeId === storeId).map(({ storeId: _id, ...use }) => use),
        bucket: bucket ?? null,
      } // prettier-ignore
    })
    return [local, ...(await Promise.all(rows))]
  }

  /** Figures over a whole archive are asked for again and again by open pages: what took long is kept for a while. */
  async #kept<T>(key: string, work: () => Promise<T>): Promise<T> {
    const held = this.#figures.get(key)
    if (held && held.until > this.#now()) return held.value as T
    const began = this.#now()
    const value = await work()
    this.#figures.set(key, { value, until: this.#now() + (this.#now() - began) * KEPT_TIMES })
    return value
  }

  async #uses(): Promise<(StoreUse & { storeId: string })[]> {
    const found: (StoreUse & { storeId: string })[] = []
    for (const name of names) {
      if (name === 'regional' && this.#parts.regional.absence) continue
      const storage = this.storageOf(name)
      const [bytes, waiting] = [await this.#kept(`${name}/bytes`, () => storage.bytesByStore()), await this.#kept(`${name}/waiting`, () => storage.waiting())]
      for (const { storeId } of this.#stores.get(name) ?? []) {
        const held = bytes.find((each) => each.storeId === storeId)
        const waits = waiting.find((each) => each.storeId === storeId)
        found.push({ storeId, archive: name, tierBytes: held?.tierBytes ?? 0, replicaBytes: held?.replicaBytes ?? 0, files: held?.files ?? 0, waiting: waits?.waiting ?? 0, waitingSince: waits?.waitingSince ?? null, fault: waits?.fault ?? '' })
      }
    }
    return found
  }

  async state(name: ArchiveName): Promise<StorageState> {
    const { hospitalId, roots, minFreeBytes } = this.#parts
    const kept = this.#policies.get(name)
    const policy = this.policy(name)
    const shared = { archive: name, hospitalId, root: roots[name], policy, policyChangedAt: kept?.changedAt ?? null, policyChangedBy: kept?.changedBy ?? '', examplePath: parsePathTemplate(policy.pathTemplate)(example, hospitalId, { kind: 'dimse', peer: 'CT01', receivingNode: 'CT' }), minFreeBytes }
    if (name === 'regional' && this.#parts.regional.absence)
      return { ...shared, available: false, totals: { studies: 0, instances: 0, sizeBytes: 0 }, freeBytes: 0, quota: 'ok', owners: [], tiers: [], recycled: 0, pass: null, findings: 0, unreadable: 0 }
    const archive = this.#archive(name)
    const quotas = policy.ownerQuotas as Readonly<Record<string, number>>
    const last = await archive.storage.integrity.last()
    return {
      ...shared,
      available: true,
      totals: archive.totals(),
      freeBytes: await archive.freeBytes(),
      quota: archive.storage.quota(),
      owners: (await this.#kept(`${name}/owners`, () => archive.storage.owners())).map((owner) => ({ ...owner, quotaBytes: quotas[owner.hospitalId] ?? null })),
      tiers: await this.#kept(`${name}/tiers`, () => archive.storage.tiers()),
      ...(await archive.storage.counts()),
      pass: last ? withoutPosition(last) : null,
    }
  }

  /** For the page of health and its alarms: what needs somebody. @throws {Problem} */
  async look(): Promise<void> {
    for (const name of names) {
      if (name === 'regional' && this.#parts.regional.absence) continue
      const storage = this.storageOf(name)
      const { unreadable } = await storage.counts()
      if (unreadable > 0) throw new Problem('archive/damaged-file', { archive: name, files: unreadable })
      if (storage.quota() === 'full') throw new Problem('archive/quota', { archive: name })
      for (const { storeId } of this.#stores.get(name) ?? []) {
        const health = storage.health(storeId)
        if (health?.state === 'failing') throw new Problem('store/unreachable', { storeId, archive: name, because: health.code })
      }
    }
  }

  stop(): void {
    for (const stores of this.#stores.values()) for (const store of stores) store.close()
  }
}

const placeOf = (bucket: { endpoint: string; bucket: string; prefix: string } | undefined): string => (bucket ? `${bucket.endpoint} / ${bucket.bucket}${bucket.prefix === '' ? '' : ` / ${bucket.prefix}`}` : '')

function requireTemplate(template: string): void {
  try {
    parsePathTemplate(template)
  } catch (error) {
    throw new Problem('storage/path-rule', { template, reason: error instanceof Error ? error.message : '' })
  }
}

function withoutPosition<T extends { position: string }>({ position: _position, ...rest }: T): Omit<T, 'position'> {
  return rest
}

function changedOnly(policy: StoragePolicy, other: StoragePolicy): Partial<StoragePolicy> {
  const from = other as unknown as Readonly<Record<string, unknown>>
  return Object.fromEntries(Object.entries(policy).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(from[key])))
}
