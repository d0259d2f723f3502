import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase, type Database } from 'service-kit'
import { HospitalId, MessageId, TaskId, type StudyInstanceUid } from 'specs'
import { A, B, C, CHEST, NOW, TASK } from '../access/builders.ts'
import { examMigrations } from '../exam/store.ts'
import { aConsultAt, anEvent, by, someFacts } from './builders.ts'
import { findDraft, saveDraft } from './draft-store.ts'
import {
  agentHasSaid,
  answerCommand,
  consultMigrations,
  consultsOfStudy,
  findCommand,
  listConsults,
  type PermittedConsults,
  markRepeated,
  queuedCommands,
  rememberCommand,
  rememberEvent,
  saveConsult,
  studiesOfOpenConsults,
  timelineOf,
} from './store.ts'

let db: Database
let folder: string
const task = (index: number) => TaskId.parse(`6f1d2c1e-2f4b-4a57-9d0c-0000000000${String(index).padStart(2, '0')}`)
const HOSPITAL_D = HospitalId.parse('hospital-d')

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-consult-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await db.migrate('consult', consultMigrations)
})
afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

describe('the list of consultations', () => {
  beforeAll(async () => {
    const atC = (index: number, change: object) => ({ ...aConsultAt(C), taskId: task(index), appliedAt: NOW + index, ...change })
    const rows = [
      atC(1, {}),
      atC(2, { submitter: HOSPITAL_D }),
      atC(3, { facts: someFacts({ modality: 'MR' }) }),
      atC(4, { state: 'accepted', holder: { ...by(C), since: NOW } }),
      atC(5, { state: 'accepted', holder: { ...by(B), since: NOW } }),
      atC(6, { state: 'cancelled' }),
    ]
    await db.write(async (tx) => {
      for (const row of rows) await saveConsult(tx, row, C)
    })
  })
  const tasks = async (filter: object) =>
    (await listConsults(db, { limit: 10, ...filter })).rows.map(({ taskId }) => Number(taskId.slice(-2)))

  it('shows what is open to us, newest first, and neither what others took nor what was withdrawn', async () => {
    // CON-11, CON-20
    expect(await tasks({})).toEqual([4, 3, 2, 1])
  })
  it('is filtered by hospital, date, modality and state', async () => {
    // CON-11
    expect(await tasks({ hospital: 'hospital-d' })).toEqual([2])
    expect(await tasks({ modality: 'MR' })).toEqual([3])
    expect(await tasks({ state: 'accepted' })).toEqual([4])
    expect(await tasks({ appliedFrom: NOW + 2, appliedBefore: NOW + 4 })).toEqual([3, 2])
    expect(await tasks({ side: 'submitter' })).toEqual([])
  })
  it('is read page by page without a gap', async () => {
    const first = await listConsults(db, { limit: 2 })
    expect(first.total).toBe(4)
    const last = first.rows.at(-1)!
    expect(await tasks({ limit: 2, after: { appliedAt: last.appliedAt, taskId: last.taskId } })).toEqual([2, 1])
  })
  it('holds our own cases by their exams, those of others by modality; whoever may see none counts none', async () => {
    // SEC-03, REG-21
    await db.migrate('exam', examMigrations)
    const examOf = (examId: string, area: string) =>
      db.run(
        `INSERT INTO exam (exam_id, accession_number, patient_id, patient_name, patient_sex, patient_birth_date, patient_age, modality, body_part, description, study_date, study_time,
          study_instance_uid, series_count, instance_count, size_bytes, clinical_history, report_findings, report_impression, received_at, updated_at, area)
         VALUES ($1, $1, 'P1', '', '', '', '', 'CT', '', '', '', '', $2, 1, 1, 1, '', '', '', 1, 1, $3)`,
        [examId, examId === 'e1' ? CHEST : null, area],
      )
    await examOf('e1', '总院超声')
    await examOf('e2', '西院超声')
    const own = (index: number, examId: string | null) => ({ ...aConsultAt(A), taskId: task(index), appliedAt: NOW + index, examId })
    await db.write(async (tx) => {
      for (const row of [own(21, 'e1'), own(22, 'e2'), own(23, null)]) await saveConsult(tx, row, A)
    })
    const seen = (permitted: Partial<PermittedConsults>) => tasks({ permitted: { exams: () => '1 = 0', entrusted: { within: [], without: [] }, passing: false, ...permitted } })
    const inArea = (area: string) => (exam: string, bind: (value: string) => string) => `${exam}.area = ${bind(area)}`
    expect(await seen({})).toEqual([])
    expect(await seen({ exams: inArea('西院超声') })).toEqual([22])
    expect(await seen({ exams: inArea('总院超声') })).toEqual([23, 21]) // 23 lost its exam and is known by its study
    expect(await seen({ entrusted: { within: ['MR'], without: [] } })).toEqual([3])
    expect(await seen({ entrusted: { within: 'all', without: [] } })).toEqual([4, 3, 2, 1])
    expect(await seen({ entrusted: { within: 'all', without: ['MR'] } })).toEqual([4, 2, 1]) // a rule closes it
    expect((await listConsults(db, { limit: 1, permitted: { exams: inArea('西院超声'), entrusted: { within: [], without: [] }, passing: false } })).total).toBe(1)
    await db.run(`DELETE FROM consult WHERE exam_id IS NOT NULL OR side = 'submitter'`)
    await db.run(`DELETE FROM consult_study WHERE task_id IN ('${task(21)}', '${task(22)}', '${task(23)}')`)
  })
  it('knows which images are still needed', async () => {
    expect((await consultsOfStudy(db, CHEST)).length).toBe(6)
    expect(await studiesOfOpenConsults(db)).toEqual(new Set([CHEST as StudyInstanceUid]))
  })
})

describe('the time line', () => {
  it('is what the hub said, in its order, without sealed content, however often it was delivered', async () => {
    // CON-01, CON-18
    const [claimed, submitted] = [anEvent('claimed', 2, { by: by(C) }), anEvent('submitted', 1, { facts: someFacts(), sealed: 'sealed' })]
    await db.write(async (tx) => {
      for (const event of [claimed, submitted, claimed]) await rememberEvent(tx, event)
    })
    const { facts: _facts, sealed: _sealed, ...shown } = submitted
    expect(await timelineOf(db, TASK)).toEqual([shown, claimed])
  })
})

describe('a command', () => {
  it('is answered once; a second answer to it changes nothing', async () => {
    // AGT-07
    const commandId = '0f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b11'
    const messageId = MessageId.parse('0f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b22')
    const answer = { commandId, taskId: TASK } as never as { commandId: never; taskId: typeof TASK }
    await db.write((tx) => rememberCommand(tx, { commandId, taskId: TASK, type: 'return', byAgent: true, byName: 'A', messageId, at: NOW }))
    const queued = { commandId, taskId: TASK, type: 'return', byAgent: true, byName: 'A', messageId, repeats: 0, at: NOW, regionId: null }
    expect(await queuedCommands(db, 10)).toEqual([queued])
    const again = MessageId.parse('0f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b33')
    expect(await db.write((tx) => markRepeated(tx, commandId, again))).toBe(true)
    expect(await queuedCommands(db, 10)).toEqual([{ ...queued, messageId: again, repeats: 1 }])
    expect(await agentHasSaid(db, TASK, 'return')).toBe(true)
    expect(
      await db.write((tx) =>
        answerCommand(tx, { ...answer, outcome: 'refused', problem: { code: 'consult/not-open', facts: { state: 'submitted' } } }, NOW),
      ),
    ).toBe(true)
    expect(await db.write((tx) => answerCommand(tx, { ...answer, outcome: 'accepted', revision: 3 }, NOW))).toBe(false)
    expect(await queuedCommands(db, 10)).toEqual([])
    expect(await db.write((tx) => markRepeated(tx, commandId, messageId))).toBe(false)
    expect(await findCommand(db, commandId)).toMatchObject({ state: 'refused', byAgent: true, problem: { code: 'consult/not-open' } })
    expect(await agentHasSaid(db, TASK, 'return')).toBe(false)
  })
})

describe('a draft of an opinion', () => {
  const draft = (opinion: string) => ({ findings: '', opinion, advice: '', keyImages: [] })
  it('is kept per writer and goes on at another desk', async () => {
    // AGT-15
    expect(await findDraft(db, TASK, 'u1')).toMatchObject({ opinion: '', revision: 0, savedAt: null })
    expect(await saveDraft(db, TASK, 'u1', draft('一'), 0, NOW)).toMatchObject({ revision: 1 })
    expect(await findDraft(db, TASK, 'u1')).toMatchObject({ opinion: '一', revision: 1, savedAt: NOW })
    expect(await findDraft(db, TASK, 'u2')).toMatchObject({ revision: 0 })
  })
  it('is not overwritten by a desk that has not seen the newest text', async () => {
    // COR-15
    await expect(saveDraft(db, TASK, 'u1', draft('二'), 0, NOW)).rejects.toMatchObject({ code: 'request/conflict', facts: { revision: 1 } })
    expect((await findDraft(db, TASK, 'u1')).opinion).toBe('一')
  })
})
