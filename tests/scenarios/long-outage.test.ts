import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConsultRow, ExamRow, LinkStatus, MessageRow } from 'specs'
import type { ApiUser } from '../../scripts/region/api.ts'
import { archiveContent, countInstances } from '../support/archive-files.ts'
import { storescu } from '../support/dcmtk.ts'
import { Line } from '../support/line.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { submit } from '../support/story.ts'
import { makeStudies, type MadeStudy } from '../support/studies.ts'

/** A quarter of a minute in every run; the hour that the requirement names with LIANPIAN_TEST_OUTAGE_MINUTES=60. */
const outageMs = Number(process.env['LIANPIAN_TEST_OUTAGE_MINUTES'] ?? 1 / 4) * 60_000
const modalities = ['CT01', 'MR01', 'US01', 'XA01'] as const
const studiesTotal = 200
const instancesEach = 2
const rounds = 10

const say = (sentence: string) => process.stdout.write(`${new Date().toISOString()} ${sentence}\n`)

/** Modalities go on working through an outage: everything is accepted, survives a kill, and leaves by itself afterwards. */
describe(`a hospital without its line for ${Math.round(outageMs / 1_000)} s while modalities send ${studiesTotal} studies`, () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let line: Line
  let folder: string
  let studies: MadeStudy[]
  let cutAt: number
  const wang = () => region.signIn('hospital-a', 'wang')
  const uids = () => new Set(studies.map(({ studyInstanceUid }) => studyInstanceUid))

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lianpian-studies-'))
    studies = makeStudies(folder, { count: studiesTotal, instancesEach })
    region = await startTestRegion({
      hospitals: ['data-centre', 'hospital-a', 'hospital-c'],
      change: async (plan) => {
        line = await Line.open({ host: plan.host, port: plan.natsPort })
        const natsUrl = `nats://127.0.0.1:${line.port}`
        return { ...plan, hospitals: plan.hospitals.map((hospital) => (hospital.id === 'hospital-a' ? { ...hospital, natsUrl } : hospital)) }
      },
    })
  })
  afterAll(async () => {
    await region?.close()
    await line?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Every modality sends its share of a round in one association, all modalities at the same time. */
  async function send(batch: readonly MadeStudy[]): Promise<void> {
    const shares = modalities.map((aeTitle, index) => ({ aeTitle, folders: batch.filter((_, number) => number % modalities.length === index).map((study) => study.folder) }))
    await Promise.all(shares.map(({ aeTitle, folders: [first = '', ...others] }) => storescu(region.hospital('hospital-a').dicom, first, ['-aet', aeTitle], others)))
  }

  async function consult(doctor: ApiUser, study: MadeStudy): Promise<void> {
    const exam = await eventually(`${study.studyInstanceUid} is an exam`, () => doctor.get<ExamRow>(`/api/exams/by-study/${study.studyInstanceUid}`))
    expect(exam.instanceCount).toBe(instancesEach)
    await submit(doctor, { exam, imagesTo: 'data-centre', question: `${study.patientId}：请会诊` })
  }

  const queued = async () => (await (await wang()).get<{ rows: ConsultRow[]; total: number }>('/api/consults?side=submitter&state=queued&limit=1')).total
  const waitingCommands = async () => {
    const { rows } = await (await wang()).get<{ rows: MessageRow[] }>('/api/messages?direction=out&state=pending&limit=500')
    return rows.filter(({ kind }) => kind === 'consult.command').length
  }

  it('accepts every image and queues every consultation while the line is cut', async () => { // AGT-15, ARC-02
    line.cut()
    cutAt = Date.now()
    const admin = await region.signIn('hospital-a', 'admin')
    await eventually('the node has noticed', async () => (await admin.get<LinkStatus>('/api/link')).state === 'disconnected')
    const perRound = studiesTotal / rounds
    for (let round = 0; round < rounds; round++) {
      const batch = studies.slice(round * perRound, (round + 1) * perRound)
      await send(batch)
      const doctor = await wang()
      for (const study of batch) await consult(doctor, study)
      say(`round ${round + 1}: ${(round + 1) * perRound} studies accepted, ${await queued()} consultations queued, ${Math.round((Date.now() - cutAt) / 1_000)} s without a line`)
      await sleep(Math.max(0, cutAt + (outageMs * (round + 1)) / rounds - Date.now()))
    }
    expect(Date.now() - cutAt).toBeGreaterThanOrEqual(outageMs)
    expect(await queued()).toBe(studiesTotal)
    expect(await waitingCommands()).toBe(studiesTotal)
  }, outageMs + 120_000)

  it('still holds and queues all of them after kill -9 and a new start', async () => { // AGT-15
    await region.node('hospital-a').kill()
    await region.node('hospital-a').start()
    expect(await queued()).toBe(studiesTotal)
    expect(await waitingCommands()).toBe(studiesTotal)
    const { instances } = await archiveContent(region, 'hospital-a', 'in-hospital', uids())
    expect(instances.map(({ sopInstanceUid }) => sopInstanceUid)).toEqual(studies.flatMap(({ sopInstanceUids }) => sopInstanceUids).sort())
    const centre = await archiveContent(region, 'data-centre', 'regional', uids())
    expect(centre.instances).toHaveLength(0)
  })

  it('empties its queue by itself when the line is back, also when it tears once more in the middle', async () => { // AGT-16
    const mendedAt = Date.now()
    line.mend()
    line.cutAfter(4_500_000)
    await eventually('the line tore again while images were on their way', async () => line.isCut, 60_000)
    const before = await countInstances(region, 'data-centre', 'regional')
    say(`torn again after ${Date.now() - mendedAt} ms with ${before} instances at the centre`)
    expect(before).toBeLessThan(studiesTotal * instancesEach)
    line.mend()
    await eventually('every image is at the centre', async () => (await countInstances(region, 'data-centre', 'regional')) === studiesTotal * instancesEach, 120_000)
    const doctor = await wang()
    await eventually('every consultation was taken and its images announced', async () => {
      const admin = await region.signIn('hospital-a', 'admin')
      const { pendingMessages } = await admin.get<LinkStatus>('/api/link')
      const { total } = await doctor.get<{ total: number }>('/api/consults?side=submitter&state=submitted&limit=1')
      return pendingMessages === 0 && total === studiesTotal
    }, 60_000)
    say(`queue empty ${Date.now() - mendedAt} ms after the line came back`)
  })

  it('leaves the same files at the centre as at the hospital, none of them stored as new twice', async () => { // AGT-16, ING-08
    const [own, centre] = await Promise.all([archiveContent(region, 'hospital-a', 'in-hospital', uids()), archiveContent(region, 'data-centre', 'regional', uids())])
    expect(centre.instances).toHaveLength(studiesTotal * instancesEach)
    expect(centre.instances).toEqual(own.instances)
    for (const { fileSm3, indexedSm3 } of centre.instances) expect(fileSm3).toBe(indexedSm3)
    expect([own.duplicates, own.replacements, centre.duplicates, centre.replacements]).toEqual([0, 0, 0, 0])
    const figures = await (await fetch(`${region.hospital('data-centre').url}/metrics`)).text()
    const stored = [...figures.matchAll(/^lianpian_archive_instances_total\{(.*)\} (\d+)$/gm)].filter(([, labels]) => labels?.includes('regional'))
    expect(stored.map(([, labels, n]) => [/outcome="(\w+)"/.exec(labels ?? '')?.[1], Number(n)])).toEqual([['stored', studiesTotal * instancesEach]])
    const expert = await region.signIn('hospital-c', 'chen')
    const offered = await eventually('C has them all', async () => {
      const { total } = await expert.get<{ total: number }>('/api/consults?side=processor&limit=1')
      return total >= studiesTotal && total
    })
    expect(offered).toBe(studiesTotal)
  })
})
