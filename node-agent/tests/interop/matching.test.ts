import { Buffer } from 'node:buffer'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ArchiveMonitor, AuditPage, CorrectionRow, ExamDetail, ExamStates, ExamRow, KeptNormalisationRule, MatchSuggestion, NormalisationChange, NodeRefusalRow, StudyListRow, StudyPlaces, UnmatchedRow } from 'specs'
import type { z } from 'zod'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { ensureSystemPackages } from '../../../scripts/run.mjs'
import { A } from '../../src/access/builders.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile, type BuiltDataset } from '../../src/dicom/dataset.builder.ts'
import { filesBelow } from '../support/on-disk.ts'
import { TestHospital } from '../support/region.ts'

const run = promisify(execFile)
const soon = { timeout: 20_000, interval: 50 }
const STUDY = '2.25.900'
let folder: string
let hospital: TestHospital
let registrar: ApiUser, technician: ApiUser, admin: ApiUser, auditor: ApiUser, clinician: ApiUser
let right: ExamDetail

interface Page<T> {
  readonly rows: T[]
}

/** What a CT sends of somebody whose number was typed wrongly. */
const slice = (number: number, change: BuiltDataset = {}): BuiltDataset =>
  aSlice({
    SOPInstanceUID: `${STUDY}.1.${number}`, SeriesInstanceUID: `${STUDY}.1`, StudyInstanceUID: STUDY, InstanceNumber: String(number), PatientName: 'Li^Si', PatientID: 'TEMP1', PatientSex: 'M',
    PatientBirthDate: '', AccessionNumber: 'CT20260310', StudyDate: '20260301', SpecificCharacterSet: 'ISO_IR 100', StudyDescription: 'Chest', FrameOfReferenceUID: '2.25.7', ...change,
  }) // prettier-ignore

let sent = 0
/** Sends files with DCMTK. @returns what storescu says. */
async function store(aeTitle: string, ...datasets: readonly (BuiltDataset | Buffer)[]): Promise<string> {
  const from = join(folder, `send-${sent++}`)
  await mkdir(from)
  for (const [index, dataset] of datasets.entries()) await writeFile(join(from, `${index}.dcm`), Buffer.isBuffer(dataset) ? dataset : buildFile(dataset as BuiltDataset))
  const { stdout, stderr } = await run('storescu', ['-v', '+sd', '-aet', aeTitle, '-aec', 'TEST', '127.0.0.1', String(hospital.node.dimsePort), from]).catch((error: unknown) => error as { stdout: string; stderr: string })
  return stdout + stderr
}

async function stored(sopInstanceUid: string): Promise<string> {
  const root = join(folder, A, 'archive-in-hospital')
  const name = (await filesBelow(root)).find((file) => file.endsWith(`${sopInstanceUid}.dcm`) && !file.startsWith('replaced'))
  return join(root, name ?? 'nowhere')
}
const dump = async (sopInstanceUid: string, ...tags: string[]) => (await run('dcmdump', [...tags.flatMap((tag) => ['+P', tag]), await stored(sopInstanceUid)])).stdout
const unmatched = async () => (await technician.get<Page<UnmatchedRow>>('/api/matching/unmatched')).rows
const examOfStudy = () => technician.get<ExamDetail>(`/api/exams/by-study/${STUDY}`)
const ended = (correctionId: string) => vi.waitFor(async () => {
  const row = (await technician.get<CorrectionRow[]>(`/api/matching/studies/${STUDY}/corrections`)).find((each) => each.correctionId === correctionId)
  expect(row?.endedAt).not.toBeNull()
  expect(['done', 'undone', 'failed']).toContain(row?.state)
  return row!
}, soon) // prettier-ignore

beforeAll(async () => {
  await ensureSystemPackages({ programs: ['storescu', 'dcmdump', 'dciodvfy'], apt: ['dcmtk', 'dicom3tools'] })
  folder = await mkdtemp(join(tmpdir(), 'lianpian-matching-'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', {})
  ;[registrar, technician, admin, auditor, clinician] = [await hospital.signIn('registrar'), await hospital.signIn('doctor'), await hospital.signIn('admin'), await hospital.signIn('auditor'), await hospital.signIn('expert')]
  right = await registrar.send<ExamDetail>('POST', '/api/exams', {
    accessionNumber: 'CT20260301', patientId: 'P9', patientName: '李四', patientSex: 'F', patientBirthDate: '1980-02-02', modality: 'CT', bodyPart: '胸部', description: '胸部平扫', studyDate: '2026-03-01', studyTime: '',
    studyInstanceUid: null, clinicalHistory: '咳嗽', reportFindings: '', reportImpression: '', campus: '东院', department: '影像科',
  }) // prettier-ignore
}, 60_000)

afterAll(async () => {
  await hospital?.stop()
  await rm(folder, { recursive: true, force: true })
})

describe('images that belong to no registered exam', () => {
  let correction: CorrectionRow

  it('are on the unmatched list with the exam that they probably belong to, and why', async () => {
    // ARC-11
    await store('CT01', slice(1), slice(2))
    const row = await vi.waitFor(async () => {
      const [found] = await unmatched()
      expect(found).toMatchObject({ studyInstanceUid: STUDY, instanceCount: 2, source: 'CT01' })
      return found!
    }, soon)
    expect(row.best).toMatchObject({ exam: { examId: right.examId, accessionNumber: 'CT20260301' }, reasons: ['accession-near', 'name-reading', 'sex-differs', 'modality', 'same-day'] })
    expect(row.best!.exam.patientName).not.toContain('四')
    expect((await technician.get<MatchSuggestion[]>(`/api/matching/studies/${STUDY}/suggestions`)).map(({ exam }) => exam.examId)).toEqual([right.examId])
  })

  it('are moved as a whole to it in one step by whoever may change both, with a reason, and by nobody else', async () => {
    // ARC-21
    const body = { target: { kind: 'exam', examId: right.examId }, reason: '技师录入错误，已与登记核对' }
    await expect(clinician.send('POST', `/api/matching/studies/${STUDY}/corrections`, body)).rejects.toMatchObject({ status: 403 })
    await expect(technician.send('POST', `/api/matching/studies/${STUDY}/corrections`, { ...body, reason: '' })).rejects.toMatchObject({ status: 400 })
    correction = await ended((await technician.send<CorrectionRow>('POST', `/api/matching/studies/${STUDY}/corrections`, body)).correctionId)
    expect(correction).toMatchObject({ state: 'done', examId: right.examId, instancesRewritten: 2, reason: body.reason })
    expect(await examOfStudy()).toMatchObject({ examId: right.examId, accessionNumber: 'CT20260301', instanceCount: 2, clinicalHistory: '咳嗽', campus: '东院' })
    expect(await unmatched()).toEqual([])
    expect((await technician.get<Page<ExamRow>>('/api/exams')).rows.length).toBe(1)
    const found = (patientId: string) => technician.get<unknown[]>(`/dicom-web/studies?PatientID=${patientId}`).catch(() => [])
    expect([(await found('P9')).length, (await found('TEMP1')).length]).toEqual([1, 0])
  })

  it('carry the right patient in their headers, the former values beside them, and are as good DICOM as before', async () => {
    const text = await dump(`${STUDY}.1.1`, '0010,0010', '0010,0020', '0010,0030', '0010,0040', '0008,0050', '0008,0005')
    for (const value of ['李四', 'P9', '19800202', 'CT20260301', 'ISO_IR 192']) expect(text).toContain(`[${value}`)
    const originals = await dump(`${STUDY}.1.1`, '0400,0561')
    for (const value of ['[Li^Si]', '[TEMP1]', '[CT20260310]', '[CORRECT]', '[CT01]', '[M]']) expect(originals).toContain(value.replace(']', ''))
    const judge = async (file: string) => (await run('dciodvfy', [file]).catch((error: unknown) => error as { stderr: string })).stderr.split('\n').filter((line) => line.startsWith('Error'))
    const asSent = join(folder, 'as-sent.dcm')
    await writeFile(asSent, buildFile(slice(1)))
    const before = new Set(await judge(asSent))
    expect((await judge(await stored(`${STUDY}.1.1`))).filter((line) => !before.has(line))).toEqual([])
    // Pixels are the same: everything from Pixel Data on.
    const pixels = async (file: string) => {
      const bytes = await readFile(file)
      return bytes.subarray(bytes.lastIndexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00])))
    }
    expect(await pixels(await stored(`${STUDY}.1.1`))).toEqual(await pixels(asSent))
  })

  it('gives the same to images that come later under the former values, and counts the originals as duplicates', async () => {
    // ARC-12
    await store('CT01', slice(1), slice(3))
    await vi.waitFor(async () => expect((await examOfStudy()).instanceCount).toBe(3), soon)
    expect(await dump(`${STUDY}.1.3`, '0010,0020')).toContain('[P9]')
    const changes = await admin.get<NormalisationChange[]>(`/api/normalisation/changes?studyUid=${STUDY}`)
    expect(changes).toMatchObject([{ sopInstanceUid: `${STUDY}.1.3`, by: `correction:${correction.correctionId}`, source: 'CT01' }])
    for (const name of ['Li^Si', 'Li Si', '李四']) expect(JSON.stringify(changes)).not.toContain(name)
  })

  it('stand in the trail with the former values', async () => {
    const { rows } = await auditor.get<z.infer<typeof AuditPage>>(`/api/audit/records?action=study.correct`)
    expect(rows[0]).toMatchObject({ object: { type: 'study', id: STUDY }, reason: '技师录入错误，已与登记核对', facts: { instances: 2 } })
    expect(rows[0]?.before).toMatchObject({ AccessionNumber: 'CT20260310' })
  })

  it('go back, byte for byte as they came, when it was a mistake', async () => {
    const undone = await ended((await technician.send<CorrectionRow>('POST', `/api/matching/corrections/${correction.correctionId}/undo`, { reason: '并非同一患者' })).correctionId)
    expect(undone).toMatchObject({ state: 'undone', undone: { reason: '并非同一患者' } })
    expect(await readFile(await stored(`${STUDY}.1.1`))).toEqual(buildFile(slice(1)))
    expect(await dump(`${STUDY}.1.3`, '0010,0020', '0008,0050')).toContain('[TEMP1]')
    expect(await technician.get<ExamDetail>(`/api/exams/${right.examId}`)).toMatchObject({ studyInstanceUid: null, instanceCount: 0, clinicalHistory: '咳嗽' })
    expect((await examOfStudy()).instanceCount).toBe(3)
    expect((await unmatched()).map(({ studyInstanceUid }) => studyInstanceUid)).toEqual([STUDY])
    await store('CT01', slice(4))
    await vi.waitFor(async () => expect((await examOfStudy()).instanceCount).toBe(4), soon)
    expect(await dump(`${STUDY}.1.4`, '0010,0020')).toContain('[TEMP1]')
    await expect(technician.send('POST', `/api/matching/corrections/${correction.correctionId}/undo`, { reason: '再次' })).rejects.toMatchObject({ details: { code: 'matching/not-undoable' } })
  })

  it('are moved to a patient without an exam, and confirmed as an exam of their own', async () => {
    const target = { kind: 'patient', patientId: 'P10', patientName: '王 五', patientSex: 'M', patientBirthDate: '1990-01-01' }
    const moved = await ended((await technician.send<CorrectionRow>('POST', `/api/matching/studies/${STUDY}/corrections`, { target, reason: '急诊补录' })).correctionId)
    expect(moved).toMatchObject({ state: 'done', kind: 'patient' })
    expect(await examOfStudy()).toMatchObject({ instanceCount: 4 })
    expect(await dump(`${STUDY}.1.2`, '0010,0010')).toContain('王 五')
    expect(await unmatched()).toEqual([])
    await expect(technician.send('POST', `/api/matching/studies/${STUDY}/corrections`, { target, reason: '急诊补录' })).rejects.toMatchObject({ details: { code: 'matching/nothing-to-correct' } })
    await store('CT01', slice(1, { StudyInstanceUID: '2.25.901', SOPInstanceUID: '2.25.901.1', SeriesInstanceUID: '2.25.901.2', PatientID: 'P11', AccessionNumber: '' }))
    await vi.waitFor(async () => expect((await unmatched()).length).toBe(1), soon)
    await technician.send('POST', '/api/matching/studies/2.25.901/confirm', { reason: '科研检查，无需登记' })
    expect(await unmatched()).toEqual([])
  })

  it('show every key state of their exam, each with time, actor and system', async () => {
    // ARC-27
    const [found] = await technician.get<ExamStates[]>('/api/exam-states?accessionNumber=CT20260301')
    const names = found!.states.map(({ state }) => state)
    expect(names).toContain('registered')
    const [moved] = await technician.get<ExamStates[]>(`/api/exam-states?studyUid=${STUDY}`)
    expect(moved).toMatchObject({ origin: 'confirmed' })
    await vi.waitFor(async () => {
      const [again] = await technician.get<ExamStates[]>(`/api/exam-states?studyUid=${STUDY}`)
      expect(again!.states.map(({ state }) => state)).toEqual(expect.arrayContaining(['acquired', 'arrived', 'archived', 'corrected']))
    }, soon)
    expect(moved!.states.find(({ state }) => state === 'corrected')).toMatchObject({ actor: 'doctor', detail: '急诊补录' })
    expect(moved!.states.find(({ state }) => state === 'arrived')).toMatchObject({ actor: 'CT01', count: 4 })
    expect(await technician.get<StudyPlaces>(`/api/studies/${STUDY}/places`)).toMatchObject({
      tier: '', duplicates: 1, forwards: [], coerced: [{ instances: 1 }],
      replaced: [{ reason: 'correction', by: 'doctor' }, { reason: 'restored', instances: 3 }],
    }) // prettier-ignore
    await expect(registrar.get('/api/exam-states?accessionNumber=NONE')).rejects.toMatchObject({ status: 404 })
  })

  it('are counted on the archive monitor by place, kind and sender', async () => {
    // ARC-18, ARC-19
    const monitor = await admin.get<ArchiveMonitor>('/api/archive-monitor')
    expect(monitor.totals).toMatchObject({ studies: 2, matched: 2, unmatched: 0, failed: 0, missing: 0 })
    expect(monitor.groups).toMatchObject([{ modality: 'CT', source: 'CT01', studies: 2, instances: 5 }])
    expect(monitor.studies.map(({ studyInstanceUid }) => studyInstanceUid).sort()).toEqual(['2.25.900', '2.25.901'])
    expect(JSON.stringify(monitor)).not.toContain('王 五')
    expect((await admin.get<ArchiveMonitor>('/api/archive-monitor?campus=东院')).studies).toEqual([])
  })

  it('are taken up after a stop in the middle', async () => {
    const begun = await technician.send<CorrectionRow>('POST', `/api/matching/studies/${STUDY}/corrections`, { target: { kind: 'exam', examId: right.examId }, reason: '改回登记检查' })
    await hospital.stop()
    await hospital.startAgain()
    technician = await hospital.signIn('doctor')
    admin = await hospital.signIn('admin')
    expect(await ended(begun.correctionId)).toMatchObject({ state: 'done' })
    expect(await examOfStudy()).toMatchObject({ examId: right.examId, instanceCount: 4 })
    expect(await dump(`${STUDY}.1.2`, '0010,0020')).toContain('[P9]')
    const monitor = await admin.get<ArchiveMonitor>('/api/archive-monitor?campus=东院')
    expect(monitor.studies).toMatchObject([{ studyInstanceUid: STUDY, registered: true, matched: true }])
  })

  it('belong to the campus of their exam, and a campus is asked for by itself', async () => {
    // ARC-19
    const of = async (campus: string) => (await technician.get<Page<StudyListRow>>(`/api/studies?campus=${campus}`)).rows.map((row) => [row.studyInstanceUid, row.campus])
    await vi.waitFor(async () => expect(await of('东院')).toEqual([[STUDY, '东院']]), soon)
    expect(await of('西院')).toEqual([])
    await technician.send('PATCH', `/api/exams/${right.examId}`, { campus: '西院' })
    await vi.waitFor(async () => expect(await of('西院')).toEqual([[STUDY, '西院']]), soon)
    expect(await of('东院')).toEqual([])
    expect((await technician.get<Page<ExamRow>>('/api/exams?campus=西院')).rows.map(({ examId }) => examId)).toEqual([right.examId])
  })
})

describe('rules for what devices send', () => {
  const other = (number: number, change: BuiltDataset) => slice(1, { StudyInstanceUID: `2.25.95${number}`, SeriesInstanceUID: `2.25.95${number}.1`, SOPInstanceUID: `2.25.95${number}.1.1`, AccessionNumber: `B${number}`, PatientID: `B${number}`, ...change })
  let rule: KeptNormalisationRule

  it('leave every byte as it came where none applies', async () => {
    // ARC-25
    const dataset = other(1, { PatientName: Buffer.from('d5c5c8fd', 'hex'), StudyDescription: Buffer.from('d0d8b2bf', 'hex') })
    await store('US01', dataset)
    expect(await readFile(await stored('2.25.951.1.1'))).toEqual(buildFile(dataset))
  })

  it('read GBK that nobody declared, fill the body part and give numbers their form; a report lists what was changed', async () => {
    rule = await admin.send<KeptNormalisationRule>('POST', '/api/normalisation/rules', {
      name: '旧 CT', source: 'CT9*',
      actions: [
        { kind: 'character-set', readAs: 'auto' }, { kind: 'conform' }, { kind: 'patient-id', leadingZeros: 'pad', padTo: 6 },
        { kind: 'fill', attribute: 'BodyPartExamined', when: [{ source: 'StudyDescription', contains: '胸', value: 'CHEST' }] },
      ],
    }) // prettier-ignore
    const { BodyPartExamined: _none, SpecificCharacterSet: _undeclared, ...dataset } = other(2, { PatientName: Buffer.from('d5c5c8fd', 'hex'), StudyDescription: Buffer.from('d0d8b2bf', 'hex'), PatientID: '42', PatientBirthDate: '1970.01.02' })
    await store('CT91', dataset)
    const text = await dump('2.25.952.1.1', '0008,0005', '0010,0010', '0010,0020', '0010,0030', '0018,0015', '0008,1030')
    for (const value of ['ISO_IR 192', '张三', '000042', '19700102', 'CHEST', '胸部']) expect(text).toContain(value)
    expect(await dump('2.25.952.1.1', '0400,0561')).toContain('COERCE')
    const [change] = await admin.get<NormalisationChange[]>('/api/normalisation/changes?limit=1')
    expect(change).toMatchObject({ by: '旧 CT', source: 'CT91' })
    expect(change?.changes.map(({ attribute }) => attribute)).toEqual(['SpecificCharacterSet', 'PatientBirthDate', 'PatientID', 'BodyPartExamined', 'StudyDescription', 'PatientName'])
    const found = await technician.get<unknown[]>('/dicom-web/studies?PatientID=000042')
    expect(found.length).toBe(1)
    await store('CT91', dataset)
    await expect(technician.send('POST', '/api/normalisation/rules', { name: 'x' })).rejects.toMatchObject({ status: 403 })
  })

  it('keep the former content where they say so, and the refusal is on the list', async () => {
    // ARC-12, FED-22
    await admin.send('PUT', `/api/normalisation/rules/${rule.ruleId}`, { name: '旧 CT', source: 'CT91', actions: [], changedContent: 'refuse' })
    expect(await store('CT91', other(2, { ImageComments: 'changed', PatientID: '000042' }))).toMatch(/0x0?111/)
    expect(await dump('2.25.952.1.1', '0020,4000')).toBe('')
    await vi.waitFor(async () => expect((await admin.get<Page<NodeRefusalRow>>('/api/refusals')).rows.map(({ code }) => code)).toContain('archive/changed-content'), soon)
    await admin.send('DELETE', `/api/normalisation/rules/${rule.ruleId}`)
    await store('CT91', other(2, { ImageComments: 'changed', PatientID: '000042' }))
    expect(await dump('2.25.952.1.1', '0020,4000')).toContain('changed')
  })
})
