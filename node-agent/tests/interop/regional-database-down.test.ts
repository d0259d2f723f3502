import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ExamDetail, ExamRow, VerificationRow } from 'specs'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { root } from '../../../scripts/run.mjs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { A } from '../../src/access/builders.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { TestHospital } from '../support/region.ts'

let folder: string
let own: TestPostgres, regional: TestPostgres
let hospital: TestHospital
let doctor: ApiUser
let database: object

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-two-databases-'))
  ;[own, regional] = await Promise.all([startPostgres(), startPostgres()])
  database = { dialect: 'postgres', url: await own.newDatabase(), regionalUrl: await regional.newDatabase(), schemaPrefix: 'hospital_a', poolSize: 10 }
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', { database })
  doctor = await hospital.signIn('doctor')
}, 120_000)

afterAll(async () => {
  await hospital?.stop().catch(() => undefined)
  await Promise.all([own?.stop(), regional?.stop()])
  await rm(folder, { recursive: true, force: true })
})

describe('in-hospital and regional data in two databases', () => {
  it('the fall of the regional one leaves registration, archiving, viewing and reporting of the hospital working', async () => {
    // FED-33, SEC-15
    await regional.kill()
    const images = join(unpackFixtures('ct-chest'), 'ct-chest')
    const files = (await readdir(images)).sort().slice(0, 3).map((name) => join(images, name))
    const instances = await Promise.all(files.map(async (file) => instanceOfFile(file, await identityOf(file))))
    const study = (await identityOf(files[0]!)).studyInstanceUid
    const { examId } = await doctor.send<ExamDetail>('POST', '/api/exams', {
      accessionNumber: 'F33', patientId: 'P1', patientName: '张秀兰', patientSex: 'F', patientBirthDate: '1961-04-12', modality: 'CT', bodyPart: '胸部', description: '', studyDate: '2026-11-20', studyTime: '',
      studyInstanceUid: study, clinicalHistory: '', reportFindings: '', reportImpression: '', idCard: '11010519491231002X',
    }) // prettier-ignore
    const deliveries = await sendInstances({ host: '127.0.0.1', port: hospital.node.dimsePort, aeTitle: 'TEST' }, instances, { callingAeTitle: 'CT01' })
    expect(deliveries.filter(({ kind }) => kind === 'failed')).toEqual([])
    await vi.waitFor(async () => expect((await doctor.get<ExamDetail>(`/api/exams/${examId}`)).instanceCount).toBe(3), { timeout: 20_000, interval: 100 })
    await doctor.send('PATCH', `/api/exams/${examId}`, { reportFindings: '右肺门旁占位', reportImpression: '建议增强' })
    expect(await doctor.get<ExamDetail>(`/api/exams/${examId}`)).toMatchObject({ reportImpression: '建议增强' })
    expect((await doctor.raw(`/dicom-web/studies/${study}/metadata`, { headers: { accept: 'application/dicom+json' } })).status).toBe(200)
    // Sealed values and their index on PostgreSQL, too.
    expect((await doctor.get<{ rows: ExamRow[] }>('/api/exams?text=11010519491231002X')).rows.map((row) => row.examId)).toEqual([examId])
    await regional.restart()
  })

  it('without the regional one the node starts, serves the hospital, says what is missing, and takes it up when it comes', async () => {
    // FED-33, SEC-15
    await hospital.stop()
    await regional.kill()
    await hospital.startAgain()
    doctor = await hospital.signIn('doctor')
    const [row] = (await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows
    expect(row).toMatchObject({ accessionNumber: 'F33', instanceCount: 3 })
    const study = row!.studyInstanceUid!
    expect((await doctor.raw(`/dicom-web/studies/${study}/metadata`, { headers: { accept: 'application/dicom+json' } })).status).toBe(200)
    const images = join(unpackFixtures('ct-chest'), 'ct-chest')
    const fourth = join(images, (await readdir(images)).sort()[3]!)
    const deliveries = await sendInstances({ host: '127.0.0.1', port: hospital.node.dimsePort, aeTitle: 'TEST' }, [await instanceOfFile(fourth, await identityOf(fourth))], { callingAeTitle: 'CT01' })
    expect(deliveries.filter(({ kind }) => kind === 'failed')).toEqual([])
    const health = async () => (await fetch(`${hospital.url}/health`)).json() as Promise<{ status: string; checks: Record<string, { status: string; code?: string }> }>
    expect(await health()).toMatchObject({ status: 'degraded', checks: { 'regional-archive': { status: 'degraded', code: 'archive/unavailable' }, storage: { status: 'ok' } } })
    await regional.restart()
    await vi.waitFor(async () => expect((await health()).checks['regional-archive']).toEqual({ status: 'ok' }), { timeout: 40_000, interval: 250 })
  }, 120_000)

  it('comes back from its backup when disk and database servers are lost, by pg_dump and pg_restore', async () => {
    // SEC-15
    const configOf = (urls: { url: string; regionalUrl: string }) => ({ dialect: 'postgres' as const, ...urls, schemaPrefix: 'hospital_a', poolSize: 10 })
    const fileOf = async (database: object) => {
      const file = join(folder, 'node.json')
      await writeFile(file, JSON.stringify({ hospital: { id: A, name: '云溪县人民医院' }, dataFolder: join(folder, A), database }))
      return file
    }
    const backup = async (database: object, ...args: string[]) => {
      const env = { ...process.env, LIANPIAN_BACKUP_PASSPHRASE: 'a rehearsal of disaster' }
      const { stdout } = await promisify(execFile)('npx', ['tsx', join(root, 'scripts/backup/main.ts'), ...args, '--node', await fileOf(database), '--to', join(folder, 'backups'), '--json'], { env })
      return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, number>
    }
    await vi.waitFor(async () => expect((await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows[0]?.instanceCount).toBe(4), { timeout: 20_000, interval: 100 })
    await backup(database, 'create', '--with-vault-key')
    expect((await backup(database, 'create', '--with-vault-key'))['newBytes']).toBeLessThan(2_000_000)
    await hospital.stop()
    await rm(join(folder, A), { recursive: true })
    await Promise.all([own.kill(), regional.kill()])
    ;[own, regional] = [await startPostgres(), await startPostgres()] // new machines: nothing of before is on them
    database = configOf({ url: await own.newDatabase(), regionalUrl: await regional.newDatabase() })
    const began = Date.now()
    await backup(database, 'restore')
    hospital = await TestHospital.start(folder, A, '云溪县人民医院', { database })
    doctor = await hospital.signIn('doctor')
    const [exam] = (await doctor.get<{ rows: ExamRow[] }>('/api/exams?text=11010519491231002X')).rows // sealed, found by its blind index
    expect(exam).toMatchObject({ accessionNumber: 'F33', instanceCount: 4 })
    console.log(`restore with PostgreSQL: RTO ${((Date.now() - began) / 1000).toFixed(1)} s from empty servers and an empty disk to the first list; RPO the interval of the backups`)
    expect(await doctor.send<ExamDetail>('POST', `/api/exams/${exam!.examId}/unmask`, { reason: '恢复后核对' })).toMatchObject({ patientName: '张秀兰', idCard: '11010519491231002X' })
    expect((await doctor.raw(`/dicom-web/studies/${exam!.studyInstanceUid}/metadata`, { headers: { accept: 'application/dicom+json' } })).status).toBe(200)
    const health = (await (await fetch(`${hospital.url}/health`)).json()) as { checks: Record<string, { status: string }> }
    expect(health.checks['regional-archive']).toEqual({ status: 'ok' })
    // One chain of audit from before the backup to after the restore, and the restore is in it.
    const auditor = await hospital.signIn('auditor')
    await vi.waitFor(async () => expect((await auditor.get<{ rows: unknown[] }>('/api/audit/records?action=backup.restore')).rows).toHaveLength(1), { timeout: 20_000, interval: 200 })
    const { id } = await auditor.send<VerificationRow>('POST', '/api/audit/verifications', {})
    await vi.waitFor(async () => {
      const found = await auditor.get<VerificationRow>(`/api/audit/verifications/${id}`)
      expect(found.state).not.toBe('running')
      expect([found.state, found.findings]).toEqual(['whole', []])
    }, { timeout: 20_000, interval: 200 })
  }, 180_000)
})
