import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { HospitalId, noPlacement, type BreakGlassRow, type DicomNode, type ExamDetail, type ExamPlacement, type ExamRow, type Explanation, type LiveEvent } from 'specs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { newTransactionUid } from '../../src/commitment/transaction.ts'
import { askForCommitment } from '../../src/commitment/wire.ts'
import { getFrom, moveFrom } from '../../src/dimse/scu-query.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { password, TestHospital } from '../support/region.ts'
import { run, startReceiver } from './dimse-support.ts'

const soon = { timeout: 15_000, interval: 50 }
const account = (username: string, ...roles: string[]) => ({ username, password, name: username, title: '', roles })
let folder: string
let house: TestHospital
const users = new Map<string, ApiUser>()
const as = (username: string) => users.get(username)!

const staff = [account('wang', 'doctor'), account('li', 'doctor'), account('zhao', 'doctor'), account('qian', 'reviewer'), account('sun', 'clinician'),
  account('registrar', 'registrar'), account('admin', 'admin'), account('security', 'security-admin'), account('auditor', 'audit-admin')] // prettier-ignore

/** Three exams with images, each in another area; 3 belongs to P2 like 2. */
const exams = [
  { number: 1, patient: 'P1', place: { campus: '总院', area: '总院超声', requestingDepartment: '内科' } },
  { number: 2, patient: 'P2', place: { campus: '西院', area: '西院超声', requestingDepartment: '外科' } },
  { number: 3, patient: 'P2', place: { campus: '总院', area: '生殖超声', requestingDepartment: '外科' } },
] as const
const uid = (number: number) => `2.25.700${number}`
const studiesOf = (...numbers: number[]) => numbers.map(uid).sort()
const accession = (number: number) => `ACC700${number}`

async function register(at: TestHospital, by: ApiUser, number: number, patientId: string, place: Partial<ExamPlacement>): Promise<string> {
  const exam = { ...noPlacement, ...place, accessionNumber: accession(number), patientId, patientName: `患者${patientId}`, patientSex: 'M', patientBirthDate: '1970-01-01', modality: 'US', bodyPart: '',
    description: '腹部超声', studyDate: '2026-11-20', studyTime: '', studyInstanceUid: uid(number), clinicalHistory: '', reportFindings: '', reportImpression: '' } // prettier-ignore
  const { examId } = await by.send<ExamDetail>('POST', '/api/exams', exam)
  await store(at, number, patientId)
  await vi.waitFor(async () => expect(await imagesOf(at, examId, by)).toBe(1), soon)
  return examId
}

const imagesOf = async (_at: TestHospital, examId: string, by: ApiUser) => (await by.get<ExamDetail>(`/api/exams/${examId}`)).instanceCount

async function store(at: TestHospital, number: number, patientId: string, callingAeTitle = 'US1'): Promise<string[]> {
  const slice = aSlice({ StudyInstanceUID: uid(number), SeriesInstanceUID: `${uid(number)}.1`, SOPInstanceUID: `${uid(number)}.1.1`, InstanceNumber: '1', AccessionNumber: accession(number), PatientID: patientId }) // prettier-ignore
  const file = path.join(folder, `${number}.dcm`)
  await writeFile(file, buildFile(slice))
  const files = [instanceOfFile(file, await identityOf(file))]
  const deliveries = await sendInstances({ host: '127.0.0.1', port: at.node.dimsePort, aeTitle: 'TEST' }, files, { callingAeTitle })
  return deliveries.map(({ kind }) => kind)
}

/** Everything by which a person could find an exam, and whether it is opened by its number. */
async function seenBy(user: ApiUser): Promise<{ list: string[]; total: number; search: string[]; qido: string[]; series: string[]; instances: string[]; read: string[]; view: string[]; wado: string[] }> {
  const list = await user.get<{ rows: ExamRow[]; total: number }>('/api/exams')
  const search = await user.get<{ rows: ExamRow[] }>('/api/exams?text=ACC700')
  const qido = async (level: string) => {
    const answer = await user.raw(`/dicom-web/${level}?AccessionNumber=ACC700*`, { headers: { accept: 'application/dicom+json' } })
    return answer.status === 200 ? ((await answer.json()) as Record<string, { Value?: string[] }>[]).map((row) => row['0020000D']?.Value?.[0] ?? '').sort() : []
  }
  const opened = async (pathOf: (number: number) => string) => {
    const numbers = await Promise.all(exams.map(async ({ number }) => ((await user.raw(pathOf(number))).status === 200 ? [uid(number)] : [])))
    return numbers.flat().sort()
  }
  const ofRows = (rows: readonly ExamRow[]) => rows.map(({ studyInstanceUid }) => studyInstanceUid ?? '').sort()
  return {
    list: ofRows(list.rows),
    total: list.total,
    search: ofRows(search.rows),
    qido: await qido('studies'),
    series: await qido('series'),
    instances: await qido('instances'),
    read: await opened((number) => `/api/exams/by-study/${uid(number)}`),
    view: await opened((number) => `/dicom-web/studies/${uid(number)}/metadata`),
    wado: await opened((number) => `/wado?requestType=WADO&studyUID=${uid(number)}&seriesUID=${uid(number)}.1&objectUID=${uid(number)}.1.1&contentType=image/jpeg`),
  }
}
const everywhere = (...numbers: number[]) => {
  const studies = studiesOf(...numbers)
  return { list: studies, total: studies.length, search: studies, qido: studies, series: studies, instances: studies, read: studies, view: studies, wado: studies }
}

const idOf = async (username: string) => {
  const { rows } = await as('security').get<{ rows: { id: string; username: string }[] }>('/api/accounts')
  return rows.find((row) => row.username === username)!.id
}
const giveRoles = async (username: string, ...roles: { role: string; scope?: object }[]) =>
  as('security').send('PUT', `/api/accounts/${await idOf(username)}/roles`, { roles: roles.map((given) => ({ scope: {}, ...given })) })
const rule = (draft: object) => as('security').send<{ ruleId: string }>('POST', '/api/access/rules', { reason: '患者本人要求', ...draft })
const withdraw = (ruleId: string) => as('security').send('POST', `/api/access/rules/${ruleId}/withdraw`, { reason: '已处理' })

const examIds = new Map<number, string>()
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-policy-'))
  house = await TestHospital.start(folder, HospitalId.parse('hospital-a'), '云溪县人民医院', { accounts: staff })
  for (const { username } of staff) users.set(username, await house.signIn(username))
  for (const { number, patient, place } of exams) examIds.set(number, await register(house, as('registrar'), number, patient, place))
}, 120_000)
afterAll(async () => {
  await house?.stop()
  await rm(folder, { recursive: true, force: true })
})

describe('areas and groups', () => {
  it('show each user the exams of the own areas, two areas their union, nobody else’s anywhere', async () => {
    // REG-21, ULS-18
    expect(await seenBy(as('wang'))).toEqual(everywhere(1, 2, 3))
    await giveRoles('wang', { role: 'doctor', scope: { areas: ['总院超声'] } })
    await giveRoles('li', { role: 'doctor', scope: { areas: ['西院超声'] } })
    await giveRoles('zhao', { role: 'doctor', scope: { areas: ['总院超声', '西院超声'] } })
    expect(await seenBy(as('wang'))).toEqual(everywhere(1))
    expect(await seenBy(as('li'))).toEqual(everywhere(2))
    expect(await seenBy(as('zhao'))).toEqual(everywhere(1, 2))
    await giveRoles('zhao', { role: 'doctor' })
    expect(await seenBy(as('zhao'))).toEqual(everywhere(1, 2, 3))
  })
  it('follow a user from one group to another at the next request', async () => {
    // SEC-01, SEC-02
    const group = (name: string, area: string) =>
      as('security').send<{ id: string }>('POST', '/api/groups', { name, description: '', roles: [{ role: 'doctor', scope: { areas: [area] } }], members: [] })
    const [east, west] = [await group('总院组', '总院超声'), await group('西院组', '西院超声')]
    await giveRoles('li')
    const put = async (groups: string[]) => as('security').send('PUT', `/api/accounts/${await idOf('li')}/groups`, { groups })
    await put([east.id])
    expect(await seenBy(as('li'))).toEqual(everywhere(1))
    await put([west.id])
    expect(await seenBy(as('li'))).toEqual(everywhere(2))
    const denied = await rule({ effect: 'deny', subject: { kind: 'group', id: west.id }, object: { kind: 'patient', id: 'P2' } })
    expect((await seenBy(as('li'))).total).toBe(0)
    await withdraw(denied.ruleId)
    await put([])
    await expect(as('li').get('/api/exams')).rejects.toMatchObject({ status: 403 })
    await giveRoles('li', { role: 'doctor' })
  })
  it('let who works in queue A neither add images to an exam of queue B nor change it', async () => {
    // SEC-02
    await giveRoles('li', { role: 'technician', scope: { areas: ['总院超声'] } })
    const stow = async (number: number, instance: number) => {
      const file = buildFile(aSlice({ StudyInstanceUID: uid(number), SeriesInstanceUID: `${uid(number)}.1`, SOPInstanceUID: `${uid(number)}.1.${instance}`, InstanceNumber: String(instance), AccessionNumber: accession(number), PatientID: `P${number}` }))
      const answer = await as('li').raw('/dicom-web/studies', { method: 'POST', headers: { 'content-type': 'application/dicom' }, body: Uint8Array.from(file) })
      return { status: answer.status, body: (await answer.json()) as Record<string, { Value?: Record<string, { Value?: unknown[] }>[] }> }
    }
    expect((await stow(1, 1)).status).toBe(200) // as it came from the device: nothing is there twice
    const refused = await stow(2, 7)
    expect(refused.status).toBe(409)
    // PS3.18 Table 10.5.3-1: Refused: Not authorized, and of which instance
    expect(refused.body['00081198']?.Value?.[0]).toMatchObject({ '00081155': { Value: [`${uid(2)}.1.7`] }, '00081197': { Value: [0x0124] } })
    const change = (number: number) => as('li').send('PATCH', `/api/exams/${examIds.get(number)}`, { clinicalHistory: '腹痛三天' })
    await expect(change(2)).rejects.toMatchObject({ status: 403, code: 'access/out-of-scope' })
    await change(1)
    await giveRoles('li', { role: 'doctor' })
    expect([await imagesOf(house, examIds.get(1)!, as('li')), await imagesOf(house, examIds.get(2)!, as('li'))]).toEqual([1, 1])
  })
  it('keep a registrar from entering exams elsewhere, and fill in the own place', async () => {
    // ULS-18
    await giveRoles('registrar', { role: 'registrar', scope: { areas: ['总院超声'] } })
    const exam = { accessionNumber: 'ACC8001', patientId: 'P8', patientName: '患者八', patientSex: '', patientBirthDate: '', modality: 'US', bodyPart: '', description: '', studyDate: '', studyTime: '',
      studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '' } // prettier-ignore
    await expect(as('registrar').send('POST', '/api/exams', { ...exam, area: '西院超声' })).rejects.toMatchObject({ status: 403, code: 'access/out-of-scope' })
    expect(await as('registrar').send<ExamDetail>('POST', '/api/exams', exam)).toMatchObject({ area: '总院超声' })
    // SEC-03: a number that is taken is refused; by which exam, only to those who may have that exam on a list
    const taken = (number: number) => as('registrar').send('POST', '/api/exams', { ...exam, accessionNumber: accession(number) }).catch((error: unknown) => error)
    expect(await taken(1)).toMatchObject({ status: 409, code: 'exam/exists', details: { facts: { examId: examIds.get(1) } } })
    const elsewhere = await taken(2)
    expect(elsewhere).toMatchObject({ status: 409, code: 'exam/exists' })
    expect(JSON.stringify(elsewhere)).not.toContain(examIds.get(2))
    await giveRoles('registrar', { role: 'registrar' })
  })
})

describe('rules', () => {
  it('close one patient to one user: on lists, in counts, in search, in every opening; not to others', async () => {
    // SEC-03
    const wang = await idOf('li')
    const { ruleId } = await rule({ effect: 'deny', subject: { kind: 'user', id: wang }, object: { kind: 'patient', id: 'P2' } })
    const seen = await seenBy(as('li'))
    expect({ ...seen, list: seen.list.filter((study) => study !== ''), total: 1 }).toEqual(everywhere(1))
    await expect(as('li').get(`/api/exams/${examIds.get(2)}`)).rejects.toMatchObject({ status: 403, code: 'access/rule-denied' })
    await expect(as('li').send('PATCH', `/api/exams/${examIds.get(2)}`, { clinicalHistory: 'x' })).rejects.toMatchObject({ code: 'access/rule-denied' })
    expect((await as('li').raw(`/dicom-web/studies/${uid(2)}`, { headers: { accept: 'multipart/related; type="application/dicom"' } })).status).toBe(403)
    expect((await seenBy(as('zhao'))).qido).toEqual(studiesOf(1, 2, 3))
    await withdraw(ruleId)
    expect((await seenBy(as('li'))).view).toEqual(studiesOf(1, 2, 3))
    const { rows } = await as('security').get<{ rows: { ruleId: string; withdrawn: { because: string } | null }[] }>('/api/access/rules?history=true')
    expect(rows.find((row) => row.ruleId === ruleId)?.withdrawn?.because).toBe('已处理')
  })
  it('reserve one exam for one user', async () => {
    // SEC-03
    const { ruleId } = await rule({ effect: 'only', subject: { kind: 'user', id: await idOf('zhao') }, object: { kind: 'exam', id: examIds.get(3) } })
    expect((await seenBy(as('zhao'))).read).toEqual(studiesOf(1, 2, 3))
    expect((await seenBy(as('li'))).read).toEqual(studiesOf(1, 2))
    expect((await seenBy(as('li'))).qido).toEqual(studiesOf(1, 2))
    await withdraw(ruleId)
  })
  it('tell the security administrator why somebody was refused, step by step, and nobody else', async () => {
    // SEC-03, SEC-07
    const id = await idOf('li')
    const { ruleId } = await rule({ effect: 'deny', subject: { kind: 'user', id }, object: { kind: 'exam', id: examIds.get(1) }, reason: '医患纠纷期间回避' })
    const question = { who: { kind: 'user', id }, doing: 'view', exam: { accessionNumber: accession(1) } }
    const told = await as('security').send<Explanation>('POST', '/api/access/explain', question)
    expect(told).toMatchObject({ allowed: false, code: 'access/rule-denied' })
    expect(told.steps.at(-1)).toMatchObject({ step: 'deny', passed: false, ruleId, zh: expect.stringContaining('医患纠纷期间回避') })
    expect(JSON.stringify(told)).not.toContain('P1') // who the patient is, is not the administrator's business
    expect(await as('security').send<Explanation>('POST', '/api/access/explain', { ...question, exam: { studyInstanceUid: uid(2) } })).toMatchObject({ allowed: true, because: 'own-exam' })
    await expect(as('li').send('POST', '/api/access/explain', question)).rejects.toMatchObject({ status: 403 })
    await expect(as('admin').send('POST', '/api/access/rules', {})).rejects.toMatchObject({ status: 403 })
    await withdraw(ruleId)
  })
  it('and labels close exams to whoever is not cleared', async () => {
    // SEC-03, SEC-07
    await as('security').send('PUT', `/api/exams/${examIds.get(1)}/label`, { label: 'vip', reason: '重点保护对象' })
    expect((await seenBy(as('zhao'))).view).toEqual(studiesOf(2, 3))
    expect((await seenBy(as('zhao'))).qido).toEqual(studiesOf(2, 3))
    await expect(as('zhao').get(`/api/exams/${examIds.get(1)}`)).rejects.toMatchObject({ code: 'access/not-cleared' })
    const opened = await rule({ effect: 'allow', subject: { kind: 'user', id: await idOf('zhao') }, object: { kind: 'patient', id: 'P1' }, reason: '主管医生' })
    expect((await seenBy(as('zhao'))).view).toEqual(studiesOf(1, 2, 3))
    await withdraw(opened.ruleId)
    await as('security').send('PUT', `/api/exams/${examIds.get(1)}/label`, { label: 'ordinary', reason: '解除' })
  })
  it('decide who hears live events of an exam', async () => {
    // SEC-03
    const { ruleId } = await rule({ effect: 'deny', subject: { kind: 'user', id: await idOf('li') }, object: { kind: 'patient', id: 'P1' } })
    const [denied, other] = [await listening(as('li')), await listening(as('zhao'))]
    await as('zhao').send('PATCH', `/api/exams/${examIds.get(1)}`, { clinicalHistory: '腹痛' })
    await as('zhao').send('PATCH', `/api/exams/${examIds.get(2)}`, { clinicalHistory: '发热' })
    const heard = ({ events }: Listener) => events.flatMap((event) => (event.type === 'exam' ? [event.examId] : []))
    await vi.waitFor(() => expect(heard(denied)).toContain(examIds.get(2)), soon)
    expect(heard(other)).toEqual([examIds.get(1), examIds.get(2)])
    expect(heard(denied)).toEqual([examIds.get(2)])
    denied.stop()
    other.stop()
    await withdraw(ruleId)
  })
})

describe('taking images out', () => {
  const files = (number: number, user: ApiUser, headers: Record<string, string> = {}) =>
    user.raw(`/dicom-web/studies/${uid(number)}`, { headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*', ...headers } })
  const byWado = (number: number, user: ApiUser) => user.raw(`/wado?requestType=WADO&studyUID=${uid(number)}&seriesUID=${uid(number)}.1&objectUID=${uid(number)}.1.1&contentType=application/dicom`)

  it('needs the right to export, however they are asked for; looking at them does not', async () => {
    // SEC-10
    expect((await as('qian').raw(`/dicom-web/studies/${uid(1)}/metadata`)).status).toBe(200)
    expect((await as('qian').raw(`/dicom-web/studies/${uid(1)}/series/${uid(1)}.1/instances/${uid(1)}.1.1/frames/1`, { headers: { accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*' } })).status).toBe(200)
    expect((await files(1, as('qian'))).status).toBe(403)
    expect((await byWado(1, as('qian'))).status).toBe(403)
    const instance = `/dicom-web/studies/${uid(1)}/series/${uid(1)}.1/instances/${uid(1)}.1.1`
    for (const path of [instance, `/dicom-web/studies/${uid(1)}/series/${uid(1)}.1`])
      expect((await as('qian').raw(path, { headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' } })).status).toBe(403)
  })
  it('is told to the trail with its reason, and so is every refusal', async () => {
    // SEC-10, SEC-05
    expect((await files(1, as('zhao'), { 'x-lianpian-reason': encodeURIComponent('转院会诊') })).status).toBe(200)
    await vi.waitFor(async () => {
      const { rows } = await as('auditor').get<{ rows: { outcome: string; reason?: string; actor: { name?: string } }[] }>(`/api/audit/records?action=image.export&limit=50`)
      expect(rows).toContainEqual(expect.objectContaining({ outcome: 'success', reason: '转院会诊' }))
      expect(rows).toContainEqual(expect.objectContaining({ outcome: 'refused' }))
    }, soon)
  })
})

describe('DICOM nodes', () => {
  const find = async (aeTitle: string) => {
    const { output } = await run('findscu', ['-v', '-S', '-aet', aeTitle, '-aec', 'TEST', '-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID', '-k', 'AccessionNumber=ACC700*', '127.0.0.1', String(house.node.dimsePort)])
    return [...new Set([...output.matchAll(/2\.25\.700\d/g)].map(([found]) => found))].sort()
  }
  const patients = async (aeTitle: string) => {
    const { output } = await run('findscu', ['-v', '-P', '-aet', aeTitle, '-aec', 'TEST', '-k', 'QueryRetrieveLevel=PATIENT', '-k', 'PatientID=P*', '-k', 'NumberOfPatientRelatedStudies', '127.0.0.1', String(house.node.dimsePort)])
    return [...output.matchAll(/\[(P\d)\s*\]/g)].map(([, patient]) => patient).sort()
  }
  it('are told of the exams of their scope, and do only what they are registered for', async () => {
    // SEC-03, FED-25
    await house.stop()
    house = await TestHospital.start(folder, HospitalId.parse('hospital-a'), '云溪县人民医院', { accounts: staff, dimse: { host: '127.0.0.1', port: 0, aeTitle: 'TEST' } })
    for (const { username } of staff) users.set(username, await house.signIn(username))
    const node = (aeTitle: string, more: Partial<DicomNode>) => as('admin').send('POST', '/api/dicom-nodes', { aeTitle, host: '127.0.0.1', port: 104, ...more })
    await node('WS-ALL', {})
    await node('WS-WEST', { scope: { campuses: ['西院'] }, permissions: ['query'] })
    await node('US9', { permissions: ['store'], place: { campus: '总院', department: '超声科', area: '总院超声' } })
    expect(await find('WS-ALL')).toEqual(studiesOf(1, 2, 3))
    expect(await find('WS-WEST')).toEqual(studiesOf(2))
    expect(await patients('WS-WEST')).toEqual(['P2'])
    expect(await find('US9')).toEqual([])
    expect(await find('STRANGER')).toEqual([])
    const { ruleId } = await rule({ effect: 'deny', subject: { kind: 'dicom-node', id: 'WS-ALL' }, object: { kind: 'patient', id: 'P1' } })
    expect(await find('WS-ALL')).toEqual(studiesOf(2, 3))
    expect(await patients('WS-ALL')).toEqual(['P2'])
    await withdraw(ruleId)
    expect(await store(house, 4, 'P4', 'WS-WEST')).toEqual(['failed'])
    expect(await store(house, 4, 'P4', 'US9')).toEqual(['stored'])
    // Nobody registered it: it belongs where its device stands.
    await vi.waitFor(async () => expect(await as('zhao').get<ExamDetail>(`/api/exams/by-study/${uid(4)}`)).toMatchObject({ campus: '总院', department: '超声科', area: '总院超声' }), soon)
    expect(await find('WS-ALL')).toEqual(studiesOf(1, 2, 3, 4))
  })

  it('fetch the exams of their scope and no other, each of which is told to the trail; a promise to keep images as well', async () => {
    // SEC-03, SEC-12, FED-25, ARC-15
    const us = { aeTitle: 'TEST', host: '127.0.0.1', port: house.node.dimsePort }
    const node = (aeTitle: string, more: Partial<DicomNode>) => as('admin').send('POST', '/api/dicom-nodes', { aeTitle, host: '127.0.0.1', port: 104, ...more })
    const destination = await startReceiver()
    try {
      await node('WS-DEST', { port: destination.port })
      await node('WS-GET', { scope: { campuses: ['西院'] }, permissions: ['retrieve'] })
      const asked = { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: studiesOf(1, 2, 3).join('\\') } } as const
      const got = async (aeTitle: string) => {
        const kept: string[] = []
        const sink = { begin: async ({ sopInstanceUid }: { sopInstanceUid: string }) => ({ write: async () => undefined, commit: async () => void kept.push(sopInstanceUid), abort: async () => undefined }) }
        const { status } = await getFrom(us, asked, sink, { callingAeTitle: aeTitle })
        return { status, studies: kept.map((instance) => instance.replace('.1.1', '')).sort() }
      }
      expect(await got('WS-ALL')).toEqual({ status: 0, studies: studiesOf(1, 2, 3) })
      expect(await got('WS-GET')).toEqual({ status: 0, studies: studiesOf(2) })
      expect(await got('WS-WEST')).toEqual({ status: 0x0124, studies: [] }) // may query only
      const { ruleId } = await rule({ effect: 'deny', subject: { kind: 'dicom-node', id: 'WS-ALL' }, object: { kind: 'patient', id: 'P1' } })
      expect((await got('WS-ALL')).studies).toEqual(studiesOf(2, 3))
      await withdraw(ruleId)
      // By C-MOVE what counts is who asks, not where it goes.
      expect(await moveFrom(us, { ...asked, destinationAeTitle: 'WS-DEST' }, { callingAeTitle: 'WS-GET' })).toMatchObject({ status: 0, completed: 1 })
      expect(await moveFrom(us, { ...asked, destinationAeTitle: 'NOBODY' }, { callingAeTitle: 'WS-GET' })).toMatchObject({ status: 0xa801 })
      expect((await destination.archive.archive.studies()).map(({ studyInstanceUid }) => studyInstanceUid)).toEqual(studiesOf(2))
      const instances = [{ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: `${uid(1)}.1.1` }]
      const committed = await askForCommitment(us, { transactionUid: newTransactionUid(), instances }, { callingAeTitle: 'US9' })
      expect(committed?.committed).toEqual(instances)
      interface Row { readonly action: string; readonly outcome: string; readonly actor: { readonly id: string }; readonly object: { readonly id: string }; readonly facts?: Record<string, unknown> } // prettier-ignore
      await vi.waitFor(async () => {
        const { rows } = await as('auditor').get<{ rows: Row[] }>('/api/audit/records?action=image.view,transfer.send,study.commit&limit=200')
        const told = rows.map(({ action, outcome, actor, object }) => [action, outcome, actor.id, object.id])
        expect(told).toContainEqual(['image.view', 'success', 'WS-ALL', uid(1)])
        expect(told).toContainEqual(['image.view', 'refused', 'WS-GET', uid(1)])
        expect(told).toContainEqual(['transfer.send', 'success', 'WS-GET', uid(2)])
        expect(told).toContainEqual(['study.commit', 'success', 'US9', uid(1)])
        expect(rows.find(({ action }) => action === 'transfer.send')?.facts).toMatchObject({ destination: 'WS-DEST', mode: 'c-move', instances: 1 })
      }, soon)
    } finally {
      await destination.stop()
    }
  })
})

describe('the trail of searches', () => {
  it('tells who looked for what by DICOM and by DICOMweb, without the patient’s name or number', async () => {
    // SEC-05, SEC-12
    const asked = { accept: 'application/dicom+json' }
    await as('zhao').raw(`/dicom-web/studies?PatientName=${encodeURIComponent('患者甲乙')}&StudyDate=20261120`, { headers: asked })
    await as('zhao').raw('/dicom-web/series?PatientID=P2', { headers: asked })
    await as('zhao').get('/api/exams?text=ACC7001&modality=US')
    await run('findscu', ['-S', '-aet', 'WS-ALL', '-aec', 'TEST', '-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID', '-k', 'PatientName=SECRET^NAME', '127.0.0.1', String(house.node.dimsePort)])
    interface Row { readonly action: string; readonly actor: { readonly id: string; readonly name?: string }; readonly object: { readonly patientKey?: string }; readonly facts?: { readonly terms?: readonly { by: string; shown: string; mark?: string }[] } } // prettier-ignore
    const terms = ({ facts }: Row) => Object.fromEntries((facts?.terms ?? []).map(({ by, shown }) => [by, shown]))
    await vi.waitFor(async () => {
      const { rows } = await as('auditor').get<{ rows: Row[] }>('/api/audit/records?action=study.search,exam.search&limit=100')
      const told = rows.map((row) => [row.action, row.actor.name ?? row.actor.id, terms(row)])
      expect(told).toContainEqual(['study.search', 'zhao', { PatientName: '患***', StudyDate: '20261120' }])
      expect(told).toContainEqual(['exam.search', 'zhao', { text: 'A******', modality: 'US' }])
      expect(told).toContainEqual(['study.search', 'WS-ALL', expect.objectContaining({ PatientName: 'S********' })])
      expect(JSON.stringify(rows)).not.toMatch(/患者甲乙|SECRET|ACC7001/)
    }, soon)
    // Who asked for a patient's number is found under that patient.
    const { rows } = await as('auditor').get<{ rows: Row[] }>('/api/audit/records?patientId=P2&action=study.search')
    expect(rows.map((row) => terms(row)['PatientID'])).toContain('P*')
  })
})

describe('switching one image service off', () => {
  it('stops WADO for everybody and nothing else, is told with who, when and why, and lasts over a restart', async () => {
    // FED-28
    const wado = (user: ApiUser) => user.raw(`/wado?requestType=WADO&studyUID=${uid(1)}&seriesUID=${uid(1)}.1&objectUID=${uid(1)}.1.1&contentType=image/jpeg`)
    const others = async (user: ApiUser) =>
      Promise.all([
        user.raw(`/dicom-web/studies/${uid(1)}/metadata`),
        user.raw('/dicom-web/studies?AccessionNumber=ACC7001', { headers: { accept: 'application/dicom+json' } }),
        user.raw(`/dicom-web/studies/${uid(1)}/series/${uid(1)}.1/instances/${uid(1)}.1.1/rendered`, { headers: { accept: 'image/jpeg' } }),
        user.raw('/api/exams'),
      ]).then((answers) => answers.map(({ status }) => status))
    const turn = (enabled: boolean, service = 'wado-uri') => as('admin').send('PUT', `/api/services/${service}`, { enabled, reason: enabled ? '已修复' : '阅片软件异常，先停 WADO' })
    await expect(as('zhao').send('PUT', '/api/services/wado-uri', { enabled: false, reason: '试试' })).rejects.toMatchObject({ status: 403 })
    await turn(false)
    const stopped = await wado(as('zhao'))
    expect([stopped.status, ((await stopped.json()) as { code: string }).code]).toEqual([503, 'service/switched-off'])
    expect((await wado(as('qian'))).status).toBe(503)
    expect(await others(as('zhao'))).toEqual([200, 200, 200, 200])
    expect(await store(house, 5, 'P5', 'US9')).toEqual(['stored'])

    await house.stop()
    await house.startAgain()
    for (const { username } of staff) users.set(username, await house.signIn(username))
    expect((await wado(as('zhao'))).status).toBe(503)
    const { rows: faults } = await as('admin').get<{ rows: { component: string; operation: string; code?: string; node: string; at: number }[] }>('/api/faults?component=wado-uri')
    expect(faults.at(-1)).toMatchObject({ node: 'hospital-a', operation: 'health check', code: 'service/switched-off' })
    const { rows: changes } = await as('auditor').get<{ rows: { reason?: string; actor: { name?: string }; object: { id: string } }[] }>('/api/audit/records?action=config.change')
    expect(changes).toContainEqual(expect.objectContaining({ reason: '阅片软件异常，先停 WADO', object: expect.objectContaining({ id: 'service/wado-uri' }) as object, actor: expect.objectContaining({ name: 'admin' }) as object }))
    await turn(true)
    expect((await wado(as('zhao'))).status).toBe(200)

    await turn(false, 'wado-rs')
    expect(await others(as('zhao'))).toEqual([503, 200, 503, 200])
    expect((await wado(as('zhao'))).status).toBe(200)
    await turn(true, 'wado-rs')
    expect(await others(as('zhao'))).toEqual([200, 200, 200, 200])
  })
})

describe('a hospital that asks for a treating relation', () => {
  let strict: TestHospital
  let sun: ApiUser, security: ApiUser, reviewer: ApiUser, registrar: ApiUser
  const doctors = [account('sun', 'clinician'), account('qian', 'reviewer'), account('registrar', 'registrar'), account('security', 'security-admin'), account('auditor', 'audit-admin')]
  let emergency: string
  const listed = async (query: string) => (await sun.get<{ rows: ExamRow[]; total: number }>(`/api/exams?${query}`)).rows.map(({ accessionNumber }) => accessionNumber)
  beforeAll(async () => {
    strict = await TestHospital.start(folder, HospitalId.parse('hospital-b'), '青岚市第一医院', { accounts: doctors, access: { relation: 'treating', breakGlass: { minutes: 120, reviewDays: 3 } } })
    ;[sun, reviewer, security, registrar] = await Promise.all([strict.signIn('sun'), strict.signIn('qian'), strict.signIn('security'), strict.signIn('registrar')])
    const { rows } = await security.get<{ rows: { id: string; username: string }[] }>('/api/accounts')
    const idOfSun = rows.find(({ username }) => username === 'sun')!.id
    // Registrars treat nobody: what they enter themselves they get back with the answer alone.
    const exam = { patientName: '张三', patientSex: 'M', patientBirthDate: '', modality: 'CT', bodyPart: '', description: '', studyDate: '', studyTime: '', studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '' }
    await registrar.send('POST', '/api/exams', { ...exam, accessionNumber: 'OWN1', patientId: 'P1', requestingPhysician: idOfSun })
    emergency = (await registrar.send<ExamDetail>('POST', '/api/exams', { ...exam, accessionNumber: 'OTHER2', patientId: 'P2' })).examId
    await registrar.send('POST', '/api/exams', { ...exam, accessionNumber: 'OTHER3', patientId: 'P3' })
    await security.send('POST', '/api/access/rules', { effect: 'deny', subject: { kind: 'user', id: idOfSun }, object: { kind: 'patient', id: 'P3' }, reason: '亲属' })
  }, 60_000)
  afterAll(() => strict?.stop())

  it('answers no list without a search key, and then only the own patients', async () => {
    // SEC-05
    for (const query of ['', 'text=*', 'text=%25', 'modality=CT', 'dateFrom=2020-01-01']) await expect(sun.get(`/api/exams?${query}`)).rejects.toMatchObject({ status: 400, code: 'access/search-key-needed' })
    expect((await sun.raw('/dicom-web/studies', { headers: { accept: 'application/dicom+json' } })).status).toBe(400)
    expect(await listed('text=张三')).toEqual(['OWN1'])
    await expect(sun.get(`/api/exams/${emergency}`)).rejects.toMatchObject({ status: 403, code: 'access/no-relation', details: { facts: { breakGlass: true } } })
    await expect(reviewer.get(`/api/exams/${emergency}`)).rejects.toMatchObject({ code: 'access/no-relation' })
  })
  it('opens a patient in an emergency with a reason, tells the security administrators at once, and has it reviewed', async () => {
    // SEC-05, SEC-07
    const notice = await listening(security)
    await expect(sun.send('POST', '/api/break-glass', { patient: { examId: emergency }, reason: '' })).rejects.toMatchObject({ status: 400 })
    await expect(reviewer.send('POST', '/api/break-glass', { patient: { examId: emergency }, reason: '急诊抢救' })).rejects.toMatchObject({ status: 403 })
    const opened = await sun.send<BreakGlassRow>('POST', '/api/break-glass', { patient: { examId: emergency }, reason: '急诊抢救，家属不在场' })
    expect(opened.until - opened.openedAt).toBe(2 * 3_600_000)
    expect(opened.reviewDue - opened.openedAt).toBe(3 * 86_400_000)
    expect((await sun.get<ExamDetail>(`/api/exams/${emergency}`)).examId).toBe(emergency)
    expect(await listed('text=张三')).toEqual(expect.arrayContaining(['OWN1', 'OTHER2']))
    await vi.waitFor(() => expect(notice.events).toContainEqual({ type: 'break-glass', breakGlassId: opened.breakGlassId, state: 'open' }), soon)
    notice.stop()
    const { rows } = await security.get<{ rows: BreakGlassRow[] }>('/api/break-glass?state=open')
    expect(rows).toMatchObject([{ breakGlassId: opened.breakGlassId, accountName: 'sun', reason: '急诊抢救，家属不在场', review: null }])
    expect(JSON.stringify(rows)).not.toContain('P2')
    await sun.send('POST', `/api/break-glass/${opened.breakGlassId}/end`)
    await expect(sun.get(`/api/exams/${emergency}`)).rejects.toMatchObject({ code: 'access/no-relation' })
    const reviewed = await security.send<BreakGlassRow>('POST', `/api/break-glass/${opened.breakGlassId}/review`, { verdict: 'justified', note: '抢救记录相符' })
    expect(reviewed).toMatchObject({ state: 'reviewed', review: { verdict: 'justified', by: 'security' } })
    await expect(security.send('POST', `/api/break-glass/${opened.breakGlassId}/review`, { verdict: 'justified', note: '再次' })).rejects.toMatchObject({ status: 409 })
  })
  it('never opens in an emergency what a rule denies', async () => {
    // SEC-05
    await expect(sun.send('POST', '/api/break-glass', { patient: { patientId: 'P3' }, reason: '急诊抢救' })).rejects.toMatchObject({ status: 403, code: 'access/rule-denied' })
    await expect(sun.send('POST', '/api/break-glass', { patient: { patientId: 'P99' }, reason: '急诊抢救' })).rejects.toMatchObject({ status: 404 })
    expect((await sun.get<{ total: number }>('/api/break-glass/mine')).total).toBe(1)
  })
})

interface Listener {
  readonly events: LiveEvent[]
  stop(): void
}

async function listening(user: ApiUser): Promise<Listener> {
  const gone = new AbortController()
  const response = await user.raw('/api/events', { headers: { accept: 'text/event-stream' }, signal: gone.signal })
  const events: LiveEvent[] = []
  const reading = async () => {
    let text = ''
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
        if (data) events.push(JSON.parse(data) as LiveEvent)
        text = text.slice(end + 2)
      }
    }
  }
  void reading().catch((error: unknown) => {
    if (!gone.signal.aborted) throw error
  })
  return { events, stop: () => gone.abort() }
}
