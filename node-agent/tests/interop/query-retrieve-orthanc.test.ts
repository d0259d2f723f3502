import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { createLog, openDatabase, type Database } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Commitments } from '../../src/commitment/commitments.ts'
import { commitmentMigrations, listCommitments } from '../../src/commitment/store.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { findAt, getFrom, moveFrom } from '../../src/dimse/scu-query.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfArchive } from '../../src/dimse/stored-instance.ts'
import { datasetIn, fixture, until } from './dimse-support.ts'
import { type Orthanc, startOrthanc } from './orthanc-support.ts'
import { type RetrieveService, startRetrieveService } from './retrieve-support.ts'

const us = { callingAeTitle: 'LIANPIAN' }
const log = createLog({ name: 'orthanc', level: 'silent' })

/** Orthanc and we ask each other: each is client once and service once (FED-25, ARC-04, ARC-15). */
describe('Orthanc and we', () => {
  let service: RetrieveService
  let orthanc: Orthanc
  let db: Database
  let commitments: Commitments
  /** In our archive, and in Orthanc's. */
  const ours = { study: '', series: '', instances: [] as string[] }
  const theirs = { study: '', instances: [] as string[] }

  beforeAll(async () => {
    service = await startRetrieveService({
      moreServices: async (archive) => {
        db = await openDatabase({ dialect: 'sqlite', file: path.join(archive.folder, 'node.sqlite') })
        await db.migrate('commitment', commitmentMigrations)
        commitments = new Commitments({
          db,
          log,
          archives: () => [archive.archive],
          sending: us,
          admit: async () => undefined,
          peerOf: async (aeTitle) => service.nodes.get(aeTitle),
          retryWaitMs: 100,
          answerWaitMs: 100,
        })
        return [commitments.service]
      },
    })
    await commitments.start()
    orthanc = await startOrthanc('ORTHANC', { us: service.peer })
    service.nodes.set('ORTHANC', orthanc.peer)
    const names = (await readdir(fixture('ct-head-tiny'))).slice(0, 8)
    for (const name of names) {
      const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = await service.store(fixture('ct-head-tiny', name))
      Object.assign(ours, { study: studyInstanceUid, series: seriesInstanceUid })
      ours.instances.push(sopInstanceUid)
    }
    await orthanc.upload(fixture('us-echo', 'I_000002.dcm'))
    const [instance = ''] = (await orthanc.get('/instances')) as string[]
    const { SOPInstanceUID, StudyInstanceUID } = (await orthanc.get(`/instances/${instance}/simplified-tags`)) as Record<string, string>
    theirs.instances.push(SOPInstanceUID ?? '')
    theirs.study = StudyInstanceUID ?? ''
  }, 60_000)
  afterAll(async () => {
    await orthanc.stop()
    await commitments.stop()
    await service.stop()
    await db.close()
  })

  it('Orthanc finds at each level here, and retrieves by C-MOVE', async () => {
    // FED-25, ARC-15
    for (const [level, query, matches] of [
      ['Patient', { PatientID: '' }, 1],
      ['Study', { StudyInstanceUID: ours.study }, 1],
      ['Series', { StudyInstanceUID: ours.study }, 1],
      ['Instance', { StudyInstanceUID: ours.study, SeriesInstanceUID: ours.series }, 8],
    ] as const) {
      const { ID } = (await orthanc.post('/modalities/us/query', { Level: level, Query: query })) as { ID: string }
      expect(await orthanc.get(`/queries/${ID}/answers`), level).toHaveLength(matches)
    }
    const { ID } = (await orthanc.post('/modalities/us/query', { Level: 'Series', Query: { StudyInstanceUID: ours.study } })) as { ID: string }
    await orthanc.post(`/queries/${ID}/answers/0/retrieve`, { TargetAet: 'ORTHANC', Synchronous: true })
    for (const uid of ours.instances) {
      const file = await service.archive.archive.open(uid)
      const here = datasetIn(await file.read(0, file.sizeBytes)).bytes
      // Orthanc writes the header anew; the pixels, 64 x 64 of two bytes, are the end of both.
      expect(datasetIn(await orthanc.fileOf(uid)).bytes.subarray(-8192).equals(here.subarray(-8192))).toBe(true)
    }
  })

  it('we find at Orthanc, and retrieve by C-MOVE and by C-GET', async () => {
    // ARC-04
    const found = []
    for await (const match of findAt(orthanc.peer, { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: theirs.study, PatientName: '', NumberOfStudyRelatedInstances: '' } }, us)) found.push(match)
    expect(found).toMatchObject([{ StudyInstanceUID: theirs.study }])
    const asked = { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: theirs.study } } as const
    expect(await moveFrom(orthanc.peer, { ...asked, destinationAeTitle: 'LIANPIAN' }, us)).toMatchObject({ status: 0, failed: 0 })
    expect((await service.archive.archive.study(theirs.study))?.instanceCount).toBe(1)
    await service.archive.archive.delete(theirs.study)
    const fetched = await getFrom(orthanc.peer, asked, archiveSink(service.archive.archive), us)
    expect(fetched).toMatchObject({ status: 0, stored: theirs.instances, refused: [] })
    expect((await service.archive.archive.study(theirs.study))?.instanceCount).toBe(1)
  })

  it('Orthanc asks whether we keep what it sent, and is told', async () => {
    // ARC-22: Orthanc's own client of storage commitment, and its own report service
    const { ID } = (await orthanc.post('/modalities/us/storage-commitment', {
      DicomInstances: [...ours.instances.slice(0, 2), '2.25.404'].map((SOPInstanceUID) => ({ SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', SOPInstanceUID })),
    })) as { ID: string }
    const report = async () => (await orthanc.get(`/storage-commitment/${ID}`)) as { Status: string; Success?: unknown[]; Failures?: { SOPInstanceUID: string }[] }
    await until('the report has come', async () => (await report()).Status !== 'Pending')
    expect(await report()).toMatchObject({ Status: 'Failure', Failures: [{ SOPInstanceUID: '2.25.404' }] })
    expect((await report()).Success).toHaveLength(2)
  })

  it('we ask whether Orthanc keeps what we sent, and are told', async () => {
    // ARC-17, AGT-09
    const rows = await service.archive.archive.manifest(ours.study)
    await sendInstances(orthanc.peer, rows.map((row) => instanceOfArchive(service.archive.archive, row)), us) // prettier-ignore
    const instances = rows.map(({ sopClassUid, sopInstanceUid }) => ({ sopClassUid, sopInstanceUid }))
    const uid = await db.write((tx) => commitments.ask(tx, { nodeId: 'n', aeTitle: 'ORTHANC', instances }))
    const state = async () => (await listCommitments(db, { limit: 10 })).rows.find(({ transactionUid }) => transactionUid === uid)
    await until('Orthanc has answered', async () => ['done', 'failed'].includes((await state())?.state ?? ''), 20_000)
    expect(await state()).toMatchObject({ state: 'done', committed: 8, failed: 0 })
  })
})
