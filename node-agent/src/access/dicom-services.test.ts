import { createLog, type Database } from 'service-kit'
import { type HospitalKind } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aSlice, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildFile } from '../dicom/dataset.builder.ts'
import { AccessControl } from './access-control.ts'
import { A, CENTRE, noRules } from './builders.ts'
import { retrieveFor } from './dicom-services.ts'
import { type DeviceRights } from './policy/subject.ts'

const workstation: DeviceRights = [{ permissions: ['retrieve'], scope: {}, labels: [] }]
const query = { level: 'STUDY', keys: { StudyInstanceUID: '2.25.1' }, callingAeTitle: 'WS01', remoteAddress: '10.0.0.8' } as const

describe('what a device of the house may fetch from the regional archive', () => {
  let inHospital: TestArchive
  let regional: TestArchive
  beforeAll(async () => {
    inHospital = await testArchive()
    regional = await testArchive({ name: 'regional' })
    const incoming = await regional.archive.receive({ kind: 'transfer', peer: A, owner: A }, { part10: true })
    await incoming.write(buildFile(aSlice({ StudyInstanceUID: '2.25.1' })))
    await incoming.commit()
  })
  afterAll(async () => {
    await inHospital.close()
    await regional.close()
  })

  function fetched(kinds: readonly HospitalKind[], device: DeviceRights | undefined) {
    const access = new AccessControl({
      db: undefined as unknown as Database, // no grant is looked up for a device
      log: createLog({ name: 'test', level: 'silent' }),
      hospitalId: CENTRE,
      kinds: () => kinds,
      tasksOfStudy: async () => [],
      policy: noRules,
      factsOf: async () => undefined,
    })
    const parts = { access, inHospital: inHospital.archive, regional: regional.archive, rightsOf: async () => device, register: { permitted: async () => new Set<string>() } }
    const source = retrieveFor(parts as unknown as Parameters<typeof retrieveFor>[0], () => Promise.reject(new Error('not transcoded')))
    return source.instancesOf(query, new AbortController().signal)
  }

  it('is the region’s stock at a data centre, and nothing of the copies on loan at a hospital', async () => {
    // FED-21, FED-25, FED-33
    expect(await fetched(['data-centre'], workstation)).toMatchObject([{ studyInstanceUid: '2.25.1' }])
    expect(await fetched(['submitter', 'processor'], workstation)).toEqual([])
    expect(await fetched(['data-centre'], [{ permissions: ['retrieve'], scope: { modalities: ['US'] }, labels: [] }])).toEqual([]) // a narrow scope says nothing about other hospitals' exams
  })

  it('is nothing for who may not retrieve, and it is told so', async () => {
    await expect(fetched(['data-centre'], [{ permissions: ['store', 'query'], scope: {}, labels: [] }])).rejects.toMatchObject({ code: 'access/forbidden' })
    await expect(fetched(['data-centre'], undefined)).rejects.toMatchObject({ code: 'dimse/unknown-ae' })
  })
})
