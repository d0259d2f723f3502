import { readFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { AuditPage, ConsultDetail, ConsultRow, ExamDetail, ExamRow, LinkStatus, LiveExam, PatientExam, PatientToken, RegionStatistics, UnmaskedConsult } from 'specs'
import type { z } from 'zod'
import { ApiUser } from '../../../scripts/region/api.ts'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { A, C } from '../../src/access/builders.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { password, TestRegion, type TestHospital } from '../support/region.ts'

const soon = { timeout: 40_000, interval: 50 }
const [idCard, phone, address] = ['11010519491231002X', '13812348888', '云南省大理白族自治州祥云县祥城镇城东路2号']
const name = '张秀兰'
const secrets = [name, idCard, phone, '城东路', '1961-04-12']

let region: TestRegion
let a: TestHospital, c: TestHospital
let doctor: ApiUser, registrar: ApiUser, expert: ApiUser
let exam: ExamDetail
let study: string

const anExam = (more: object = {}) => ({
  accessionNumber: 'P1', patientId: 'YX0031846', patientName: name, patientSex: 'F', patientBirthDate: '1961-04-12', modality: 'CT', bodyPart: '胸部', description: '胸部平扫',
  studyDate: '2026-11-20', studyTime: '08:15:00', studyInstanceUid: null, clinicalHistory: `${name}，咳嗽一月，家属电话${phone}`, reportFindings: '右肺门旁占位', reportImpression: '占位性病变',
  idCard, phone, address, ...more,
}) // prettier-ignore

beforeAll(async () => {
  region = await TestRegion.start()
  a = await region.add(A, '云溪县人民医院', ['submitter'])
  c = await region.add(C, '澄江省立医院', ['processor'])
  ;[doctor, registrar, expert] = [await a.signIn('doctor'), await a.signIn('registrar'), await c.signIn('expert')]
  await vi.waitFor(async () => {
    for (const hospital of [a, c]) expect((await (await hospital.signIn('admin')).get<LinkStatus>('/api/link')).state).toBe('connected')
  }, soon)
  const file = join(unpackFixtures('ct-chest'), 'ct-chest')
  const { readdir } = await import('node:fs/promises')
  const [first] = (await readdir(file)).sort()
  const identity = await identityOf(join(file, first!))
  study = identity.studyInstanceUid
  exam = await registrar.send<ExamDetail>('POST', '/api/exams', anExam({ studyInstanceUid: study }))
  await registrar.send('POST', '/api/exams', anExam({ accessionNumber: 'P2', patientId: 'P-2', patientName: '刘桂芳', idCard: '', phone: '', address: '', clinicalHistory: '' }))
  await sendInstances({ host: '127.0.0.1', port: a.node.dimsePort, aeTitle: 'TEST' }, [await instanceOfFile(join(file, first!), identity)], { callingAeTitle: 'CT01' })
  await vi.waitFor(async () => expect((await doctor.get<ExamDetail>(`/api/exams/${exam.examId}`)).instanceCount).toBe(1), soon)
}, 120_000)

afterAll(() => region?.stop())

const nothingClear = (answer: unknown) => {
  const text = JSON.stringify(answer)
  for (const secret of secrets) expect(text).not.toContain(secret)
}
const records = async (hospital: TestHospital, query: string) => (await (await hospital.signIn('auditor')).get<z.infer<typeof AuditPage>>(`/api/audit/records?${query}`)).rows

describe('patient data on the pages of staff', () => {
  it('is masked in the answer to the registration, in lists, on the page and by study, for every role', async () => {
    // SEC-06
    nothingClear(exam)
    expect(exam).toMatchObject({ patientName: '张*兰', idCard: '110105********002X', phone: '138****8888', address: '云南省大理白族自治州祥云县***', patientBirthDate: '1961', patientAge: '065Y', masked: true })
    for (const who of [doctor, registrar, await a.signIn('admin')]) {
      const list = await who.get<{ rows: ExamRow[] }>('/api/exams')
      expect(list.rows.map(({ patientName }) => patientName).sort()).toEqual(['刘*芳', '张*兰'])
      nothingClear(list)
      nothingClear(await who.get(`/api/exams/${exam.examId}`))
      nothingClear(await who.get(`/api/exams/by-study/${study}`))
    }
  })
  it('is found by the whole name, identity card or telephone number, and answered masked', async () => {
    for (const text of [name, idCard, idCard.toLowerCase(), phone, '+86 138-1234-8888']) {
      const found = await doctor.get<{ rows: ExamRow[] }>(`/api/exams?text=${encodeURIComponent(text)}`)
      expect(found.rows.map(({ examId }) => examId), text).toEqual([exam.examId])
      nothingClear(found)
    }
    expect((await doctor.get<{ rows: ExamRow[] }>(`/api/exams?text=${phone.slice(0, 7)}`)).rows).toEqual([])
  })
  it('lies sealed in the database', async () => {
    const file = await readFile(join(region.folder, A, 'node.sqlite'))
    const wal = await readFile(join(region.folder, A, 'node.sqlite-wal')).catch(() => Buffer.alloc(0))
    for (const secret of [idCard, '祥城镇城东路2号']) expect(file.includes(secret) || wal.includes(secret)).toBe(false)
  })
  it('is shown in full once, to whoever has the right and says why, and the trail knows', async () => {
    const clear = await doctor.send<ExamDetail>('POST', `/api/exams/${exam.examId}/unmask`, { reason: '电话通知危急值' })
    expect(clear).toMatchObject({ patientName: name, idCard, phone, address, patientBirthDate: '1961-04-12', masked: false })
    nothingClear(await doctor.get(`/api/exams/${exam.examId}`))
    await expect((await a.signIn('admin')).send('POST', `/api/exams/${exam.examId}/unmask`, { reason: '想看看' })).rejects.toMatchObject({ status: 403 })
    await expect(doctor.send('POST', `/api/exams/${exam.examId}/unmask`, { reason: ' ' })).rejects.toMatchObject({ status: 400 })
    const [record] = await records(a, 'action=patient.unmask&outcome=success')
    expect(record).toMatchObject({ actor: { name: 'doctor' }, reason: '电话通知危急值', object: { type: 'exam', id: exam.examId } })
    const told = JSON.stringify(await records(a, 'limit=200'))
    for (const secret of [idCard, phone, '城东路']) expect(told).not.toContain(secret)
  })
  it('is not wiped out by who changes a text that was shown masked', async () => {
    const { clinicalHistory } = await doctor.get<ExamDetail>(`/api/exams/${exam.examId}`)
    expect(clinicalHistory).toBe('张*兰，咳嗽一月，家属电话138****8888')
    await doctor.send('PATCH', `/api/exams/${exam.examId}`, { clinicalHistory: `${clinicalHistory}；吸烟史` })
    const clear = await doctor.send<ExamDetail>('POST', `/api/exams/${exam.examId}/unmask`, { reason: '核对' })
    expect(clear.clinicalHistory).toBe(`${name}，咳嗽一月，家属电话${phone}；吸烟史`)
  })
  it('is masked in DICOMweb too, where a search may name the patient', async () => {
    const file = join(unpackFixtures('charsets'), 'charsets', 'chrX2.dcm')
    const named = await identityOf(file)
    await sendInstances({ host: '127.0.0.1', port: a.node.dimsePort, aeTitle: 'TEST' }, [await instanceOfFile(file, named)], { callingAeTitle: 'CT01' })
    const ask = async (path: string) => (await (await doctor.raw(path, { headers: { accept: 'application/dicom+json' } })).json()) as Record<string, { Value?: unknown[] }>[]
    const found = await vi.waitFor(async () => {
      const [one, ...others] = await ask(`/dicom-web/studies?PatientName=${encodeURIComponent('王^小东')}`)
      expect([others, one]).toEqual([[], expect.anything()])
      return one!
    }, soon)
    const [instance] = await ask(`/dicom-web/studies/${named.studyInstanceUid}/metadata`)
    for (const answer of [found, instance]) expect(answer?.['00100010']?.Value).toEqual([{ Alphabetic: 'Wang^X***', Ideographic: '王*东' }])
  })
  it('leaves masked in files, unless somebody with the right says why', async () => {
    // SEC-06, SEC-10
    const file = join(unpackFixtures('charsets'), 'charsets', 'chrX2.dcm')
    const { studyInstanceUid, sopInstanceUid } = await identityOf(file)
    const [series] = (await (await doctor.raw(`/dicom-web/studies/${studyInstanceUid}/series`, { headers: { accept: 'application/dicom+json' } })).json()) as Record<string, { Value?: string[] }>[]
    const seriesInstanceUid = series?.['0020000E']?.Value?.[0] ?? ''
    const path = `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`
    const uri = `/wado?requestType=WADO&studyUID=${studyInstanceUid}&seriesUID=${seriesInstanceUid}&objectUID=${sopInstanceUid}&contentType=application%2Fdicom`
    const fetched = async (who: ApiUser, address: string) => {
      const answer = await who.raw(address, { headers: { accept: 'application/dicom' } })
      return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) }
    }
    const stored = await readFile(file)
    for (const address of [path, uri]) {
      const masked = await fetched(doctor, address)
      expect([masked.status, masked.bytes.length]).toEqual([200, (await fetched(doctor, `${address}${address === path ? '?' : '&'}identity=full&reason=CD-ROM`)).bytes.length])
      expect(masked.bytes.includes('Wang^X***')).toBe(true)
      for (const clear of ['XiaoDong', Buffer.from([0xd0, 0xa1, 0xb6, 0xab])]) expect([masked.bytes.includes(clear), stored.includes(clear)]).toEqual([false, true])
    }
    const full = await fetched(doctor, `${path}?identity=full&reason=${encodeURIComponent('转院刻盘')}`)
    expect(full.bytes.includes('Wang^XiaoDong')).toBe(true)
    expect((await fetched(doctor, `${path}?identity=full`)).status).toBe(400)
    const [record] = await records(a, 'action=patient.unmask&objectType=study')
    expect(record).toMatchObject({ reason: '转院刻盘', object: { id: studyInstanceUid } })
  })
})

describe('one exam, addressed by four accounts', () => {
  let taskId: string
  it('shows the consulting hospital what was granted, masked, and nothing without a grant', async () => {
    // SEC-04, SEC-06
    taskId = randomUUID()
    await doctor.send<ConsultRow>('POST', '/api/consults', { taskId, examId: exam.examId, mode: 'pull', imagesTo: 'none', urgency: 'routine', question: `${name}占位性质？`, target: { kind: 'hospital', hospitalId: C } })
    const seen = await vi.waitFor(() => expert.get<ConsultDetail>(`/api/consults/${taskId}`), soon)
    expect([seen.patientName, seen.question, seen.request?.exam.patient.name]).toEqual(['张*兰', '张*兰占位性质？', '张*兰'])
    nothingClear(seen)
    nothingClear(await expert.get('/api/consults'))
    nothingClear(await expert.get<LiveExam>(`/api/consults/${taskId}/exam`))
    await expect(expert.send('POST', `/api/consults/${taskId}/unmask`, { reason: '需要联系' })).rejects.toMatchObject({ status: 403 })
    await expect(expert.get(`/api/exams/${exam.examId}`)).rejects.toMatchObject({ status: 404 })
    const clear = await doctor.send<UnmaskedConsult>('POST', `/api/consults/${taskId}/unmask`, { reason: '核对身份' })
    expect([clear.request?.exam.patient.name, clear.exam?.exam.patient.name]).toEqual([name, name])
  })
  it('shows the health authority figures and who looked, but not who the patient is', async () => {
    const authority = await ApiUser.signIn(region.hubUrl, 'authority', password)
    const figures = await authority.get<RegionStatistics>('/api/statistics')
    expect(figures).toMatchObject({ total: 1, byHospital: [{ submitter: A, state: 'submitted', count: 1 }] })
    const viewing = await vi.waitFor(async () => {
      const page = await authority.get<{ rows: unknown[] }>('/api/cross-viewing')
      expect(page.rows.length).toBeGreaterThan(0)
      return page
    }, soon)
    for (const answer of [figures, viewing, await authority.get('/api/tasks')]) {
      nothingClear(answer)
      expect(JSON.stringify(answer)).not.toContain('YX0031846')
    }
    await expect(authority.get(`/api/exams/${exam.examId}`)).rejects.toMatchObject({ status: 404 })
  })
  it('shows the administrator of a hospital the own hospital only', async () => {
    expect((await (await a.signIn('admin')).get<{ rows: unknown[] }>('/api/exams')).rows).toHaveLength(3)
    expect((await (await c.signIn('admin')).get<{ rows: unknown[] }>('/api/exams')).rows).toEqual([])
    await expect((await c.signIn('admin')).get(`/api/exams/${exam.examId}`)).rejects.toMatchObject({ status: 404 })
  })
  it('shows a patient the own exams, until the token ends', async () => {
    const issued = await registrar.send<PatientToken>('POST', `/api/exams/${exam.examId}/patient-token`, {})
    const look = async (token: string) => fetch(`${a.url}/api/patient/exams`, { headers: { authorization: `Bearer ${token}` } })
    const own = (await (await look(issued.token)).json()) as { rows: PatientExam[] }
    expect(own.rows.map(({ examId, patientName }) => [examId, patientName])).toEqual([[exam.examId, '张**']])
    nothingClear(own)
    expect(issued.token).not.toContain('YX0031846')
    // Nothing else opens to it.
    expect((await fetch(`${a.url}/api/exams`, { headers: { authorization: `Bearer ${issued.token}` } })).status).toBe(401)
    expect((await look('pt_' + 'A'.repeat(32))).status).toBe(401)
    await registrar.send('DELETE', `/api/patient-tokens/${issued.tokenId}`)
    expect((await look(issued.token)).status).toBe(401)
  })
})
