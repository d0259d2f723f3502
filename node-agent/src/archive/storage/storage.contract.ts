import { Buffer } from 'node:buffer'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { Database } from 'service-kit'
import type { StoragePolicy } from 'specs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { buildFile } from '../../dicom/dataset.builder.ts'
import { aSlice, send, testArchive, type TestArchive } from '../archive.builder.ts'
import type { ImageStore } from './image-store.ts'
import { bytesOf } from './image-store.contract.ts'
import { defaultPolicy } from './policy.ts'

/** A store that can be taken away and brought back. */
export interface StorePlace {
  open(): ImageStore
  down(): Promise<void>
  up(): Promise<void>
  end(): Promise<void>
}

const soon = { timeout: 15_000, interval: 30 }
const rule = { ruleId: 'r1', name: '全部', modalities: [], owners: [], campuses: [] }
/** Everything to the store at once, nothing kept here. */
const atOnce: Partial<StoragePolicy> = { tierRules: [{ ...rule, to: 'far', after: 'received', days: 0 }], keepLocalDays: 0 }
const replica: Partial<StoragePolicy> = { replicaRules: [{ ruleId: 'r2', name: '副本', to: 'far', owners: [] }] }

/** What moving, copying, checking and deleting promise, whatever the store and the database. */
export function storageContract(name: string, begin: () => Promise<StorePlace>, openDb?: () => Promise<{ db: Database; end(): Promise<void> }>): void {
  describe(`where images lie: ${name}`, () => {
    let place: StorePlace, test: TestArchive, store: ImageStore, database: { db: Database; end(): Promise<void> } | undefined
    let opens = 0
    beforeAll(async () => {
      place = await begin()
      database = await openDb?.()
      test = await testArchive(database && { db: database.db })
      const real = place.open()
      store = Object.assign(Object.create(real) as ImageStore, {
        storeId: real.storeId,
        open: (...args: Parameters<ImageStore['open']>) => { opens += 1; return real.open(...args) },
        put: (...args: Parameters<ImageStore['put']>) => real.put(...args), head: (key: string) => real.head(key), delete: (key: string) => real.delete(key), list: (prefix?: string) => real.list(prefix), close: () => real.close(),
      }) // prettier-ignore
    }, 60_000)
    afterAll(async () => {
      await test?.close()
      await database?.end()
      await place?.end()
    })
    const storage = () => test.archive.storage
    const policy = (changes: Partial<StoragePolicy>) => storage().apply({ stores: [store], policy: { ...defaultPolicy, integrity: { ...defaultPolicy.integrity, everyDays: 0, fromHour: 0, toHour: 0, bytesPerSecond: 10_000_000_000, copiesReadPercent: 100 }, ...changes } })
    /** A study of three slices, the last of 3 MB; the content depends on its number. */
    async function arrive(study: string): Promise<Buffer[]> {
      const files = [1, 2, 3].map((at) =>
        Buffer.from(buildFile(aSlice({ StudyInstanceUID: study, SeriesInstanceUID: `${study}.1`, SOPInstanceUID: `${study}.1.${at}`, InstanceNumber: String(at), ...(at === 3 && { Rows: 1_250, Columns: 1_200, PixelData: Buffer.alloc(3_000_000, Number(study.slice(-1))) }) }))),
      )
      for (const file of files) await send(test.archive, file, { source: { kind: 'dimse', peer: 'CT01' } })
      return files
    }
    const fileAt = async (uid: string) => path.join(test.root, (await test.archive.instance(uid))!.path)
    const isHere = async (uid: string) => readFile(await fileAt(uid)).then(() => true, () => false) // prettier-ignore
    const keys = async () => { const found: string[] = []; for await (const { key } of store.list()) found.push(key); return found.sort() } // prettier-ignore
    const read = async (uid: string) => bytesOf((await test.archive.open(uid)).stream())
    const settled = (study: string) => vi.waitFor(async () => { // prettier-ignore
      expect((await test.archive.study(study))?.tier).toBe('far')
      expect(await Promise.all([1, 2, 3].map((at) => isHere(`${study}.1.${at}`)))).toEqual([false, false, false])
    }, soon)

    it('moves a study by its rule; the object is a DICOM file for any reader', async () => {
      // ARC-08, ARC-09, ARC-20
      policy(atOnce)
      await arrive('2.25.1')
      await settled('2.25.1')
      const key = 'hospital-a/2026/03/01/2.25.1/2.25.1.1/2.25.1.1.1.dcm'
      expect(await keys()).toContain(key)
      const object = await bytesOf(await store.open(key))
      expect(object.subarray(128, 132).toString()).toBe('DICM')
      expect(object.equals(await read('2.25.1.1.1'))).toBe(true)
      expect((await storage().tiers()).map(({ storeId, studies }) => [storeId, studies])).toEqual([['far', 1]])
      expect((await test.archive.verify({ digests: true })).missing).toEqual([])
    })
    it('brings it back transparently, once for all who read, and it leaves again', async () => {
      // ARC-20
      opens = 0
      const [a, b, part] = await Promise.all([read('2.25.1.1.3'), read('2.25.1.1.3'), test.archive.read('2.25.1.1.3', 2_000_000, 1_000)])
      expect(a.equals(b) && a.subarray(2_000_000, 2_001_000).equals(part)).toBe(true)
      expect(a.subarray(-3_000_000).every((byte) => byte === 1)).toBe(true)
      expect(opens).toBe(1)
      expect(await isHere('2.25.1.1.3')).toBe(true)
      await vi.waitFor(async () => { await storage().sweepNow(); expect(await isHere('2.25.1.1.3')).toBe(false) }, soon) // prettier-ignore
      expect((await test.archive.study('2.25.1'))?.tier).toBe('far')
    })
    it('stays open to a reader who found it before it left', async () => {
      const file = await test.archive.open('2.25.1.1.2')
      await file.read(0, 10)
      await vi.waitFor(async () => { await storage().sweepNow(); expect(await isHere('2.25.1.1.2')).toBe(false) }, soon) // prettier-ignore
      expect((await bytesOf(file.stream())).length).toBe(file.sizeBytes)
    })
    it('takes an image that is sent again for a duplicate, and a changed one for a replacement, though the file is far away', async () => {
      // ARC-12, FED-22
      await vi.waitFor(async () => { await storage().sweepNow(); expect(await isHere('2.25.1.1.1')).toBe(false) }, soon) // prettier-ignore
      const same = buildFile(aSlice({ StudyInstanceUID: '2.25.1', SeriesInstanceUID: '2.25.1.1', SOPInstanceUID: '2.25.1.1.1', InstanceNumber: '1' }))
      expect((await send(test.archive, same)).outcome.kind).toBe('duplicate')
      const changed = buildFile(aSlice({ StudyInstanceUID: '2.25.1', SeriesInstanceUID: '2.25.1.1', SOPInstanceUID: '2.25.1.1.1', InstanceNumber: '1', ImageComments: 'changed' }))
      expect((await send(test.archive, changed)).outcome.kind).toBe('replaced')
      await settled('2.25.1')
      expect((await read('2.25.1.1.1')).equals(Buffer.from((await bytesOf(await store.open((await keys()).find((key) => /2\.25\.1\.1\.1\.[0-9a-f-]{36}\.dcm$/.test(key))!)))))).toBe(true)
    })
    it('goes on receiving while the store is away, tells what waits, and says which store it is when somebody opens', async () => {
      // ARC-08
      await place.down()
      const files = await arrive('2.25.2')
      expect((await read('2.25.2.1.1')).equals(await read('2.25.2.1.1'))).toBe(true)
      await vi.waitFor(async () => expect(await storage().moves()).toMatchObject([{ studyInstanceUid: '2.25.2', kind: 'tier', fault: 'store/unreachable' }]), soon)
      expect(storage().health('far')).toMatchObject({ state: 'failing', code: 'store/unreachable' })
      await vi.waitFor(async () => expect(await isHere('2.25.1.1.1')).toBe(true), soon) // read a moment ago
      await expect(read('2.25.1.1.2').catch((error: unknown) => { throw (error as { code?: string }).code === undefined ? error : error })).rejects.toMatchObject({ code: 'archive/recall-failed', facts: { storeId: 'far' } }) // prettier-ignore
      await place.up()
      await vi.waitFor(async () => expect(await storage().moves()).toEqual([]), { timeout: 30_000, interval: 100 })
      await settled('2.25.2')
      expect((await read('2.25.2.1.3')).subarray(-100).equals(files[2]!.subarray(-100))).toBe(true)
      expect((await read('2.25.1.1.2')).length).toBeGreaterThan(100)
    }, 60_000)
    it('comes home for good when somebody says so, and its objects go', async () => {
      policy({ ...atOnce, tierRules: [] })
      await storage().order('2.25.2', 'home', undefined, 'wang')
      await vi.waitFor(async () => expect((await test.archive.study('2.25.2'))?.tier).toBe(''), soon)
      expect(await Promise.all([1, 2, 3].map((at) => isHere(`2.25.2.1.${at}`)))).toEqual([true, true, true])
      await vi.waitFor(async () => expect((await keys()).filter((key) => key.includes('/2.25.2/'))).toEqual([]), soon)
      await expect(storage().order('2.25.2', 'move', 'nowhere', 'wang')).rejects.toMatchObject({ code: 'store/unknown' })
    })
    it('keeps second copies by rule, shows how much, and restores a study from them', async () => {
      // ARC-24
      policy(replica)
      await vi.waitFor(async () => expect((await keys()).filter((key) => key.includes('/2.25.2/')).length).toBe(3), soon)
      // A copy counts when it has been read back.
      await vi.waitFor(async () => expect((await storage().owners())[0]!.replicaBytes).toBeGreaterThan(3_000_000), soon)
      expect((await storage().bytesByStore())[0]).toMatchObject({ storeId: 'far' })
      await rm(path.dirname(path.dirname(await fileAt('2.25.2.1.1'))), { recursive: true })
      // Whoever opens one meanwhile is served.
      expect((await read('2.25.2.1.2')).length).toBeGreaterThan(100)
      const damaged = await fileAt('2.25.2.1.2')
      await writeFile(damaged, Buffer.concat([(await readFile(damaged)).subarray(0, -1), Buffer.from('!')]))
      expect(await storage().restoreStudy('2.25.2')).toEqual({ checked: 3, restored: 3, failed: [] })
      expect((await test.archive.verify({ digests: true })).missing).toEqual([])
      expect((await test.archive.verify({ digests: true })).wrongDigest).toEqual([])
    })
    it('finds what is missing or damaged here and there, mends it from what is sound, and reports nothing more', async () => {
      // ARC-22
      policy(replica)
      await vi.waitFor(async () => expect(await storage().moves()).toEqual([]), soon)
      const damaged = await fileAt('2.25.2.1.1')
      await writeFile(damaged, Buffer.concat([(await readFile(damaged)).subarray(0, -1), Buffer.from('!')]))
      await rm(await fileAt('2.25.2.1.2'))
      const key = (await keys()).find((each) => each.endsWith('2.25.2.1.3.dcm'))!
      const bytes = await bytesOf(await store.open(key))
      bytes[1_000_000]! ^= 1
      await store.put(key, () => Readable.from([bytes], { objectMode: false }), bytes.length)
      await storage().integrity.begin()
      await storage().integrity.settled
      expect(await storage().integrity.last()).toMatchObject({ state: 'done', missing: 1, corrupt: 2, repaired: 3 })
      await storage().integrity.begin()
      await storage().integrity.settled
      expect(await storage().integrity.last()).toMatchObject({ state: 'done', checked: 6, missing: 0, corrupt: 0, repaired: 0 })
      expect(await storage().integrity.findings(10)).toEqual([])
    })
    it('keeps what cannot be mended on a list, and takes it in when it is sent again', async () => {
      // ARC-22, ARC-12
      policy({})
      const files = await arrive('2.25.3')
      await rm(await fileAt('2.25.3.1.1'))
      await storage().integrity.begin()
      await storage().integrity.settled
      expect(await storage().integrity.findings(10)).toMatchObject([{ sopInstanceUid: '2.25.3.1.1', storeId: 'local', kind: 'missing', copiesAt: [] }])
      expect((await send(test.archive, files[0]!)).outcome.kind).toBe('stored')
      await storage().integrity.begin()
      await storage().integrity.settled
      expect(await storage().integrity.findings(10)).toEqual([])
    })
    it('leaves every list when it is deleted, comes back when restored, also when a part was sent again', async () => {
      const before = test.archive.totals()
      const whole = await read('2.25.3.1.3')
      await storage().recycle('2.25.3', 'he', '重复')
      expect(await test.archive.study('2.25.3')).toBeUndefined()
      expect(await test.archive.instances('2.25.3')).toEqual([])
      await expect(test.archive.open('2.25.3.1.1')).rejects.toMatchObject({ code: 'archive/unknown-instance' })
      expect(test.archive.totals().studies).toBe(before.studies - 1)
      expect(await storage().recycled()).toMatchObject([{ studyInstanceUid: '2.25.3', instanceCount: 3, modalities: 'CT', deletedBy: 'he', reason: '重复' }])
      expect((await test.archive.verify()).orphans).toEqual([])
      const again = buildFile(aSlice({ StudyInstanceUID: '2.25.3', SeriesInstanceUID: '2.25.3.1', SOPInstanceUID: '2.25.3.1.1', InstanceNumber: '1', ImageComments: 'sent again' }))
      await send(test.archive, again)
      await storage().restoreRecycled('2.25.3')
      expect(await test.archive.study('2.25.3')).toMatchObject({ instanceCount: 3, patientName: 'Zhang^San=张^三' })
      expect((await read('2.25.3.1.3')).equals(whole)).toBe(true)
      expect((await read('2.25.3.1.1')).toString('latin1')).toContain('sent again')
      expect(test.archive.totals()).toMatchObject({ studies: before.studies, instances: before.instances })
      const check = await test.archive.verify({ digests: true })
      expect([check.missing, check.wrongDigest, check.orphans]).toEqual([[], [], []])
      expect((await test.archive.studies({ match: { PatientName: 'zhang*' } })).map(({ studyInstanceUid }) => studyInstanceUid)).toContain('2.25.3')
      await expect(storage().restoreRecycled('2.25.3')).rejects.toMatchObject({ code: 'archive/not-recycled' })
    })
    it('is destroyed when its time is over, with its copies everywhere and a word for the trail', async () => {
      const told: string[] = []
      const terms = (recycleDays: number) => storage().apply({ stores: [store], policy: { ...defaultPolicy, ...replica, recycleDays }, onDestroyed: ({ studyInstanceUid }) => Promise.resolve(void told.push(studyInstanceUid)) })
      terms(30)
      await vi.waitFor(async () => expect((await keys()).filter((key) => key.includes('/2.25.3/')).length).toBe(3), soon)
      // A copy that is being read back when its study is deleted goes away, and is made again if the study comes back.
      await vi.waitFor(async () => expect(await storage().waiting()).toEqual([]), soon)
      await storage().recycle('2.25.3', 'he', '到期')
      expect((await keys()).filter((key) => key.includes('/2.25.3/')).length).toBe(3)
      await storage().destroy('2.25.3')
      await vi.waitFor(async () => expect((await keys()).filter((key) => key.includes('/2.25.3/'))).toEqual([]), soon)
      terms(0)
      await storage().recycle('2.25.2', 'he', '到期')
      await vi.waitFor(async () => expect((await keys()).filter((key) => key.includes('/2.25.2/'))).toEqual([]), soon)
      expect(told).toEqual(['2.25.3', '2.25.2'])
      expect(await readdir(path.join(test.root, 'recycled'))).toEqual([])
      await test.archive.delete('2.25.1')
      await vi.waitFor(async () => expect(await keys()).toEqual([]), soon)
    })
    it('finishes after a restart what was queued, and finds no half-way bytes', async () => {
      policy({})
      await arrive('2.25.4')
      await mkdir(path.join(test.root, 'recalled'), { recursive: true })
      await writeFile(path.join(test.root, 'recalled', 'half.part'), 'half')
      if (!database) {
        test = await test.reopen()
        expect(await readdir(path.join(test.root, 'recalled'))).toEqual([])
      }
      policy(atOnce)
      await settled('2.25.4')
      await test.archive.delete('2.25.4')
      await vi.waitFor(async () => expect(await keys()).toEqual([]), soon)
    })
    it('refuses beyond its quota, of the whole and of one hospital, and warns before', async () => {
      policy({ quotaBytes: 4_000_000, warnPercent: 50 })
      expect(storage().quota()).toBe('ok')
      await arrive('2.25.5')
      expect(storage().quota()).toBe('warning')
      await arrive('2.25.6')
      expect(storage().quota()).toBe('full')
      await expect(arrive('2.25.7')).rejects.toMatchObject({ code: 'archive/quota' })
      policy({ ownerQuotas: { 'hospital-b': 1_000 } as never })
      const b = { kind: 'transfer', peer: 'hospital-b', owner: 'hospital-b' as never } as const
      await send(test.archive, buildFile(aSlice({ StudyInstanceUID: '2.25.8', SeriesInstanceUID: '2.25.8.1', SOPInstanceUID: '2.25.8.1.1' })), { source: b })
      policy({ ownerQuotas: { 'hospital-b': 500 } as never })
      await vi.waitFor(() => expect(test.archive.receive(b, { part10: true }).then((incoming) => incoming.abort())).rejects.toMatchObject({ code: 'archive/quota', facts: { hospitalId: 'hospital-b' } }), soon)
      await (await test.archive.receive({ kind: 'dimse', peer: 'CT01' }, { part10: true })).abort()
      expect((await test.archive.verify()).orphans).toEqual([])
    })
  })
}
