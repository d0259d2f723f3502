import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { AuditPage, DestructionCandidate, ExamDetail, ExportRow, ExamRetention, RetentionJob, RetentionRules, RetentionYearRow } from 'specs'
import type { z } from 'zod'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { A } from '../../src/access/builders.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { TestHospital } from '../support/region.ts'

const soon = { timeout: 20_000, interval: 50 }
let folder: string
let hospital: TestHospital
let registrar: ApiUser, records: ApiUser, admin: ApiUser, doctor: ApiUser
const examOf = new Map<string, ExamDetail>()
let study: string

/** An exam of a patient, by class and day. */
async function register(accessionNumber: string, patientId: string, patientClass: string, studyDate: string, more: object = {}): Promise<ExamDetail> {
  const exam = await registrar.send<ExamDetail>('POST', '/api/exams', {
    accessionNumber, patientId, patientName: '张秀兰', patientSex: 'F', patientBirthDate: '1961-04-12', modality: 'CT', bodyPart: '胸部', description: '', studyDate, studyTime: '',
    studyInstanceUid: null, clinicalHistory: '', reportFindings: '未见异常', reportImpression: '', patientClass, phone: '13812348888', ...more,
  }) // prettier-ignore
  examOf.set(accessionNumber, exam)
  return exam
}
const idOf = (accessionNumber: string) => examOf.get(accessionNumber)!.examId
const retentionOf = (accessionNumber: string) => doctor.get<ExamRetention>(`/api/exams/${idOf(accessionNumber)}/retention`)
const review = async () => (await records.get<{ rows: DestructionCandidate[] }>('/api/retention/review')).rows.map(({ accessionNumber }) => accessionNumber)
const destroy = (accessionNumber: string) => records.send('DELETE', `/api/exams/${idOf(accessionNumber)}`, { reason: '保存期满，经病案委员会批准' })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-retention-'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', {})
  ;[registrar, records, admin, doctor] = [await hospital.signIn('registrar'), await hospital.signIn('records'), await hospital.signIn('admin'), await hospital.signIn('doctor')]
  const images = join(unpackFixtures('ct-chest'), 'ct-chest')
  const file = join(images, (await readdir(images)).sort()[0]!)
  const identity = await identityOf(file)
  study = identity.studyInstanceUid
  await register('OLD', 'P1', 'outpatient', '2009-03-01', { studyInstanceUid: study })
  await register('RECENT', 'P2', 'outpatient', '2020-03-01')
  await register('STAYED', 'P3', 'inpatient', '2009-03-01')
  await register('BOTH', 'P4', 'outpatient', '2009-03-01')
  await register('BOTH-STAY', 'P4', 'inpatient', '2008-01-01')
  await register('HELD', 'P5', 'outpatient', '2009-03-02')
  await sendInstances({ host: '127.0.0.1', port: hospital.node.dimsePort, aeTitle: 'TEST' }, [await instanceOfFile(file, identity)], { callingAeTitle: 'CT01' })
  await vi.waitFor(async () => expect((await doctor.get<ExamDetail>(`/api/exams/${idOf('OLD')}`)).instanceCount).toBe(1), soon)
}, 60_000)

afterAll(async () => {
  await hospital?.stop()
  await rm(folder, { recursive: true, force: true })
})

describe('keeping images as long as the law wants', () => {
  it('gives every exam a last day from the class of its patient, the longer one where there are two', async () => {
    // LOC-06
    expect((await retentionOf('OLD')).retainUntil).toBe('2024-03-01')
    expect((await retentionOf('STAYED')).retainUntil).toBe('2039-03-01')
    expect(await retentionOf('BOTH')).toMatchObject({ retainUntil: '2038-01-01', mayBeDestroyed: false, because: [{ patientClass: 'inpatient', lastOn: '2008-01-01', years: 30 }, { patientClass: 'outpatient' }] })
    expect((await retentionOf('BOTH-STAY')).retainUntil).toBe('2038-01-01')
    await vi.waitFor(async () => expect(await review()).toEqual(['OLD', 'HELD']), soon)
  })
  it('lets nobody destroy one before, whatever the rights', async () => {
    for (const early of ['RECENT', 'STAYED', 'BOTH']) await expect(destroy(early)).rejects.toMatchObject({ status: 409, details: { code: 'retention/not-yet' } })
    await expect(doctor.send('DELETE', `/api/exams/${idOf('OLD')}`, { reason: '清理' })).rejects.toMatchObject({ status: 403 })
    await expect(records.send('DELETE', `/api/exams/${idOf('OLD')}`, { reason: '' })).rejects.toMatchObject({ status: 400 })
  })
  it('keeps what is held for a court', async () => {
    await records.send('PUT', `/api/exams/${idOf('HELD')}/legal-hold`, { held: true, reason: '医疗纠纷' })
    await expect(destroy('HELD')).rejects.toMatchObject({ details: { code: 'retention/legal-hold' } })
    expect(await review()).toEqual(['OLD'])
  })
  it('keeps longer after a discharge that HIS tells of', async () => {
    await registrar.send('POST', '/api/retention/visits', { patientId: 'P2', patientClass: 'inpatient', endedOn: '2021-05-01' })
    expect((await retentionOf('RECENT')).retainUntil).toBe('2051-05-01')
  })
  it('dates everything anew when the rule changes, and tells how far it is', async () => {
    const { years } = await admin.get<RetentionRules>('/api/retention/rules')
    expect(years).toMatchObject({ outpatient: 15, inpatient: 30 })
    await expect(records.send('PUT', '/api/retention/rules', { years, reason: '新规定' })).rejects.toMatchObject({ status: 403 })
    await admin.send('PUT', '/api/retention/rules', { years: { ...years, outpatient: 20 }, reason: '新规定' })
    await vi.waitFor(async () => expect(await admin.get<RetentionJob>('/api/retention/job')).toMatchObject({ state: 'done', done: 6, total: 6 }), soon)
    expect((await retentionOf('OLD')).retainUntil).toBe('2029-03-01')
    expect(await review()).toEqual([])
    await admin.send('PUT', '/api/retention/rules', { years, reason: '新规定撤回' })
    await vi.waitFor(async () => expect(await review()).toEqual(['OLD']), soon)
  })
  it('destroys exam and images when a person wants it, and the trail tells who, why and what', async () => {
    const { exportId } = await doctor.send<ExportRow>('POST', '/api/exports', { studyInstanceUid: study, level: 'L3', format: 'dicom', purpose: '教学', reason: '教学', includeShown: true })
    await (await doctor.raw(`/api/exports/${exportId}/file`)).arrayBuffer()
    const whoIs = () => records.send('POST', `/api/export-projects/${exportId}/reidentify`, { pseudonym: 'ST-000001', reason: '核对编号' })
    expect(await whoIs()).toMatchObject({ studyInstanceUid: study })
    await destroy('OLD')
    // What was taken out under a pseudonym leads to nobody any more.
    await expect(whoIs()).rejects.toMatchObject({ details: { code: 'export/pseudonym-unknown' } })
    await expect(doctor.get(`/api/exams/${idOf('OLD')}`)).rejects.toMatchObject({ status: 404 })
    expect((await doctor.raw(`/dicom-web/studies/${study}/metadata`, { headers: { accept: 'application/dicom+json' } })).status).toBe(404)
    await hospital.stop()
    await hospital.startAgain()
    ;[registrar, records, admin, doctor] = [await hospital.signIn('registrar'), await hospital.signIn('records'), await hospital.signIn('admin'), await hospital.signIn('doctor')]
    expect((await doctor.get<{ total: number }>('/api/exams')).total).toBe(5)
    const trail = await (await hospital.signIn('auditor')).get<z.infer<typeof AuditPage>>('/api/audit/records?action=exam.delete,study.delete&outcome=success')
    expect(trail.rows.map(({ action }) => action).sort()).toEqual(['exam.delete', 'study.delete'])
    expect(trail.rows.find(({ action }) => action === 'exam.delete')).toMatchObject({ reason: '保存期满，经病案委员会批准', facts: { accessionNumber: 'OLD', retainUntil: '2024-03-01' } })
  })
  it('takes back an exam that was registered by mistake at any time', async () => {
    await register('WRONG', 'P9', 'inpatient', '2026-11-20', { reportFindings: '' })
    await destroy('WRONG')
    await expect(doctor.get(`/api/exams/${idOf('WRONG')}`)).rejects.toMatchObject({ status: 404 })
  })
  it('reports by year', async () => {
    const report = await admin.get<RetentionYearRow[]>('/api/retention/report')
    expect(report.map(({ year, exams, destroyed, held }) => [year, exams, destroyed, held])).toEqual([['2026', 0, 1, 0], ['2020', 1, 0, 0], ['2009', 3, 1, 1], ['2008', 1, 0, 0]])
  })
})
