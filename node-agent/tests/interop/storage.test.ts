import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { IntegrityFinding, RecycledStudy, StorageMove, StorageState, StoreRow, StudyRestored, TierRule } from 'specs'
import { openDatabase } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ensureSystemPackages } from '../../../scripts/run.mjs'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { A } from '../../src/access/builders.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { filesBelow } from '../support/on-disk.ts'
import { TestHospital } from '../support/region.ts'
import { s3Credentials, S3Server } from '../support/s3-server.ts'

const soon = { timeout: 20_000, interval: 100 }
let folder: string, server: S3Server, hospital: TestHospital
let admin: ApiUser, doctor: ApiUser, records: ApiUser, registrar: ApiUser
const bucket = () => ({ storeId: 'cloud', name: '云存储', endpoint: server.endpoint, region: 'us-east-1', bucket: server.bucket, prefix: 'pacs', pathStyle: true, accessKeyId: s3Credentials.accessKeyId, secretAccessKey: s3Credentials.secretAccessKey, reason: '新增归档存储' })
const state = () => admin.get<StorageState>('/api/storage/archives/in-hospital')
const change = async (changes: Partial<StorageState['policy']>, user = admin) => user.send<StorageState>('PUT', '/api/storage/archives/in-hospital/policy', { policy: { ...(await state()).policy, ...changes }, reason: '调整存储' })
const atOnce: TierRule = { ruleId: 'all', name: '全部', to: 'cloud', after: 'received', days: 0, modalities: [], owners: [], campuses: [] }

const slice = (study: string, at: number, changes: object = {}) => Buffer.from(buildFile(aSlice({ StudyInstanceUID: study, SeriesInstanceUID: `${study}.1`, SOPInstanceUID: `${study}.1.${at}`, InstanceNumber: String(at), AccessionNumber: `A${study.slice(5)}`, ...changes })))
/** By STOW-RS, as a page or a gateway would. */
async function stow(files: readonly Buffer[]): Promise<Response> {
  const parts = files.flatMap((file) => [Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'), file, Buffer.from('\r\n')])
  return doctor.raw('/dicom-web/studies', { method: 'POST', headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b', accept: 'application/dicom+json' }, body: Buffer.concat([...parts, Buffer.from('--b--\r\n')]) })
}
const retrieve = async (study: string) => {
  const answer = await doctor.raw(`/dicom-web/studies/${study}`, { headers: { accept: 'multipart/related; type="application/dicom"' } })
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) }
}
const root = () => path.join(folder, A, 'archive-in-hospital')
const localFiles = async () => (await filesBelow(root())).filter((name) => !/^(incoming|metadata|recalled)\//.test(name))
const objects = async () => (await filesBelow(path.join(folder, 's3'))).filter((name) => name.endsWith('._S3rver_object'))

beforeAll(async () => {
  await ensureSystemPackages({ programs: ['dcmdump'], apt: ['dcmtk'] })
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-storage-'))
  server = await S3Server.start(path.join(folder, 's3'))
  await mkdir(path.join(folder, 'nas'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', { archive: { minFreeBytes: 1_000_000, stores: [{ id: 'nas', name: '近线磁盘', kind: 'folder', folder: path.join(folder, 'nas') }] } })
  ;[admin, doctor, records, registrar] = [await hospital.signIn('admin'), await hospital.signIn('doctor'), await hospital.signIn('records'), await hospital.signIn('registrar')]
}, 120_000)
afterAll(async () => {
  await hospital?.stop()
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

describe('storage, as an administrator sets it up', () => {
  it('takes a bucket that works, by whoever configures, and gives its secret to nobody', async () => { // ARC-08
    await expect(admin.send('POST', '/api/storage/stores', { ...bucket(), secretAccessKey: 'wrong', accessKeyId: 'nobody' })).rejects.toMatchObject({ status: 502, details: { code: 'store/refused' } })
    await expect(doctor.send('POST', '/api/storage/stores', bucket())).rejects.toMatchObject({ status: 403 })
    await admin.send('POST', '/api/storage/stores', bucket())
    const stores = await admin.get<StoreRow[]>('/api/storage/stores')
    expect(stores.map(({ storeId, kind, fixed }) => [storeId, kind, fixed])).toEqual([['local', 'local', true], ['nas', 'folder', true], ['cloud', 's3', false]])
    expect(stores[1]!.freeBytes).toBeGreaterThan(0)
    expect(JSON.stringify(stores)).not.toContain('secret')
    expect((await admin.send<StoreRow['health']>('POST', '/api/storage/stores/cloud/check', {})).state).toBe('ok')
    const db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, A, 'node.sqlite') })
    const [kept] = await db.all<{ settings: string; secret: string }>('SELECT settings, sealed_secret AS "secret" FROM storage_bucket')
    await db.close()
    expect(kept!.settings).not.toContain('secretAccessKey')
    expect(kept!.secret).toMatch(/^lpv1?\.|^\w+\.\d+\./)
  })
  it('is one for every kind of image and for reports, on the hospital’s own premises', async () => { // ARC-01
    const kinds = { CT: '1.2', MR: '1.4', DX: '1.1.1', CR: '1.1', US: '1.6.1', ES: '1.77.1.1', SM: '1.77.1.6', SR: '1.88.11' }
    const files = Object.entries(kinds).map(([Modality, end], at) => slice(`2.25.4${at}`, 1, { PatientID: 'ALL', PatientName: 'Zhao^Yi=赵^一', Modality, SOPClassUID: `1.2.840.10008.5.1.4.1.${end}` }))
    expect((await stow(files)).status).toBe(200)
    const found = (await (await doctor.raw('/dicom-web/studies?PatientID=ALL', { headers: { accept: 'application/dicom+json' } })).json()) as Record<string, { Value?: string[] }>[]
    expect(found.map((study) => study['00080061']?.Value?.[0]).sort()).toEqual(Object.keys(kinds).sort())
    expect((await state()).root).toBe(root())
    expect((await localFiles()).filter((name) => name.includes('2.25.4')).length).toBe(files.length)
  })
  it('lays the next study where the changed rule says, and refuses a rule that cannot be', async () => { // AGT-14, ARC-07
    await stow([slice('2.25.1', 1)])
    await change({ pathTemplate: '{hospital}/{yyyy}/{MM}/{dd}/{studyUID}' })
    expect((await state()).examplePath).toBe(`${A}/2026/11/22/1.2.840.1/1.2.840.1.1/1.2.840.1.1.1.dcm`)
    await change({ pathTemplate: 'neu/{hospital}/{modality}/{studyUID}' })
    await stow([slice('2.25.2', 1)])
    expect(await localFiles()).toEqual(expect.arrayContaining([`${A}/2026/03/01/2.25.1/2.25.1.1/2.25.1.1.1.dcm`, `neu/${A}/CT/2.25.2/2.25.2.1/2.25.2.1.1.dcm`]))
    await expect(change({ pathTemplate: '../{instance}' })).rejects.toMatchObject({ status: 400, details: { code: 'storage/path-rule' } })
    await expect(change({ tierRules: [{ ...atOnce, to: 'nowhere' }] })).rejects.toMatchObject({ status: 404, details: { code: 'store/unknown' } })
    await expect(change({}, doctor)).rejects.toMatchObject({ status: 403 })
    await change({ pathTemplate: '{hospital}/{year}/{month}/{day}/{study}/{series}/{instance}.dcm' })
  })
  it('makes the bucket the storage: what is sent lies there as DICOM files, is read through, and waits while the bucket is away', async () => { // ARC-08, ARC-09, ARC-20
    await change({ tierRules: [atOnce], keepLocalDays: 0 })
    await vi.waitFor(async () => expect((await localFiles()).length).toBe(0), soon)
    const [object] = (await objects()).filter((name) => name.includes('2.25.1.1.1.dcm'))
    await writeFile(path.join(folder, 'copied.dcm'), await readFile(path.join(folder, 's3', object!)))
    expect(execFileSync('dcmdump', [path.join(folder, 'copied.dcm'), '+P', 'SOPInstanceUID'], { encoding: 'utf8' })).toContain('2.25.1.1.1')
    expect((await state()).tiers).toMatchObject([{ storeId: 'cloud', studies: 10 }])
    expect((await retrieve('2.25.1')).bytes.includes(slice('2.25.1', 1).subarray(-100))).toBe(true)
    await server.kill()
    expect((await stow([slice('2.25.3', 1)])).status).toBe(200)
    expect((await retrieve('2.25.3')).status).toBe(200)
    await vi.waitFor(async () => expect(await admin.get<StorageMove[]>('/api/storage/archives/in-hospital/moves')).toMatchObject([{ studyInstanceUid: '2.25.3', fault: 'store/unreachable' }]), soon)
    const [, , cloud] = await admin.get<StoreRow[]>('/api/storage/stores')
    expect(cloud).toMatchObject({ health: { state: 'failing', code: 'store/unreachable' }, use: [{ archive: 'in-hospital', waiting: 1 }, { archive: 'regional', waiting: 0 }] })
    expect(JSON.stringify(await (await doctor.raw('/health')).json())).toContain('stores')
    await server.begin()
    await vi.waitFor(async () => expect(await admin.get<StorageMove[]>('/api/storage/archives/in-hospital/moves')).toEqual([]), { timeout: 30_000, interval: 200 })
  }, 90_000)
  it('restores one study from its replica, and finds and mends what was damaged', async () => { // ARC-22, ARC-24
    await change({ tierRules: [], replicaRules: [{ ruleId: 'copy', name: '副本', to: 'nas', owners: [] }] })
    await stow([slice('2.25.4', 1), slice('2.25.4', 2)])
    await vi.waitFor(async () => expect((await state()).owners[0]!.replicaBytes).toBeGreaterThan((await state()).totals.sizeBytes * 0.9), soon)
    expect((await filesBelow(path.join(folder, 'nas', 'in-hospital'))).filter((name) => name.includes('/2.25.4/')).length).toBe(2)
    await rm(path.join(root(), A, '2026/03/01/2.25.4'), { recursive: true })
    expect(await admin.send<StudyRestored>('POST', '/api/storage/archives/in-hospital/studies/2.25.4/restore', {})).toEqual({ checked: 2, restored: 2, failed: [] })
    await change({ integrity: { ...(await state()).policy.integrity, repair: false, bytesPerSecond: 1_000_000_000 } })
    await rm(path.join(root(), A, '2026/03/01/2.25.4/2.25.4.1/2.25.4.1.2.dcm'))
    await admin.send('POST', '/api/storage/archives/in-hospital/check', { order: 'begin' })
    await vi.waitFor(async () => expect((await state()).pass).toMatchObject({ state: 'done', missing: 1, corrupt: 0 }), soon)
    expect(await admin.get<IntegrityFinding[]>('/api/storage/archives/in-hospital/findings')).toMatchObject([{ sopInstanceUid: '2.25.4.1.2', storeId: 'local', kind: 'missing', copiesAt: ['nas'] }])
    expect(await admin.send('POST', '/api/storage/archives/in-hospital/findings/repair', { sopInstanceUid: '2.25.4.1.2', storeId: 'local' })).toEqual({ repaired: true })
    await admin.send('POST', '/api/storage/archives/in-hospital/check', { order: 'begin' })
    await vi.waitFor(async () => expect((await state()).pass).toMatchObject({ state: 'done', missing: 0, corrupt: 0 }), soon)
    const trail = await (await hospital.signIn('auditor')).get<{ rows: { action: string; outcome: string }[] }>('/api/audit/records?action=archive.damage,archive.check,study.restore,config.change')
    expect(new Set(trail.rows.map(({ action }) => action))).toEqual(new Set(['archive.damage', 'archive.check', 'study.restore', 'config.change']))
  })
  it('deletes images only when their time is over, gives them back, and destroys them in the end', async () => { // LOC-06
    await stow([slice('2.25.5', 1, { StudyDate: '20260301' }), slice('2.25.6', 1, { StudyDate: '20050301', PatientID: 'OLD', PatientName: 'Li^Lei=李^雷' })])
    const exam = async (study: string) => (await doctor.get<{ rows: { studyInstanceUid: string; instanceCount: number; examId: string }[] }>('/api/exams?limit=50')).rows.find((row) => row.studyInstanceUid === study)
    await vi.waitFor(async () => expect((await exam('2.25.6'))?.instanceCount).toBe(1), soon)
    await registrar.send('POST', '/api/retention/visits', { patientId: 'OLD', patientClass: 'outpatient', endedOn: '2005-03-01' })
    const remove = (study: string) => records.send('DELETE', `/api/studies/${study}`, { reason: '保存期满' })
    await expect(remove('2.25.5')).rejects.toMatchObject({ status: 409, details: { code: 'retention/not-yet' } })
    // An inpatient's or unknown class counts 30 years: what was examined in 2005 is kept until 2035.
    await expect(remove('2.25.6')).rejects.toMatchObject({ status: 409 })
    await stow([slice('2.25.7', 1, { StudyDate: '19900301', PatientID: 'OLDER', PatientName: 'Li^Lei=李^雷' })])
    await vi.waitFor(async () => expect((await exam('2.25.7'))?.instanceCount).toBe(1), soon)
    await expect(doctor.send('DELETE', '/api/studies/2.25.7', { reason: '保存期满' })).rejects.toMatchObject({ status: 403 })
    await remove('2.25.7')
    expect((await retrieve('2.25.7')).status).toBe(404)
    expect((await exam('2.25.7'))?.instanceCount).toBe(0)
    const [row] = await records.get<RecycledStudy[]>('/api/storage/recycled')
    expect(row).toMatchObject({ studyInstanceUid: '2.25.7', deletedBy: 'records', reason: '保存期满', modalities: 'CT' })
    expect(row!.patientName).not.toContain('雷')
    await records.send('POST', '/api/storage/recycled/2.25.7/restore', { reason: '误删' })
    expect((await retrieve('2.25.7')).status).toBe(200)
    expect((await exam('2.25.7'))?.instanceCount).toBe(1)
    await remove('2.25.7')
    await records.send('DELETE', '/api/storage/recycled/2.25.7', { reason: '确认销毁' })
    expect(await records.get('/api/storage/recycled')).toEqual([])
    expect((await localFiles()).filter((name) => name.includes('2.25.7') || name.startsWith('recycled'))).toEqual([])
    await vi.waitFor(async () => expect((await filesBelow(path.join(folder, 'nas'))).filter((name) => name.includes('2.25.7'))).toEqual([]), soon)
  })
  it('keeps what was set up over a restart, and lets go of a bucket only when it is empty', async () => {
    await expect(admin.send('DELETE', '/api/storage/stores/cloud', { reason: '不再使用' })).rejects.toMatchObject({ status: 409, details: { code: 'store/in-use' } })
    await hospital.stop()
    await hospital.startAgain()
    ;[admin, doctor] = [await hospital.signIn('admin'), await hospital.signIn('doctor')]
    expect((await admin.get<StoreRow[]>('/api/storage/stores')).map(({ storeId }) => storeId)).toEqual(['local', 'nas', 'cloud'])
    expect((await retrieve('2.25.1')).status).toBe(200)
    for (const study of ['2.25.1', '2.25.2', '2.25.3', ...Array.from({ length: 8 }, (_each, at) => `2.25.4${at}`)]) await admin.send('POST', '/api/storage/archives/in-hospital/moves', { studyInstanceUid: study, order: 'home' })
    await vi.waitFor(async () => expect((await objects()).length).toBe(0), soon)
    await admin.send('DELETE', '/api/storage/stores/cloud', { reason: '不再使用' })
    expect((await admin.get<StoreRow[]>('/api/storage/stores')).map(({ storeId }) => storeId)).toEqual(['local', 'nas'])
    expect((await retrieve('2.25.1')).status).toBe(200)
  })
})

describe('a full disk', () => {
  // Only root can make a small file system to fill.
  it.runIf(process.getuid?.() === 0)('refuses by 0xA700 and 507 with nothing half stored, goes on reading, and takes images again when there is room', async () => { // ARC-22
    const home = path.join(folder, 'small')
    const small = path.join(home, A, 'archive-in-hospital')
    await mkdir(small, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=14m', 'tmpfs', small])
    const here = await TestHospital.start(home, A, '云溪县人民医院', { archive: { minFreeBytes: 1_000_000 } })
    try {
      doctor = await here.signIn('doctor')
      const large = (study: string) => slice(study, 1, { Rows: 2_000, Columns: 2_000, PixelData: Buffer.alloc(8_000_000, 7) })
      expect((await stow([large('2.25.1')])).status).toBe(200)
      const before = await filesBelow(small)
      const refused = await stow([large('2.25.9')])
      expect(refused.status).toBe(507)
      const file = path.join(home, 'large.dcm')
      await writeFile(file, large('2.25.9'))
      const send = async () => (await sendInstances({ host: '127.0.0.1', port: here.node.dimsePort, aeTitle: 'TEST' }, [await instanceOfFile(file, await identityOf(file))], { callingAeTitle: 'CT01' }))[0]
      expect(await send()).toMatchObject({ kind: 'failed', again: 'transient', problem: { facts: { status: 'a700' } } })
      expect((await filesBelow(small)).filter((name) => !name.startsWith('metadata'))).toEqual(before.filter((name) => !name.startsWith('metadata')))
      expect((await retrieve('2.25.1')).status).toBe(200)
      expect((await retrieve('2.25.9')).status).toBe(404)
      execFileSync('mount', ['-o', 'remount,size=64m', small])
      await vi.waitFor(async () => expect(await send()).toMatchObject({ kind: 'stored' }), soon)
      expect((await retrieve('2.25.9')).bytes.length).toBeGreaterThan(8_000_000)
    } finally {
      await here.stop()
      execFileSync('umount', [small])
    }
  }, 60_000)
})
