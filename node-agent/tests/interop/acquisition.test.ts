import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, openDatabase, type AuditTrail, type Database } from 'service-kit'
import { AcquisitionJobInput, DicomNode, type AcquisitionRun } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Acquisition } from '../../src/acquisition/query-retrieve/engine.ts'
import { addStudies, listRuns, listStudies, saveJob, wasFetched } from '../../src/acquisition/query-retrieve/store.ts'
import { acquisitionMigrations } from '../../src/acquisition/query-retrieve/tables.ts'
import { addNode, dicomNodeMigrations } from '../../src/dicom-node/store.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { localDate } from '../../src/routing/router.ts'
import { fixture, run as runTool, startReceiver, until, type Receiver } from './dimse-support.ts'
import { loseFile, makeStudy, startDcmqrscp, startOrthanc, type MadeStudy, type OlderPacs } from './older-pacs.ts'

const DAY = 86_400_000
const noAudit: AuditTrail = { record: async () => undefined, note: () => undefined, within: async () => undefined, patientKey: () => '', available: true }

let folder: string
let db: Database
let us: Receiver
let engines: Acquisition[]

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-acquisition-'))
  db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
  await db.migrate('dicom-node', dicomNodeMigrations)
  await db.migrate('acquisition', acquisitionMigrations)
  us = await startReceiver()
  engines = []
})
afterEach(async () => {
  for (const engine of engines) await engine.stop()
  await us.stop()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

async function startEngine(): Promise<Acquisition> {
  const { archive } = us.archive
  const log = createLog({ name: 'test', level: 'silent' })
  const engine = new Acquisition({ db, log, archive, audit: noAudit, aeTitle: () => 'LIANPIAN', storage: archiveSink(archive), retryWaitMs: 100, maxRetryWaitMs: 300 })
  engines.push(engine)
  await engine.start()
  return engine
}
const usAsPeer = () => ({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: us.port })

async function aJob(pacs: OlderPacs, job: Record<string, unknown> = {}): Promise<string> {
  const { aeTitle, host, port } = pacs.peer
  const node = await db.write((tx) => addNode(tx, DicomNode.parse({ aeTitle, host, port }), 1))
  const kept = await db.write((tx) => saveJob(tx, undefined, AcquisitionJobInput.parse({ name: '昨日检查', sourceNodeId: node.id, ...job }), null, 1))
  return kept.id
}
const theRun = async (runId: string): Promise<AcquisitionRun> => (await listRuns(db, { runId, limit: 1 }))[0]!
const ended = (runId: string) => until('the run ends', async () => (await theRun(runId)).endedAt !== null, 40_000)
const held = async (study: string) => (await us.archive.archive.study(study as never))?.instanceCount ?? 0
const duplicates = async (study: string) => (await us.archive.archive.study(study as never))?.duplicateCount ?? 0

describe('yesterday at Orthanc, while a modality sends', () => {
  let pacs: OlderPacs
  let made: MadeStudy[]

  afterEach(() => pacs.stop())

  it('both sets come whole, and a second run fetches nothing twice', async () => {
    // ARC-04, FED-25: a scheduled C-FIND/C-MOVE beside a C-STORE of storescu
    pacs = await startOrthanc(usAsPeer())
    const yesterday = { StudyDate: localDate(Date.now() - DAY) }
    made = [await makeStudy(folder, 1, 12, yesterday), await makeStudy(folder, 2, 7, yesterday), await makeStudy(folder, 3, 3, { StudyDate: localDate(Date.now()) })]
    await pacs.fill(made.flatMap(({ files }) => files))
    const engine = await startEngine()
    const jobId = await aJob(pacs, { selection: { modalities: ['CT'] } })
    const modality = (await readdir(fixture('ct-head-tiny'))).filter((name) => name.endsWith('.dcm')).slice(0, 40)
    const sending = runTool('storescu', ['-aet', 'CT2', '-aec', 'LIANPIAN', '127.0.0.1', String(us.port), ...modality.map((name) => fixture('ct-head-tiny', name))])
    const runId = await engine.runNow(jobId)
    const [sent] = await Promise.all([sending, ended(runId)])
    expect(sent.code).toBe(0)
    expect(await theRun(runId)).toMatchObject({ state: 'complete', studies: 2, complete: 2, instancesFetched: 19, instancesHeld: 0, problem: null })
    expect([await held('2.25.771'), await held('2.25.772'), await held('2.25.773')]).toEqual([12, 7, 0])
    expect(us.archive.archive.totals().instances).toBe(19 + modality.length)
    expect([await wasFetched(db, '2.25.771'), await wasFetched(db, '2.25.773')]).toEqual([true, false])

    // The source got one image more since: only that one comes.
    const more = await makeStudy(folder, 2, 8, yesterday)
    await pacs.fill(more.files.slice(7))
    const again = await engine.runNow(jobId)
    await ended(again)
    expect(await theRun(again)).toMatchObject({ state: 'complete', studies: 2, complete: 2, instancesFetched: 1, instancesHeld: 19 })
    expect([await duplicates('2.25.771'), await duplicates('2.25.772')]).toEqual([0, 0])
  }, 60_000)
})

describe('dcmqrscp of DCMTK as the source', () => {
  let pacs: OlderPacs
  afterEach(() => pacs.stop())

  it('is fetched from by C-GET, and of a study that is half here only the other half', async () => {
    // ARC-04
    pacs = await startDcmqrscp(usAsPeer())
    const study = await makeStudy(folder, 1, 10)
    await pacs.fill(study.files)
    const engine = await startEngine()
    const own = await runTool('storescu', ['-aet', 'CT1', '-aec', 'LIANPIAN', '127.0.0.1', String(us.port), ...study.files.slice(0, 4).map((file) => file.path)])
    expect(own.code).toBe(0)
    const runId = await engine.runNow(await aJob(pacs, { method: 'get', selection: { dates: { kind: 'any' } } }))
    await ended(runId)
    expect(await theRun(runId)).toMatchObject({ state: 'complete', instancesFetched: 6, instancesHeld: 4 })
    expect((await listStudies(db, runId))[0]).toMatchObject({ proof: 'instances', expected: 10, held: 10, heldBefore: 4, missing: [] })
    expect([await held(study.studyInstanceUid), await duplicates(study.studyInstanceUid)]).toEqual([10, 0])
  }, 60_000)

  it('dies in the middle: the run waits, says why, and goes on at the study where it stopped, even after a restart of ours', async () => {
    // ARC-04
    pacs = await startDcmqrscp(usAsPeer())
    const made = []
    for (let number = 1; number <= 8; number++) made.push(await makeStudy(folder, number, 3))
    await pacs.fill(made.flatMap(({ files }) => files))
    const engine = await startEngine()
    const runId = await engine.runNow(await aJob(pacs, { selection: { dates: { kind: 'any' } }, pauseSeconds: 1 }))
    await until('the first study is here', async () => (await theRun(runId)).complete >= 1, 20_000)
    await pacs.kill()
    await until('the run waits', async () => (await theRun(runId)).state === 'waiting' && (await theRun(runId)).problem !== null, 20_000)
    expect(await theRun(runId)).toMatchObject({ problem: { code: 'dimse/unreachable', title: '无法连接 DICOM 节点' }, endedAt: null })
    await engine.stop()
    await db.run(`UPDATE acquisition_run SET body = REPLACE(body, '"pauseSeconds":1', '"pauseSeconds":0')`) // enough waited
    await pacs.startAgain()
    await startEngine()
    await ended(runId)
    expect(await theRun(runId)).toMatchObject({ state: 'complete', studies: 8, complete: 8, instancesFetched: 24 })
    for (const { studyInstanceUid } of made) expect([await held(studyInstanceUid), await duplicates(studyInstanceUid)]).toEqual([3, 0])
  }, 60_000)

  it('that has lost a file makes the study partial, with the instance named, and a retry asks for it alone', async () => {
    // ARC-04
    pacs = await startDcmqrscp(usAsPeer())
    const study = await makeStudy(folder, 1, 6)
    await pacs.fill(study.files)
    await loseFile(pacs, 1)
    const engine = await startEngine()
    const runId = await engine.runNow(await aJob(pacs, { selection: { dates: { kind: 'any' } }, retries: 1 }))
    await ended(runId)
    const [row] = await listStudies(db, runId)
    expect(await theRun(runId)).toMatchObject({ state: 'partial', partial: 1 })
    expect(row).toMatchObject({ state: 'partial', expected: 6, held: 5, attempts: 2, problem: { code: 'acquisition/incomplete' } })
    expect(row?.missing).toHaveLength(1)
    const missing = study.files.find(({ sopInstanceUid }) => sopInstanceUid === row?.missing[0])
    expect(missing).toBeDefined()
    await pacs.fill([missing!])
    await engine.retry(runId)
    await until('the retry ends', async () => (await theRun(runId)).state === 'complete', 20_000)
    expect([await held(study.studyInstanceUid), await duplicates(study.studyInstanceUid)]).toEqual([6, 0])
  }, 60_000)

  it('that does not know us says so at once', async () => {
    // ARC-04
    pacs = await startDcmqrscp({ ...usAsPeer(), aeTitle: 'ANOTHER' })
    await pacs.fill((await makeStudy(folder, 1, 1)).files)
    const engine = await startEngine()
    const runId = await engine.runNow(await aJob(pacs, { selection: { dates: { kind: 'any' } }, retries: 0 }))
    await ended(runId)
    expect(await theRun(runId)).toMatchObject({ state: 'failed', failed: 1 })
    expect((await listStudies(db, runId))[0]).toMatchObject({ state: 'failed', problem: { code: 'dimse/failed-at-peer' } })
  }, 60_000)
})

describe('a run', () => {
  it('is broken off by a person and stays so', async () => {
    // ARC-04
    const engine = await startEngine()
    const jobId = await aJob({ peer: { aeTitle: 'GONE', host: '127.0.0.1', port: 1 } } as OlderPacs)
    const runId = await engine.runNow(jobId)
    await db.write((tx) => addStudies(tx, runId, [{ studyInstanceUid: '2.25.1', patientId: '', studyDate: '', modalities: 'CT', toldInstances: null }], 1))
    await engine.cancel(runId)
    expect(await theRun(runId)).toMatchObject({ state: 'cancelled' })
    expect((await listStudies(db, runId))[0]).toMatchObject({ state: 'cancelled' })
  })

  it('of a schedule begins by itself, once for the same days while its source is away', async () => {
    // ARC-04
    const jobId = await aJob({ peer: { aeTitle: 'GONE', host: '127.0.0.1', port: 1 } } as OlderPacs, { schedule: { kind: 'every', minutes: 1 } })
    await db.run('UPDATE acquisition_job SET next_run_at = 1 WHERE job_id = $1', [jobId])
    const engine = await startEngine()
    await until('the run waits', async () => (await listRuns(db, { limit: 9 }))[0]?.state === 'waiting')
    await db.run('UPDATE acquisition_job SET next_run_at = 1 WHERE job_id = $1', [jobId])
    engine.reschedule()
    await until('the job is due later again', async () => ((await db.get<{ at: number }>('SELECT next_run_at AS "at" FROM acquisition_job'))?.at ?? 0) > Date.now())
    expect(await listRuns(db, { limit: 9 })).toMatchObject([{ trigger: 'schedule', state: 'waiting', problem: { code: 'dimse/unreachable' } }])
  })
})
