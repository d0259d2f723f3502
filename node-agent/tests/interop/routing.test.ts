import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, openDatabase, type AuditTrail, type Database } from 'service-kit'
import { DicomNode, ExamRegistration, RegionId, RoutingRuleInput } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { Acquisition } from '../../src/acquisition/query-retrieve/engine.ts'
import { listRuns, wasFetched } from '../../src/acquisition/query-retrieve/store.ts'
import { acquisitionMigrations } from '../../src/acquisition/query-retrieve/tables.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { createCodecPool, type Codecs } from '../../src/dicom/render/codec-pool.ts'
import { transcode } from '../../src/dicom/transcode/transcode.ts'
import type { AskedCommitment } from '../../src/commitment/commitments.ts'
import { addNode, dicomNodeMigrations } from '../../src/dicom-node/store.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { ExamIntake } from '../../src/exam/intake.ts'
import { examMigrations, registerExam } from '../../src/exam/store.ts'
import { listForwards } from '../../src/routing/forward-store.ts'
import { Forwarder } from '../../src/routing/forwarder.ts'
import { localDate, Router } from '../../src/routing/router.ts'
import { listLog } from '../../src/routing/routing-log.ts'
import { addRule, limitOf, setLimit } from '../../src/routing/rule-store.ts'
import { routingMigrations } from '../../src/routing/tables.ts'
import { run as runTool, startReceiver, until, type Receiver } from './dimse-support.ts'
import { makeStudy, startDcmqrscp, type MadeStudy } from './older-pacs.ts'
import { startDestination, type Destination } from './retrieve-support.ts'

const noAudit: AuditTrail = { record: async () => undefined, note: () => undefined, within: async () => undefined, patientKey: () => '', available: true }
const log = createLog({ name: 'test', level: 'silent' })
const DAY = 86_400_000

let folder: string
let db: Database
let us: Receiver
let station: Destination
let stationId: string
let codecs: Codecs
const asked: AskedCommitment[] = []
let parts: Awaited<ReturnType<typeof startParts>>

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-routing-'))
  db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
  await db.migrate('exam', examMigrations)
  await db.migrate('dicom-node', dicomNodeMigrations)
  await db.migrate('routing', routingMigrations)
  await db.migrate('acquisition', acquisitionMigrations)
  us = await startReceiver()
  codecs = createCodecPool({ log, threads: 1 })
  asked.length = 0
  station = await startDestination('AE2')
  stationId = await aNode(station.peer)
  parts = await startParts()
})
afterEach(async () => {
  await parts.stop()
  await station.stop()
  await codecs.close()
  await us.stop()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** Everything of a node that routing needs, over the archive of `us`. */
async function startParts() {
  const { archive } = us.archive
  const forwarder: Forwarder = new Forwarder({
    db, log,
    archiveOf: () => archive,
    callingAeTitle: 'LIANPIAN',
    retryWaitMs: 100,
    maxRetryWaitMs: 500,
    transcode: (file, syntax) => transcode(file, syntax, { codecs }),
    limitsOf: (nodeId) => limitOf(db, nodeId),
    mayRunAt: async (job) => router.mayRunAt(job),
    onEnd: (job, row) => router.delivered(job, row),
  }) // prettier-ignore
  const acquisition: Acquisition = new Acquisition({ db, log, archive, audit: noAudit, aeTitle: () => 'LIANPIAN', storage: archiveSink(archive), retryWaitMs: 100, onEnd: (run, ended) => void router.priorsFetched(run.wants, ended) })
  const router: Router = new Router({ db, log, audit: noAudit, archive, forwarder: () => forwarder, wantPriors: (tx, wanted) => acquisition.wantPriors(tx, wanted), wasFetched: (study) => wasFetched(db, study), askCommitment: async (_tx, what) => `2.25.${asked.push(what)}`, tickMs: 50 })
  const intake = new ExamIntake({ db, archive, log, onChange: (examId) => router.examChanged(examId) })
  await intake.start()
  await forwarder.start()
  await router.start()
  await acquisition.start()
  return {
    router,
    forwarder,
    stop: async () => {
      await intake.stop()
      await acquisition.stop()
      await router.stop()
      await forwarder.stop()
    },
  }
}

async function aNode({ aeTitle, host, port }: { aeTitle: string; host: string; port: number }): Promise<string> {
  return (await db.write((tx) => addNode(tx, DicomNode.parse({ aeTitle, host, port }), 1))).id
}
async function aRule(rule: Partial<z.input<typeof RoutingRuleInput>>): Promise<string> {
  const input = RoutingRuleInput.parse({ name: '规则', event: 'study-received', quietSeconds: 1, action: { kind: 'send', nodeIds: [stationId] }, ...rule })
  const added = await db.write((tx) => addRule(tx, input, '管理员', Date.now()))
  await parts.router.reload()
  return added.id
}
const sendAs = async (aeTitle: string, { files }: MadeStudy) => {
  const { code, output } = await runTool('storescu', ['-aet', aeTitle, '-aec', 'LIANPIAN', '127.0.0.1', String(us.port), ...files.map((file) => file.path)])
  if (code !== 0) throw new Error(output)
}
const decisions = async () => (await listLog(db, { limit: 100 })).rows.map(({ outcome }) => outcome).sort()
const forwards = async () => (await listForwards(db, { limit: 100 })).rows

describe('routing by rules', () => {
  it('sends CT from AE1 to AE2 by itself, nothing else, and writes down why', async () => {
    // ARC-17: storescu as AE1 and AE3, storescp of DCMTK as AE2
    await aRule({ name: 'AE1 的 CT 送 AE2', when: { callingAeTitles: ['AE1'], modalities: ['CT'] } })
    const [ct, other] = [await makeStudy(folder, 1, 5), await makeStudy(folder, 2, 2)]
    await sendAs('AE3', other)
    await sendAs('AE1', ct)
    await until('the delivery is logged', async () => (await decisions()).includes('delivered'))
    expect(await station.files()).toHaveLength(5)
    expect(await forwards()).toMatchObject([{ studyInstanceUid: ct.studyInstanceUid, aeTitle: 'AE2', ruleName: 'AE1 的 CT 送 AE2', state: 'done', instancesDone: 5 }])
    const { rows } = await listLog(db, { outcome: 'queued', limit: 9 })
    expect(rows).toMatchObject([{ studyInstanceUid: ct.studyInstanceUid, facts: { because: { callingAeTitles: ['AE1'], modalities: ['CT'] }, to: ['AE2'] } }])
    // One slice later: only that one goes.
    await sendAs('AE1', { ...ct, files: (await makeStudy(folder, 1, 6)).files.slice(5) })
    await until('the new slice is there', async () => (await station.files()).length === 6)
  })

  it('never sends back to who sent it, and what comes back changed from where we sent it goes no further', async () => {
    // ARC-17
    const [other, third] = [await startDestination('AE1'), await startDestination('AE4')]
    try {
      await aRule({ action: { kind: 'send', nodeIds: [stationId, await aNode(other.peer)] } })
      const study = await makeStudy(folder, 1, 2)
      await sendAs('AE1', study)
      await until('AE2 has it', async () => (await station.files()).length === 2)
      await aRule({ action: { kind: 'send', nodeIds: [await aNode(third.peer)] } })
      // AE2 has changed it and sends it to us again.
      await sendAs('AE2', await makeStudy(folder, 1, 2, { StudyDescription: 'changed' }))
      await until('the loop is noticed', async () => (await decisions()).filter((outcome) => outcome === 'loop').length >= 3)
      expect([(await other.files()).length, (await third.files()).length]).toEqual([0, 0])
      // What it made of the study is news: it goes on, with the rest of the study, but not back to AE2.
      await sendAs('AE2', { ...study, files: (await makeStudy(folder, 1, 3)).files.slice(2) })
      await until('the new image is at AE4', async () => (await third.files()).length === 3)
      expect(await station.files()).toHaveLength(2)
    } finally {
      await other.stop()
      await third.stop()
    }
  })

  it('sends only the series that are wanted', async () => {
    // ARC-17
    await aRule({ action: { kind: 'send', nodeIds: [stationId], seriesModalities: ['SR'] } })
    await sendAs('AE1', await makeStudy(folder, 1, 2))
    await until('it is delivered', async () => (await decisions()).includes('delivered'))
    expect(await station.files()).toEqual([])
  })

  it('reaches a node that does not take what is stored, and asks it to answer for what it got', async () => {
    // ARC-17: storescp of DCMTK that takes Implicit VR only
    const plain = await startDestination('PLAIN', '+xi')
    try {
      const nodeId = await aNode(plain.peer)
      await aRule({ action: { kind: 'send', nodeIds: [nodeId], commitment: true } })
      const study = await makeStudy(folder, 1, 2)
      await sendAs('AE1', study)
      await until('the node is asked', () => asked.length === 1)
      expect(await plain.syntaxes()).toEqual(['1.2.840.10008.1.2', '1.2.840.10008.1.2'])
      expect(asked[0]).toMatchObject({ nodeId, aeTitle: 'PLAIN' })
      expect(asked[0]?.instances.map(({ sopInstanceUid }) => sopInstanceUid).sort()).toEqual(study.files.map(({ sopInstanceUid }) => sopInstanceUid).sort())
    } finally {
      await plain.stop()
    }
  })

  it('judges after a restart what became quiet while nobody ran', async () => {
    // ARC-17
    await aRule({ quietSeconds: 2 })
    await sendAs('AE1', await makeStudy(folder, 1, 3))
    await parts.stop()
    parts = await startParts()
    await until('it is delivered', async () => (await decisions()).includes('delivered'))
    expect(await station.files()).toHaveLength(3)
  })

  it('tries again while the node is away, and leaves it to a person in the end, who may also take it out of the queue', async () => {
    // ARC-17
    const goneId = await aNode({ aeTitle: 'GONE', host: '127.0.0.1', port: 1 })
    await aRule({ action: { kind: 'send', nodeIds: [goneId] } })
    await sendAs('AE1', await makeStudy(folder, 1, 1))
    const isTriedAgain = async () => (await forwards()).some(({ state, attempts, problem }) => state === 'retrying' && attempts >= 2 && problem?.code === 'dimse/unreachable')
    await until('it is tried again', isTriedAgain)
    await db.run('UPDATE dicom_forward SET give_up_at = $1', [Date.now()])
    await until('a person has to look', async () => (await forwards())[0]?.state === 'failed')
    await until('the failure is logged', async () => (await decisions()).includes('failed'))
    const { id } = (await forwards())[0]!
    expect((await parts.forwarder.cancel(id)).state).toBe('cancelled')
  })

  it('waits for the time window of its rule', async () => {
    // ARC-17
    const hour = (offset: number) => `${String((new Date().getHours() + offset) % 24).padStart(2, '0')}:00`
    const ruleId = await aRule({ windows: [{ from: hour(2), to: hour(3) }] })
    await sendAs('AE1', await makeStudy(folder, 1, 1))
    await until('it is queued', async () => (await forwards()).length === 1)
    expect((await forwards())[0]).toMatchObject({ state: 'waiting', instancesDone: 0 })
    expect((await forwards())[0]?.nextAttemptAt).toBeGreaterThan(Date.now() + 3_600_000)
    const { id } = (await forwards())[0]!
    await parts.forwarder.retry(id) // still not before its time
    await until('it waits again', async () => ((await forwards())[0]?.nextAttemptAt ?? 0) > Date.now() + 3_600_000)
    await db.run('UPDATE routing_rule SET removed_at = 1 WHERE rule_id = $1', [ruleId])
    await parts.router.reload()
    await parts.forwarder.retry(id)
    await until('it is sent', async () => (await station.files()).length === 1)
  })

  it('over a narrow line takes its time, and nothing fails', async () => {
    // ARC-10: 400 KB at 200 KB/s, while images go on being received
    await db.write((tx) => setLimit(tx, stationId, { associations: 2, kilobytesPerSecond: 200 }))
    await aRule({})
    const study = await makeStudy(folder, 1, 4)
    for (const [n, { path: file, sopInstanceUid }] of study.files.entries())
      await writeFile(file, buildFile(aSlice({ StudyInstanceUID: study.studyInstanceUid, SOPInstanceUID: sopInstanceUid, InstanceNumber: String(n), Rows: 250, Columns: 200, PixelData: new Uint8Array(100_000).fill(n) })))
    await sendAs('AE1', study)
    await until('it is under way', async () => (await forwards())[0]?.state === 'running')
    const began = performance.now()
    await sendAs('AE3', await makeStudy(folder, 2, 3))
    await until('it is delivered', async () => (await decisions()).includes('delivered'))
    expect(performance.now() - began).toBeGreaterThan(1_500)
    expect((await forwards()).find(({ studyInstanceUid }) => studyInstanceUid === study.studyInstanceUid)).toMatchObject({ state: 'done', attempts: 1 })
  }, 20_000)
})

describe('prefetch for a new exam', () => {
  const register = () => {
    const texts = { patientSex: '', patientBirthDate: '', description: '', studyDate: '', studyTime: '', clinicalHistory: '', reportFindings: '', reportImpression: '' } as const
    const registration = ExamRegistration.parse({ ...texts, patientId: 'P1', patientName: '张三', modality: 'CT', bodyPart: '胸部', accessionNumber: 'N1', studyInstanceUid: null })
    return db.write((tx) => registerExam(tx, registration, RegionId.parse('unassigned'), Date.now()))
  }

  it('sends earlier studies of the same body part that are here to a station', async () => {
    // ARC-17
    await sendAs('AE1', await makeStudy(folder, 1, 2, { StudyDate: localDate(Date.now() - 100 * DAY) }))
    await sendAs('AE1', await makeStudy(folder, 2, 2, { StudyDate: localDate(Date.now() - 200 * DAY), BodyPartExamined: 'KNEE', StudyDescription: '膝关节' }))
    await sendAs('AE1', await makeStudy(folder, 3, 2, { StudyDate: localDate(Date.now() - 300 * DAY), PatientID: 'P2' }))
    await until('the exams are entered', async () => (await db.all('SELECT exam_id FROM exam')).length === 3)
    await aRule({ name: '新检查预取', event: 'exam-new', action: { kind: 'send-priors', nodeIds: [stationId] } })
    const examId = await register()
    parts.router.examChanged(examId)
    parts.router.examChanged(examId)
    await until('it is delivered', async () => (await decisions()).includes('delivered'))
    expect((await forwards()).map(({ studyInstanceUid }) => studyInstanceUid)).toEqual(['2.25.771'])
    expect(await station.files()).toHaveLength(2)
    expect(await decisions()).toEqual(['delivered', 'queued'])
  })

  it('fetches earlier studies from an older PACS, which are no new exams themselves', async () => {
    // ARC-17, ARC-04
    const pacs = await startDcmqrscp({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: us.port })
    try {
      const old = [
        await makeStudy(folder, 1, 3, { StudyDate: localDate(Date.now() - 100 * DAY) }),
        await makeStudy(folder, 2, 3, { StudyDate: localDate(Date.now() - 4_000 * DAY) }),
        await makeStudy(folder, 3, 3, { StudyDate: localDate(Date.now() - 100 * DAY), PatientID: 'P2' }),
      ]
      await pacs.fill(old.flatMap(({ files }) => files))
      await aRule({ name: '向旧 PACS 预取', event: 'exam-new', action: { kind: 'fetch-priors', sourceNodeId: await aNode(pacs.peer) } })
      parts.router.examChanged(await register())
      await until('it is fetched', async () => (await decisions()).includes('fetched'), 20_000)
      expect((await us.archive.archive.studies()).map(({ studyInstanceUid }) => studyInstanceUid)).toEqual(['2.25.771'])
      await until('the exam of the old study is entered', async () => (await db.all('SELECT exam_id FROM exam')).length === 2)
      await parts.stop()
      parts = await startParts()
      expect(await listRuns(db, { limit: 9 })).toMatchObject([{ trigger: 'prefetch', state: 'complete', studies: 1, instancesFetched: 3 }])
      expect(await decisions()).toEqual(['asked', 'fetched'])
    } finally {
      await pacs.stop()
    }
  }, 40_000)
})
