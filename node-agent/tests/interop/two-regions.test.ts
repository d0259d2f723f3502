import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openDatabase } from 'service-kit'
import type { ConsultDetail, ConsultRow, DicomNode, ExamDetail, ExamRow, JoinedRegion, LinkStatus, ProcessorChoice, TaskRow } from 'specs'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { A, C } from '../../src/access/builders.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { TestHospital, TestRegion } from '../support/region.ts'

const soon = { timeout: 40_000, interval: 50 }
const slices = 3
let folder: string
let east: TestRegion, west: TestRegion
let a: TestHospital, c: TestHospital
let doctor: ApiUser, admin: ApiUser

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-two-regions-'))
  ;[east, west] = [await TestRegion.start('east'), await TestRegion.start('west')]
  const config = { region: { heartbeatMs: 500 } }
  a = await TestHospital.start(folder, A, '云溪县人民医院', config)
  c = await TestHospital.start(folder, C, '澄江省立医院', config)
  ;[doctor, admin] = [await a.signIn('doctor'), await a.signIn('admin')]
}, 120_000)
afterAll(async () => {
  await a?.stop()
  await c?.stop()
  await east?.stop()
  await west?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function joinRegion(hospital: TestHospital, region: TestRegion, kinds: ('submitter' | 'processor')[]): Promise<void> {
  const by = await hospital.signIn('admin')
  await by.send('PUT', '/api/link', { hubUrl: region.hubUrl, joinCode: await region.invite(hospital.id, hospital.id, kinds) })
}

/** Image `number` of study `study` by C-STORE, from the AE that is named. */
async function send(study: number, numbers: readonly number[] = [1, 2, 3], callingAeTitle = 'CT01'): Promise<void> {
  const files = await Promise.all(
    numbers.map(async (number) => {
      const file = path.join(folder, `${study}-${number}.dcm`)
      const slice = aSlice({
        StudyInstanceUID: `2.25.${study}`, SeriesInstanceUID: `2.25.${study}.1`, SOPInstanceUID: `2.25.${study}.1.${number}`,
        InstanceNumber: String(number), AccessionNumber: `ACC${study}`, PatientID: `P${study}`,
      }) // prettier-ignore
      await writeFile(file, buildFile(slice))
      return instanceOfFile(file, await identityOf(file))
    }),
  )
  const deliveries = await sendInstances({ host: '127.0.0.1', port: a.node.dimsePort, aeTitle: 'TEST' }, files, { callingAeTitle })
  expect(deliveries.filter(({ kind }) => kind === 'failed')).toEqual([])
}

const examOf = (study: number, instanceCount = slices): Promise<ExamRow> =>
  vi.waitFor(async () => {
    const exam = await doctor.get<ExamDetail>(`/api/exams/by-study/2.25.${study}`)
    expect(exam.instanceCount).toBe(instanceCount)
    return exam
  }, soon)

async function consult(study: number, region: TestRegion): Promise<string> {
  await vi.waitFor(async () => {
    for (const hospital of [a, c])
      expect(await (await hospital.signIn('admin')).get<LinkStatus>('/api/link')).toMatchObject({
        state: 'connected',
        hubUrl: region.hubUrl,
      })
    expect((await doctor.get<ProcessorChoice[]>('/api/processors')).map(({ id }) => id)).toContain(C)
  }, soon)
  const [{ examId }, taskId] = [await examOf(study), randomUUID()]
  const target = { kind: 'hospital', hospitalId: C }
  const application = { taskId, examId, mode: 'push', imagesTo: 'processor', target, urgency: 'routine', question: '颅内有无出血？' }
  await doctor.send('POST', '/api/consults', application)
  const expert = await c.signIn('expert')
  await vi.waitFor(async () => {
    const { images } = await expert.get<ConsultDetail>(`/api/consults/${taskId}`)
    expect(images).toMatchObject({ state: 'complete', held: slices })
  }, soon)
  return taskId
}

/** What each list answers, with and without a region. */
async function listed(regionId?: string) {
  const query = regionId === undefined ? '' : `?regionId=${regionId}`
  const qido = async (what: string, tag: string) => {
    const answer = await doctor.raw(`/dicom-web/${what}${query}`, { headers: { accept: 'application/dicom+json' } })
    const rows = (await answer.json()) as Record<string, { Value?: string[] }>[]
    return rows.map((row) => row[tag]?.Value?.[0]).sort()
  }
  const exams = await doctor.get<{ rows: ExamRow[]; total: number }>(`/api/exams${query}`)
  const consults = await doctor.get<{ rows: ConsultRow[]; total: number }>(`/api/consults${query}`)
  expect([exams.total, consults.total]).toEqual([exams.rows.length, consults.rows.length])
  const regions = new Set([...exams.rows, ...consults.rows].map((row) => row.regionId))
  if (regionId !== undefined) expect([...regions].filter((id) => id !== regionId)).toEqual([])
  return {
    exams: exams.rows.map(({ accessionNumber }) => accessionNumber).sort(),
    consults: consults.rows.map(({ taskId }) => taskId).sort(),
    studies: await qido('studies', '0020000D'),
    instances: (await qido('instances', '00080018')).length,
  }
}

/** Region of every image that hospital C holds for others, by study. */
async function heldAtC(): Promise<Record<string, string>> {
  const db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, C, 'archive-regional.sqlite') })
  const rows = await db.all<{ study: string; region: string }>(
    'SELECT DISTINCT study_instance_uid AS "study", region_id AS "region" FROM archive_instance',
  )
  await db.close()
  expect(new Set(rows.map(({ study }) => study)).size).toBe(rows.length)
  return Object.fromEntries(rows.map(({ study, region }) => [study, region]))
}

describe('one installation in two regions', () => {
  let inEast: string, inWest: string

  it('gives what came before the first region to it, and what comes straight afterwards as well', async () => {
    // FED-20
    await send(1)
    expect(await examOf(1)).toMatchObject({ regionId: 'unassigned' })
    const registration = {
      accessionNumber: 'REG1', patientId: 'P9', patientName: '张建国', patientSex: 'M', patientBirthDate: '', modality: 'CT', bodyPart: '', description: '', studyDate: '',
      studyTime: '', studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '',
    } // prettier-ignore
    expect(await doctor.send('POST', '/api/exams', registration)).toMatchObject({ regionId: 'unassigned' })
    expect(await admin.get<JoinedRegion[]>('/api/regions')).toEqual([])
    await joinRegion(a, east, ['submitter'])
    await send(2) // no restart, and not even a connection yet
    expect(await examOf(2)).toMatchObject({ regionId: 'east' })
    await vi.waitFor(async () => expect((await listed('east')).exams).toEqual(['ACC1', 'ACC2', 'REG1']), soon)
    expect(await listed('east')).toEqual(await listed())
    expect(await listed('east')).toMatchObject({ studies: ['2.25.1', '2.25.2'], instances: 2 * slices })
    expect(await listed('unassigned')).toEqual({ exams: [], consults: [], studies: [], instances: 0 })
  })

  it('keeps the lists of two regions apart: exams, tasks, studies', async () => {
    // FED-20
    await joinRegion(c, east, ['processor'])
    inEast = await consult(2, east)
    await send(3, [1, 2])
    await examOf(3, 2)
    await joinRegion(a, west, ['submitter'])
    await joinRegion(c, west, ['processor'])
    expect((await doctor.get<JoinedRegion[]>('/api/regions')).map(({ regionId, isActive }) => [regionId, isActive])).toEqual([['east', false], ['west', true]]) // prettier-ignore
    await send(4)
    await send(3, [3]) // the rest of a study that was begun in the other region
    inWest = await consult(4, west)
    await examOf(3)

    const ofEast = {
      exams: ['ACC1', 'ACC2', 'ACC3', 'REG1'],
      consults: [inEast],
      studies: ['2.25.1', '2.25.2', '2.25.3'],
      instances: 3 * slices,
    }
    const ofWest = { exams: ['ACC4'], consults: [inWest], studies: ['2.25.4'], instances: slices }
    expect([await listed('east'), await listed('west')]).toEqual([ofEast, ofWest])
    expect((await listed()).exams).toEqual([...ofEast.exams, ...ofWest.exams].sort())
    const study = async (query: string) => (await (await doctor.raw(`/dicom-web/studies/2.25.4/instances${query}`)).json()) as unknown[]
    expect([(await study('?regionId=west')).length, (await study('?regionId=east')).length]).toEqual([slices, 0])
    expect((await doctor.raw('/dicom-web/studies?regionId=No%20Region')).status).toBe(400)
    await expect(doctor.get('/api/exams?regionId=No%20Region')).rejects.toMatchObject({ code: 'request/invalid' })
  })

  it('keeps them apart where the images went, and at both hubs', async () => {
    // FED-20
    expect(await heldAtC()).toEqual({ '2.25.2': 'east', '2.25.4': 'west' })
    const tasks = async (region: TestRegion, regionId: string) =>
      (await region.admin.get<{ rows: TaskRow[] }>(`/api/tasks?regionId=${regionId}`)).rows.map(({ taskId }) => taskId)
    expect([await tasks(east, 'east'), await tasks(east, 'west'), await tasks(west, 'west')]).toEqual([[inEast], [], [inWest]])
    const ofC = async (regionId: string) =>
      (await (await c.signIn('expert')).get<{ rows: ConsultRow[] }>(`/api/consults?regionId=${regionId}`)).rows.map(({ taskId }) => taskId)
    expect([await ofC('east'), await ofC('west')]).toEqual([[inEast], [inWest]])
  })

  it('lets a device send for the region it is registered for, whichever is active', async () => {
    // FED-20
    const device = { aeTitle: 'EASTCT', host: '127.0.0.1', port: 11_112, description: '东区设备' }
    await expect(admin.send('POST', '/api/dicom-nodes', { ...device, regionId: 'north' })).rejects.toMatchObject({
      code: 'region/not-joined',
    })
    expect(await admin.send<DicomNode>('POST', '/api/dicom-nodes', { ...device, regionId: 'east' })).toMatchObject({ regionId: 'east' })
    await send(5, [1, 2, 3], 'EASTCT')
    await send(6)
    expect([(await examOf(5)).regionId, (await examOf(6)).regionId]).toEqual(['east', 'west'])
  })

  it('still knows all that after a restart, and when it has returned', async () => {
    // FED-20, AGT-03
    const before = [await listed('east'), await listed('west')]
    await a.stop()
    await a.startAgain()
    ;[doctor, admin] = [await a.signIn('doctor'), await a.signIn('admin')]
    expect([await listed('east'), await listed('west')]).toEqual(before)
    await admin.send('PUT', '/api/link', { hubUrl: east.hubUrl })
    await send(7)
    expect(await examOf(7)).toMatchObject({ regionId: 'east' })
    expect((await listed('west')).exams).toEqual(['ACC4', 'ACC6'])
  })
})
