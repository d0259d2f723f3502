import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLog, openDatabase, type Database } from 'service-kit'
import { RegionId, StudyInstanceUid } from 'specs'
import { sendSlice, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { regionMigrations } from '../region/membership.ts'
import { aStudyRow } from './builders.ts'
import { ExamIntake } from './intake.ts'
import { adoptExams, changeExam, examMigrations, findExam, findExamOfStudy, listExams, recordStudy, registerExam } from './store.ts'

let db: Database
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-exam-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await db.migrate('exam', examMigrations)
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

const [east, west, unassigned] = ['east', 'west', 'unassigned'].map((id) => RegionId.parse(id)) as [RegionId, RegionId, RegionId]
const study = (number: number) => StudyInstanceUid.parse(`1.2.3.${number}`)
const record = (change: Parameters<typeof aStudyRow>[0], now = 5_000) => db.write((tx) => recordStudy(tx, aStudyRow(change), now))
const registration = {
  accessionNumber: 'ACC1', patientId: 'P1', patientName: '张建国', patientSex: 'M', patientBirthDate: '1961-04-12', modality: 'CT', bodyPart: '胸部', description: '胸部CT平扫',
  studyDate: '2026-11-20', studyTime: '09:26:00', studyInstanceUid: null, clinicalHistory: '咳嗽三周', reportFindings: '', reportImpression: '',
} as const // prettier-ignore

describe('the register of exams', () => {
  it('gets an exam from images that nobody announced, and follows their number', async () => {
    // AGT-01
    const examId = await record({ instanceCount: 1 })
    expect(await record({ instanceCount: 7, sizeBytes: 700 })).toBe(examId)
    expect(await findExam(db, examId)).toMatchObject({
      accessionNumber: 'ACC1',
      patientName: '王小东',
      instanceCount: 7,
      sizeBytes: 700,
      receivedAt: 1_000,
    })
  })
  it('links images to the registered exam and keeps what the register says', async () => {
    // AGT-01
    const examId = await db.write((tx) => registerExam(tx, registration, west, 4_000))
    expect(await record({})).toBe(examId)
    expect(await findExam(db, examId)).toMatchObject({
      patientName: '张建国',
      patientAge: '065Y',
      description: '胸部CT平扫',
      instanceCount: 2,
      studyInstanceUid: aStudyRow().studyInstanceUid,
    })
    await expect(db.write((tx) => registerExam(tx, registration, west, 4_000))).rejects.toMatchObject({ code: 'exam/exists' })
  })
  it('names the modality of the images although a report came first', async () => {
    const examId = await record({ modalitiesInStudy: ['SR'], bodyPartsExamined: [] })
    await record({ modalitiesInStudy: ['SR', 'CT'], bodyPartsExamined: ['CHEST'] })
    expect(await findExam(db, examId)).toMatchObject({ modality: 'CT', bodyPart: 'CHEST' })
  })
  it('keeps a corrected history and what was not named in the correction', async () => {
    // CON-12
    const examId = await record({})
    expect(await db.write((tx) => changeExam(tx, examId, { clinicalHistory: '咳嗽' }, 6_000))).toBe(true)
    await db.write((tx) => changeExam(tx, examId, { reportFindings: '结节' }, 7_000))
    expect(await findExam(db, examId)).toMatchObject({ clinicalHistory: '咳嗽', reportFindings: '结节', updatedAt: 7_000 })
    expect(await db.write((tx) => changeExam(tx, 'none', { clinicalHistory: '' }, 8_000))).toBe(false)
  })
  it('is searched by name, number and text as typed, by modality and day, page by page', async () => {
    for (const number of [1, 2, 3, 4, 5]) {
      const name = number === 3 ? 'Li_%' : `Wang^${number}=王^${number}`
      await record({
        studyInstanceUid: study(number),
        accessionNumber: `A${number}`,
        patientName: name,
        receivedAt: number,
        studyDate: `2026030${number}`,
        modalitiesInStudy: [number === 2 ? 'MR' : 'CT'],
      })
    }
    const numbers = async (filter: object) =>
      (await listExams(db, { limit: 10, ...filter })).rows.map(({ accessionNumber }) => accessionNumber)
    expect(await numbers({})).toEqual(['A5', 'A4', 'A3', 'A2', 'A1'])
    expect(await numbers({ text: '王' })).toEqual(['A5', 'A4', 'A2', 'A1'])
    expect(await numbers({ text: 'a4' })).toEqual(['A4'])
    expect(await numbers({ text: '_%' })).toEqual(['A3'])
    expect(await numbers({ modality: 'MR' })).toEqual(['A2'])
    expect(await numbers({ dateFrom: '2026-03-02', dateTo: '2026-03-03' })).toEqual(['A3', 'A2'])
    const { rows, total } = await listExams(db, { limit: 2 })
    const last = rows.at(-1)!
    expect([total, await numbers({ limit: 2, after: last })]).toEqual([5, ['A3', 'A2']])
  })
})

describe('registering an exam whose images came first', () => {
  it('takes them over when they are of the same patient, and keeps what was noted about them', async () => {
    // ARC-11
    const examId = await record({ patientId: registration.patientId, accessionNumber: registration.accessionNumber })
    expect((await listExams(db, { origin: 'images', limit: 10 })).rows.map((exam) => exam.examId)).toEqual([examId])
    await db.write((tx) => tx.run("UPDATE exam SET label = 'vip', clinical_history = '咳嗽' WHERE exam_id = $1", [examId]))
    expect(await db.write((tx) => registerExam(tx, { ...registration, clinicalHistory: '', patientName: '登记名' }, west, 9_000))).toBe(examId)
    expect(await findExam(db, examId)).toMatchObject({ patientName: '登记名', clinicalHistory: '咳嗽', label: 'vip', instanceCount: 2 })
    expect((await listExams(db, { origin: 'images', limit: 10 })).rows).toEqual([])
    await expect(db.write((tx) => registerExam(tx, registration, west, 9_500))).rejects.toMatchObject({ code: 'exam/exists' })
  })
  it('leaves images of another patient under the same number to a person, and registers the exam beside them', async () => {
    const images = await record({ patientId: 'SOMEBODY-ELSE', accessionNumber: registration.accessionNumber })
    const examId = await db.write((tx) => registerExam(tx, registration, west, 9_000))
    expect(examId).not.toBe(images)
    expect((await listExams(db, { origin: 'images', limit: 10 })).rows.map((exam) => exam.examId)).toEqual([images])
    // What comes now under the number belongs to what was registered.
    expect(await record({ patientId: registration.patientId, accessionNumber: registration.accessionNumber, studyInstanceUid: study(7) })).toBe(examId)
  })
})

describe('the region of an exam', () => {
  const inRegion = async (regionId?: RegionId) =>
    (await listExams(db, { regionId, limit: 10 })).rows.map(({ accessionNumber }) => accessionNumber).sort()

  it('is that of its images, and the register can be asked for one region', async () => {
    // FED-20
    const examId = await db.write((tx) => registerExam(tx, registration, west, 4_000))
    expect([await inRegion(west), await inRegion(east)]).toEqual([['ACC1'], []])
    await record({ regionId: east })
    expect((await findExam(db, examId))?.regionId).toBe('east')
    await record({ regionId: west, studyInstanceUid: study(2), accessionNumber: 'ACC2' })
    expect([await inRegion(east), await inRegion(west), await inRegion()]).toEqual([['ACC1'], ['ACC2'], ['ACC1', 'ACC2']])
    expect((await listExams(db, { regionId: east, limit: 10 })).total).toBe(1)
  })
  it('is given to exams that came before the first region, and to no others', async () => {
    // FED-20
    await record({ regionId: unassigned })
    await record({ regionId: west, studyInstanceUid: study(2), accessionNumber: 'ACC2' })
    expect(await db.write((tx) => adoptExams(tx, unassigned, east))).toBe(1)
    expect([await inRegion(east), await inRegion(west)]).toEqual([['ACC1'], ['ACC2']])
    expect(await db.write((tx) => adoptExams(tx, unassigned, west))).toBe(0)
  })
  it('is filled in when the register is older than this column: the images know theirs, the rest take the active one', async () => {
    // FED-20
    const older = await openDatabase({ dialect: 'sqlite', file: join(folder, 'older.sqlite') })
    await older.migrate('region', regionMigrations)
    await older.run(`INSERT INTO membership (region_id, hub_url, is_active, joined_at, body) VALUES ('west', '', 1, 1, '{}')`)
    await older.migrate('exam', examMigrations.slice(0, 1))
    const insert = (examId: string, uid: string | null) =>
      older.run(`INSERT INTO exam SELECT $1, $1, '', '', '', '', '', '', '', '', '', '', $2, 1, 1, 1, '', '', '', 1, 1`, [examId, uid])
    await insert('with-images', '2.25.1')
    await insert('without', null)
    await older.migrate('exam', examMigrations)
    const test = await testArchive({ regionId: () => east })
    await sendSlice(test.archive)
    const intake = new ExamIntake({
      db: older,
      archive: test.archive,
      log: createLog({ name: 'test', level: 'silent' }),
      onChange: () => undefined,
    })
    await intake.start()
    await intake.stop()
    const regions = (await listExams(older, { limit: 10 })).rows.map(({ examId, regionId }) => [examId, regionId]).sort()
    expect(regions).toEqual([['with-images', 'east'], ['without', 'west']]) // prettier-ignore
    await test.close()
    await older.close()
  })
})

describe('images arriving in the archive', () => {
  let test: TestArchive
  beforeEach(async () => {
    test = await testArchive()
  })
  afterEach(() => test.close())
  const intakeOf = (changed: string[]) =>
    new ExamIntake({
      db,
      archive: test.archive,
      log: createLog({ name: 'test', level: 'silent' }),
      onChange: (examId) => changed.push(examId),
    })

  it('become exams, also those that came while the node was down', async () => {
    // AGT-15
    await sendSlice(test.archive)
    const changed: string[] = []
    const intake = intakeOf(changed)
    await intake.start()
    const exam = await findExamOfStudy(db, StudyInstanceUid.parse('2.25.1'))
    expect(exam).toMatchObject({ patientName: '张三', instanceCount: 1 })
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302', InstanceNumber: '2' })
    await sendSlice(test.archive, {
      SOPInstanceUID: '2.25.303',
      StudyInstanceUID: '2.25.2',
      SeriesInstanceUID: '2.25.22',
      AccessionNumber: 'A2',
    })
    await intake.stop()
    expect((await listExams(db, { limit: 10 })).rows.map(({ accessionNumber, instanceCount }) => [accessionNumber, instanceCount]).sort()).toEqual([['A1', 2], ['A2', 1]]) // prettier-ignore
    const again: string[] = []
    const second = intakeOf(again)
    await second.start()
    await second.stop()
    expect(again).toEqual([]) // nothing has changed since
  })
})
