import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { noPlacement, type AuditPage, type ConsultDetail, type ConsultRow, type CrossSearch, type DocumentAnswers, type ExamRow, type LinkStatus, type LiveExam, type MessageRow, type ProcessorChoice, type RetentionRules, type TransferRow } from 'specs'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { startLineCutter, type LineCutter } from '../../../service-kit/tests/support/line-cutter.ts'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { A, B, C, CENTRE } from '../../src/access/builders.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { findAt, getFrom } from '../../src/dimse/scu-query.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { filesBelow, readableIn } from '../support/on-disk.ts'
import { TestRegion, type TestHospital } from '../support/region.ts'

const soon = { timeout: 40_000, interval: 50 }
const heads = 93
/** With the check character of GB 11643-1999. */
const idCard = '530102197003150025'
const chests = 75
// Small pieces, so that the 66 KB head slices and 525 KB chest slices need several of them.
const transfer = { pieceBytes: 65_536, piecesInFlight: 4, retryWaitMs: 100, maxRetryWaitMs: 500, pieceTimeoutMs: 2_000 }

let region: TestRegion
let line: LineCutter
let a: TestHospital, b: TestHospital, c: TestHospital, centre: TestHospital
let doctor: ApiUser, expert: ApiUser, colleague: ApiUser

beforeAll(async () => {
  region = await TestRegion.start()
  line = await startLineCutter(region.nats.port)
  a = await region.add(A, '云溪县人民医院', ['submitter'], { region: { heartbeatMs: 500, natsUrl: line.url } })
  b = await region.add(B, '青岚市第一医院', ['submitter', 'processor'], { transfer })
  // One of them keeps what it fetches encrypted: that is nobody else's business (ADR 0016).
  c = await region.add(C, '澄江省立医院', ['processor'], { transfer, archive: { minFreeBytes: 1_000_000, encryption: 'sm4' } })
  centre = await region.add(CENTRE, '云岭区域影像数据中心', ['data-centre'], { transfer })
  doctor = await a.signIn('doctor')
  expert = await c.signIn('expert')
  colleague = await c.signIn('colleague')
  await vi.waitFor(async () => {
    for (const hospital of [a, b, c, centre])
      expect((await (await hospital.signIn('admin')).get<LinkStatus>('/api/link')).state).toBe('connected')
    expect((await doctor.get<ProcessorChoice[]>('/api/processors')).map(({ id }) => id).sort()).toEqual([CENTRE, B, C].sort())
  }, soon)
}, 120_000)

afterAll(async () => {
  await region?.stop()
  await line?.close()
})

/** How many images of a study a workstation of the house gets by C-GET. */
async function fetchedFrom(at: TestHospital, studyInstanceUid: string): Promise<number> {
  const sink = { begin: async () => ({ write: async () => undefined, commit: async () => undefined, abort: async () => undefined }) }
  const peer = { aeTitle: 'TEST', host: '127.0.0.1', port: at.node.dimsePort }
  const { status, stored } = await getFrom(peer, { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: studyInstanceUid } }, sink, { callingAeTitle: 'WS01' })
  expect(status).toBe(0)
  return stored.length
}

/** How many instances a device of the house is told of by C-FIND. */
async function instancesListed(at: TestHospital, studyInstanceUid: string): Promise<number> {
  const keys = { StudyInstanceUID: studyInstanceUid, NumberOfStudyRelatedInstances: '' }
  for await (const match of findAt({ aeTitle: 'TEST', host: '127.0.0.1', port: at.node.dimsePort }, { root: 'study', level: 'STUDY', keys }, { callingAeTitle: 'WS01' }))
    return Number(match['NumberOfStudyRelatedInstances'])
  return 0
}

/** A modality's worth of images by C-STORE; resolves with the exam they became. */
async function sendStudy(to: TestHospital, set: string, count: number): Promise<ExamRow> {
  const folder = join(unpackFixtures(set), set)
  const files = (await readdir(folder))
    .sort()
    .slice(0, count)
    .map((name) => join(folder, name))
  const instances = await Promise.all(files.map(async (file) => instanceOfFile(file, await identityOf(file))))
  const deliveries = await sendInstances({ host: '127.0.0.1', port: to.node.dimsePort, aeTitle: 'TEST' }, instances, {
    callingAeTitle: 'CT01',
  })
  expect(deliveries.filter(({ kind }) => kind === 'failed')).toEqual([])
  const user = await to.signIn('doctor')
  return vi.waitFor(async () => {
    const { rows } = await user.get<{ rows: ExamRow[] }>('/api/exams')
    const exam = rows.find(({ instanceCount }) => instanceCount === count)
    if (!exam) throw new Error('no exam yet')
    return exam
  }, soon)
}

interface Wish {
  mode?: 'push' | 'pull'
  imagesTo?: 'processor' | 'data-centre' | 'none'
  target?: object
}

async function apply(
  exam: ExamRow,
  { mode = 'push', imagesTo = mode === 'push' ? 'processor' : 'none', target = { kind: 'hospital', hospitalId: C } }: Wish = {},
): Promise<string> {
  const taskId = randomUUID()
  await doctor.send('POST', '/api/consults', {
    taskId,
    examId: exam.examId,
    mode,
    imagesTo,
    target,
    urgency: 'routine',
    question: '颅内有无出血？',
  })
  return taskId
}

const detail = (user: ApiUser, taskId: string) => user.get<ConsultDetail>(`/api/consults/${taskId}`)
const until = (user: ApiUser, taskId: string, isSo: (consult: ConsultDetail) => boolean) =>
  vi.waitFor(async () => {
    const consult = await detail(user, taskId)
    if (!isSo(consult)) throw new Error(`still ${consult.state}, ${JSON.stringify(consult.images)}, ${JSON.stringify(consult.problem)}`)
    return consult
  }, soon)
const command = (user: ApiUser, taskId: string, name: string, body: object = {}) =>
  user.send<ConsultRow>('POST', `/api/consults/${taskId}/${name}`, body)
const steps = (consult: ConsultDetail) => consult.events.map(({ type }) => type)

async function metadataOf(user: ApiUser, study: string): Promise<Record<string, { Value?: unknown[] }>[]> {
  const answer = await user.raw(`/dicom-web/studies/${study}/metadata`, { headers: { accept: 'application/dicom+json' } })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Record<string, { Value?: unknown[] }>[]
}
const valueOf = (instance: Record<string, { Value?: unknown[] }> | undefined, tag: string) => String(instance?.[tag]?.Value?.[0])

describe('a hospital and an expert hospital in one region', () => {
  it('refuse what a node without leave may not do, and know nothing of tasks that do not exist', async () => {
    await expect(detail(expert, randomUUID())).rejects.toMatchObject({ code: 'consult/unknown-task' })
    await expect(
      (await b.signIn('doctor')).send('POST', '/api/consults', {
        taskId: randomUUID(),
        examId: 'none',
        mode: 'pull',
        imagesTo: 'none',
        target: { kind: 'pool' },
        urgency: 'routine',
        question: '?',
      }),
    ).rejects.toMatchObject({ code: 'exam/unknown' })
    expect((await fetch(`${c.url}/dicom-web/studies/1.2.3/metadata`)).status).toBe(401)
  })

  it('push: request and images arrive without any action there; the opinion and key images come back', async () => {
    // CON-01, CON-09, CON-10, FED-10, FED-15, AGT-06, AGT-07
    const exam = await sendStudy(a, 'ct-head-tiny', heads)
    const taskId = await apply(exam)
    const arrived = await until(expert, taskId, (consult) => consult.images.state === 'complete')
    expect(arrived).toMatchObject({
      side: 'processor',
      state: 'submitted',
      submitterName: '云溪县人民医院',
      question: '颅内有无出血？',
      regionId: 'yunling',
      images: { held: heads, total: heads },
    })
    expect(arrived.request?.exam.accessionNumber).toBe(exam.accessionNumber)
    const kept = join(region.folder, C, 'archive-regional')
    expect((await filesBelow(kept)).filter((name) => name.endsWith('.dcm.sm4'))).toHaveLength(heads)
    expect([...(await readableIn(kept, [exam.studyInstanceUid ?? ''])), ...(await readableIn(join(region.folder, C, 'incoming')))]).toEqual([])

    await command(expert, taskId, 'claim')
    await expect(command(colleague, taskId, 'claim')).rejects.toMatchObject({ status: 409, code: 'consult/held' }) // COR-15
    await command(expert, taskId, 'start')
    const study = exam.studyInstanceUid ?? ''
    const [first, second] = await metadataOf(expert, study)
    const keyImages = [first, second].map((instance) => ({
      studyInstanceUid: study,
      seriesInstanceUid: valueOf(instance, '0020000E'),
      sopInstanceUid: valueOf(instance, '00080018'),
      sopClassUid: valueOf(instance, '00080016'),
      note: '出血',
    }))
    const draft = { findings: '左侧基底节区高密度影', opinion: '脑出血', advice: '复查', keyImages }
    const saved = await expert.send<{ revision: number }>('PUT', `/api/consults/${taskId}/draft`, { ...draft, revision: 0 })
    await expect(expert.send('PUT', `/api/consults/${taskId}/draft`, { ...draft, revision: 0 })).rejects.toMatchObject({
      code: 'request/conflict',
    })
    await command(expert, taskId, 'sign', { draftRevision: saved.revision, opinion: draft, signingPassword: expert.password })

    const back = await until(doctor, taskId, (consult) => consult.state === 'returned' && consult.opinionValid !== null)
    expect(back).toMatchObject({
      opinionValid: true,
      opinion: { text: { opinion: '脑出血', keyImages, signer: { hospitalId: C, name: 'expert' } } },
    })
    const ours = await metadataOf(doctor, study)
    expect(
      ours
        .filter((instance) => valueOf(instance, '0020000E') === back.keyImageSeriesInstanceUid)
        .map((instance) => valueOf(instance, '00080060')),
    ).toEqual(['KO'])
    await command(doctor, taskId, 'read')
    const [here, there] = [
      await until(doctor, taskId, ({ state }) => state === 'read'),
      await until(expert, taskId, ({ state }) => state === 'read'),
    ]
    expect(steps(here)).toEqual(['submitted', 'images-arrived', 'claimed', 'started', 'signed', 'returned', 'read'])
    expect(there.events).toEqual(here.events)
    await expect(command(doctor, taskId, 'cancel', { reason: '太晚' })).rejects.toMatchObject({ code: 'consult/already-signed' }) // CON-20

    // CON-28: printed twice while the line is cut, with a restart in between. Two copies are two entries, at the time of printing.
    line.cut()
    const began = Date.now()
    await command(doctor, taskId, 'print')
    await a.stop()
    await a.startAgain()
    doctor = await a.signIn('doctor')
    await command(doctor, taskId, 'print')
    const printed = Date.now()
    expect(steps(await detail(doctor, taskId))).not.toContain('printed')
    line.restore()
    for (const user of [doctor, expert]) {
      const told = await until(user, taskId, (consult) => steps(consult).filter((type) => type === 'printed').length === 2)
      expect(told.state).toBe('read')
      for (const { type, by, at } of told.events.slice(-2)) {
        expect([type, by.hospitalId, by.name]).toEqual(['printed', A, 'doctor'])
        expect(at >= began && at <= printed).toBe(true)
      }
    }
    // Who does not hold the opinion has nothing to print.
    const stranger = await b.signIn('expert')
    await expect(command(stranger, taskId, 'print')).rejects.toMatchObject({ code: 'consult/unknown-task' })
  })

  it('pull: nothing moves before an expert opens the case; then images come as they are asked for and stay', async () => {
    // CON-11, CON-12, FED-10, AGT-08, AGT-10
    const exam = await sendStudy(a, 'ct-chest', chests)
    const taskId = await apply(exam, { mode: 'pull' })
    const offered = await until(expert, taskId, ({ state }) => state === 'submitted')
    expect(offered.images).toMatchObject({ held: 0, state: 'none' })
    const list = await expert.get<{ rows: ConsultRow[] }>(`/api/consults?side=processor&state=submitted&hospital=${A}&modality=CT`)
    expect(list.rows.map((row) => row.taskId)).toEqual([taskId])

    await doctor.send('PATCH', `/api/exams/${exam.examId}`, { clinicalHistory: '咳嗽三周，痰中带血' })
    expect(await expert.get<LiveExam>(`/api/consults/${taskId}/exam`)).toMatchObject({
      source: 'live',
      exam: { clinicalHistory: '咳嗽三周，痰中带血' },
    })

    const study = exam.studyInstanceUid ?? ''
    await askForThree(study)
    const instances = await metadataOf(expert, study)
    expect(instances).toHaveLength(chests)
    const last = instances.at(-1)
    const path = `/dicom-web/studies/${study}/series/${valueOf(last, '0020000E')}/instances/${valueOf(last, '00080018')}`
    const asStored = { headers: { accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*' } }
    const image = await expert.raw(`${path}/frames/1`, asStored)
    expect(image.status).toBe(200)
    const original = await doctor.raw(`${path}/frames/1`, asStored)
    const bytes = async (answer: Response) => Buffer.from(await answer.arrayBuffer()).subarray(300, -200)
    expect((await bytes(image)).equals(await bytes(original))).toBe(true)
    await until(expert, taskId, ({ images }) => images.state === 'complete')
    // SEC-10: looking is what was entrusted; files of another hospital's images leave nowhere.
    expect((await expert.raw(path, { headers: { accept: 'application/dicom' } })).status).toBe(403)
    expect((await (await b.signIn('expert')).raw(path)).status).toBe(404) // nobody told B of it
    await command(doctor, taskId, 'cancel', { reason: '患者转院' })
    await until(expert, taskId, ({ state }) => state === 'cancelled')
    expect((await expert.get<{ rows: ConsultRow[] }>('/api/consults?side=processor')).rows.map((row) => row.taskId)).not.toContain(taskId) // CON-20
    expect((await expert.raw(path)).status).toBe(403)
    await expect(expert.get(`/api/consults/${taskId}/exam`)).rejects.toMatchObject({ status: 403 })
  })

  /** A message that names three instances brings these three, once; the rest of the study stays where it is. */
  async function askForThree(study: string): Promise<void> {
    // FED-27, AGT-11, AGT-12
    const held = (await metadataOf(doctor, study)).map((instance) => valueOf(instance, '00080018'))
    const sopInstanceUids = [40, 7, 61].map((at) => held[at] ?? '')
    const ask = () => expert.send<DocumentAnswers>('POST', '/api/image-documents', { ownerHospital: A, studyInstanceUid: study, sopInstanceUids })
    const answer = await ask()
    expect(answer.documents.map((document) => [document.sopInstanceUid, document.state, document.state === 'given' && document.wasHere])).toEqual(sopInstanceUids.map((uid) => [uid, 'given', false]))
    expect(await ask()).toMatchObject({ status: 'Success', documents: [{ wasHere: true }, { wasHere: true }, { wasHere: true }] })
    const sent = await (await a.signIn('auditor')).get<AuditPage>(`/api/audit/records?action=transfer.send&objectId=${study}`)
    expect(sent.rows.map(({ facts }) => [facts?.['mode'], facts?.['instances']])).toEqual([['documents', 3]])
    expect((await expert.get<{ rows: TransferRow[] }>('/api/transfers')).rows.filter(({ studyInstanceUid, direction }) => studyInstanceUid === study && direction === 'in')).toEqual([])
  }

  it('the platform answers for what it does not hold: it asks the holder, both keep it in their logs, and the second time the images are there', async () => {
    // FED-26, FED-24, AGT-10, AGT-12
    const study = '2.25.7310'
    await registerWithImages(study)
    await (await a.signIn('records')).send('POST', '/api/grants/authorisations', { grantees: [CENTRE], purposes: ['treatment'], scope: { modalities: [] }, expires: Date.now() + 86_400_000, reason: '区域影像调阅' })
    const reader = await centre.signIn('doctor')
    const ofPlatform = (address: string) => reader.raw(`/dicom-web/studies/${study}${address}`, { headers: { accept: 'application/dicom+json' } })
    expect((await ofPlatform('/metadata')).status).toBe(404) // until the holder has been asked whether this person may
    const search = await reader.send<CrossSearch>('POST', '/api/cross-hospital/searches', { patient: { name: '赵敏', idCard }, purpose: 'treatment', reason: '区域会诊对照' })
    await vi.waitFor(async () => expect((await reader.get<CrossSearch>(`/api/cross-hospital/searches/${search.searchId}`)).rows.map(({ hospitalId }) => hospitalId)).toEqual([A]), soon)
    await reader.send('POST', '/api/cross-hospital/exams', { searchId: search.searchId, hospitalId: A, studyInstanceUid: study })
    expect((await (await ofPlatform('/metadata')).json()) as unknown[]).toHaveLength(3)
    const wado = `/wado?requestType=WADO&studyUID=${study}&seriesUID=${study}.1&objectUID=${study}.1.2&contentType=image/png`
    expect((await reader.raw(wado)).status).toBe(200)
    const told = async (at: TestHospital, action: string) => (await (await at.signIn('auditor')).get<AuditPage>(`/api/audit/records?action=${action}&objectId=${study}`)).rows
    await vi.waitFor(async () => {
      expect(await told(a, 'transfer.send')).toMatchObject([{ facts: { source: A, destination: CENTRE, mode: 'pull', instances: 3 } }])
      expect(await told(centre, 'transfer.receive')).toMatchObject([{ facts: { source: A, destination: CENTRE, instances: 3 } }])
    }, soon)
    line.cut()
    expect((await reader.raw(wado)).status).toBe(200)
    line.restore()
  })

  /** An exam at A of somebody with an identity card, with three images. */
  async function registerWithImages(study: string): Promise<void> {
    const exam = { ...noPlacement, accessionNumber: 'PLATFORM-1', patientId: 'A-731', patientName: '赵敏', patientSex: 'F', patientBirthDate: '1970-03-15', modality: 'CT', bodyPart: '胸部', description: '胸部平扫', studyDate: '2026-03-02',
      studyTime: '09:30:00', studyInstanceUid: study, clinicalHistory: '', reportFindings: '', reportImpression: '', idCard } // prettier-ignore
    const { examId } = await doctor.send<ExamRow>('POST', '/api/exams', exam)
    const folder = await mkdtemp(join(tmpdir(), 'lianpian-platform-'))
    const instances = await Promise.all(
      [1, 2, 3].map(async (number) => {
        const file = join(folder, `${number}.dcm`)
        await writeFile(file, buildFile(aSlice({ StudyInstanceUID: study, SeriesInstanceUID: `${study}.1`, SOPInstanceUID: `${study}.1.${number}`, InstanceNumber: String(number), AccessionNumber: exam.accessionNumber, PatientID: exam.patientId })))
        return instanceOfFile(file, await identityOf(file))
      }),
    )
    await sendInstances({ host: '127.0.0.1', port: a.node.dimsePort, aeTitle: 'TEST' }, instances, { callingAeTitle: 'CT01' })
    await rm(folder, { recursive: true })
    await vi.waitFor(async () => expect((await doctor.get<ExamRow>(`/api/exams/${examId}`)).instanceCount).toBe(3), soon)
  }

  it('goes on at the byte where it stopped after the line was cut and the receiver restarted', async () => {
    // AGT-15, AGT-16, FED-04
    const { rows } = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    const exam = rows.find(({ instanceCount }) => instanceCount === chests)
    if (!exam) throw new Error('the chest is gone')
    const receiver = await b.signIn('expert')
    const taskId = await apply(exam, { target: { kind: 'hospital', hospitalId: B } })
    await vi.waitFor(async () => expect((await detail(receiver, taskId)).images.held).toBeGreaterThan(5), { timeout: 20_000, interval: 10 })
    line.cut()
    await b.stop()
    await b.startAgain()
    const again = await b.signIn('expert')
    const stopped = await detail(again, taskId)
    expect(stopped.images.held).toBeGreaterThan(5)
    expect(stopped.images.held).toBeLessThan(chests)
    const asked = await apply(exam, { mode: 'pull' }) // the doctor goes on working meanwhile
    expect((await detail(doctor, asked)).state).toBe('queued')
    line.restore()
    await until(again, taskId, ({ images }) => images.state === 'complete')
    await until(doctor, taskId, (consult) => steps(consult).includes('images-arrived'))
    await until(doctor, asked, ({ state }) => state === 'submitted')
    expect(await metadataOf(again, exam.studyInstanceUid ?? '')).toHaveLength(chests)
    const { rows: transfers } = await again.get<{ rows: TransferRow[] }>('/api/transfers')
    expect(transfers).toMatchObject([{ state: 'complete', instancesDone: chests, direction: 'in', owner: A }])
    const { rows: messages } = await (await a.signIn('admin')).get<{ rows: MessageRow[] }>('/api/messages')
    expect(messages.filter(({ state }) => state === 'failed')).toEqual([])
  })

  it('through the data centre: whoever of the pool takes the case gets the images from there, the others lose it', async () => {
    // CON-10, COR-14, FED-11
    const { rows } = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    const exam = rows.find(({ instanceCount }) => instanceCount === heads + 1) // with the key object of the first opinion
    if (!exam) throw new Error('the head is gone')
    const taskId = await apply(exam, { imagesTo: 'data-centre', target: { kind: 'pool' } })
    const at = await b.signIn('expert')
    await until(at, taskId, (consult) => steps(consult).includes('images-arrived'))
    const keeper = await centre.signIn('expert')
    expect((await keeper.raw(`/dicom-web/studies/${exam.studyInstanceUid}/metadata`)).status).toBe(403)
    await command(at, taskId, 'claim')
    await until(at, taskId, ({ images }) => images.state === 'complete')
    // FED-18: what was pushed is on the centre's list of studies, with as many instances as at its hospital.
    expect(await instancesListed(centre, exam.studyInstanceUid ?? '')).toBe(exam.instanceCount)
    // FED-21, FED-25: the centre's devices fetch from the region's stock; the same images at B are a copy on loan, which no device of the house gets.
    expect(await fetchedFrom(centre, exam.studyInstanceUid ?? '')).toBe(heads + 1)
    expect(await fetchedFrom(b, exam.studyInstanceUid ?? '')).toBe(0)
    await until(expert, taskId, ({ holder }) => holder?.hospitalId === B)
    expect((await expert.get<{ rows: ConsultRow[] }>('/api/consults?side=processor')).rows.map((row) => row.taskId)).not.toContain(taskId)
    expect(await detail(expert, taskId)).toMatchObject({ request: null, question: '', holder: { hospitalId: B } })
    await expect(command(expert, taskId, 'claim')).rejects.toMatchObject({ code: 'consult/held' })
    await expect(command(expert, taskId, 'fetch')).rejects.toMatchObject({ code: 'access/no-grant' })
  })

  it('keeps a case from an expert of another modality: on lists, by its number, at every step, and in what moves', async () => {
    // SEC-03, CON-11, COR-14
    const { rows: exams } = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    const exam = exams.find(({ instanceCount }) => instanceCount === heads + 1)!
    const security = await c.signIn('security')
    const { rows: accounts } = await security.get<{ rows: { id: string; username: string }[] }>('/api/accounts')
    const roles = (scope: object) => security.send('PUT', `/api/accounts/${accounts.find(({ username }) => username === 'colleague')!.id}/roles`, { roles: [{ role: 'expert', scope }] })
    await roles({ modalities: ['US'] })
    const taskId = await apply(exam)
    await until(expert, taskId, ({ images }) => images.state === 'complete')

    expect((await colleague.get<{ rows: ConsultRow[] }>('/api/consults')).rows).toEqual([])
    const outside = { status: 403, code: 'access/out-of-scope' }
    await expect(detail(colleague, taskId)).rejects.toMatchObject(outside)
    const opinion = { findings: '', opinion: '未见出血', advice: '', keyImages: [] }
    const bodies: Record<string, object> = { claim: {}, start: {}, fetch: {}, print: {}, release: { reason: '误接' }, decline: { reason: '不收' }, sign: { opinion } }
    for (const [step, body] of Object.entries(bodies)) await expect(command(colleague, taskId, step, body), step).rejects.toMatchObject(outside)
    await expect(colleague.send('PUT', `/api/consults/${taskId}/draft`, opinion)).rejects.toMatchObject(outside)
    expect((await colleague.raw(`/dicom-web/studies/${exam.studyInstanceUid}/metadata`)).status).toBe(403)

    const transfersOf = async (user: ApiUser) => (await user.get<{ rows: TransferRow[]; total: number }>('/api/transfers')).rows
    const moved = (await transfersOf(expert)).find(({ studyInstanceUid }) => studyInstanceUid === exam.studyInstanceUid)!
    expect(await transfersOf(colleague)).toEqual([])
    expect((await transfersOf(await c.signIn('admin'))).find(({ transferId }) => transferId === moved.transferId)).toEqual({ ...moved, studyInstanceUid: null })
    await expect(colleague.send('POST', `/api/transfers/${moved.transferId}/cancel`)).rejects.toMatchObject({ code: 'request/not-found' })
    await expect(expert.send('POST', `/api/transfers/${moved.transferId}/cancel`)).rejects.toMatchObject({ code: 'request/conflict' }) // it is complete
    expect((await transfersOf(doctor)).map(({ direction, studyInstanceUid }) => [direction, studyInstanceUid])).toContainEqual(['out', exam.studyInstanceUid])

    await roles({})
    expect((await command(colleague, taskId, 'claim')).taskId).toBe(taskId)
    await until(colleague, taskId, ({ state }) => state === 'accepted')
  })

  it('names in the trail who stopped a transfer', async () => {
    // FED-34, SEC-12
    const { rows: exams } = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    const exam = exams.find(({ instanceCount }) => instanceCount === chests)!
    const taskId = await apply(exam, { mode: 'pull', target: { kind: 'hospital', hospitalId: B } })
    const at = await b.signIn('expert')
    await until(at, taskId, ({ state }) => state === 'submitted')
    line.cut()
    await command(at, taskId, 'fetch')
    const { transferId } = (await at.get<{ rows: TransferRow[] }>('/api/transfers')).rows.find(({ studyInstanceUid, direction }) => studyInstanceUid === exam.studyInstanceUid && direction === 'in')!
    await at.send('POST', `/api/transfers/${transferId}/cancel`)
    line.restore()
    await vi.waitFor(async () => {
      const { rows } = await (await b.signIn('auditor')).get<{ rows: { outcome: string; actor: { kind: string; name?: string }; object: { id: string } }[] }>('/api/audit/records?action=transfer.cancel')
      expect(rows).toMatchObject([{ outcome: 'success', actor: { kind: 'user', name: 'expert' }, object: { id: exam.studyInstanceUid } }])
    }, soon)
  })

  it('destroys an exam whose time is over with what its consultation says and with every copy, also one that was out of reach', async () => {
    // LOC-06, rule 6: an opinion stays with its author
    const exam = await sendStudy(a, 'us-palette', 1)
    const taskId = await apply(exam)
    await until(expert, taskId, ({ images }) => images.state === 'complete')
    await command(expert, taskId, 'claim')
    await command(expert, taskId, 'sign', { opinion: { findings: '', opinion: '脂肪肝', advice: '', keyImages: [] }, signingPassword: expert.password })
    await until(doctor, taskId, ({ state, opinionValid }) => state === 'returned' && opinionValid !== null)
    await expert.raw(`/dicom-web/studies/${exam.studyInstanceUid}/metadata`) // the copy is there and readable

    const admin = await a.signIn('admin')
    const { years } = await admin.get<RetentionRules>('/api/retention/rules')
    await admin.send('PUT', '/api/retention/rules', { years: { ...years, '': 1 }, reason: '演练' })
    line.cut() // A's own line: nobody hears of it yet
    await (await a.signIn('records')).send('DELETE', `/api/exams/${exam.examId}`, { reason: '保存期满' })
    await expect(doctor.get(`/api/exams/${exam.examId}`)).rejects.toMatchObject({ status: 404 })
    await expect(detail(doctor, taskId)).rejects.toMatchObject({ code: 'exam/unknown' })
    const held = async (user: ApiUser) => (await user.get<ConsultDetail>(`/api/consults/${taskId}`)).images.held
    expect(await held(expert)).toBe(1)
    line.restore()
    await vi.waitFor(async () => expect(await held(expert)).toBe(0), soon)
    expect((await expert.raw(`/dicom-web/studies/${exam.studyInstanceUid}/metadata`)).status).not.toBe(200)
    expect((await detail(expert, taskId)).opinion?.text.opinion).toBe('脂肪肝') // the author's own record

    const auditor = await a.signIn('auditor')
    await vi.waitFor(async () => {
      const { rows } = await auditor.get<{ rows: { action: string; actor: { id: string }; object: { id: string }; facts?: Record<string, unknown> }[] }>('/api/audit/records?action=exam.delete,study.delete')
      expect(rows.find(({ action }) => action === 'exam.delete')?.facts).toMatchObject({ copiesAt: [C], consultations: [{ taskId, opinionSm3: expect.stringMatching(/^[0-9a-f]{64}$/) as string }] })
      expect(rows).toContainEqual(expect.objectContaining({ action: 'study.delete', actor: expect.objectContaining({ id: C }) as object, facts: expect.objectContaining({ confirmed: true }) as object }))
    }, soon)
    await admin.send('PUT', '/api/retention/rules', { years, reason: '演练结束' })
  })
})
