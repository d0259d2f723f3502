import { StudyList } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aService, doctor, signIn, type TestService } from '../../../service-kit/tests/support/service.ts'
import { sendSlice, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import type { BuiltDataset } from '../dicom/dataset.builder.ts'
import { addStudyRoutes } from './routes.ts'

let test: TestArchive
let service: TestService
let list: (query?: Record<string, string>) => Promise<StudyList>
const hidden = new Set<string>()

beforeEach(async () => {
  hidden.clear()
  test = await testArchive()
  service = await aService()
  const permitted = (studies: readonly string[]) => Promise.resolve(new Set(studies.filter((study) => !hidden.has(study))))
  addStudyRoutes(service.face, { source: { qido: () => [test.archive], permitted: (_user, _archive, studies) => permitted(studies), allPermitted: () => Promise.resolve(undefined) } })
  const url = await service.start()
  const { bearer } = await signIn(url, doctor)
  list = async (query = {}) => {
    const answer = await fetch(`${url}/api/studies?${new URLSearchParams(query).toString()}`, { headers: bearer })
    expect(answer.status, await answer.clone().text()).toBe(200)
    return StudyList.parse(await answer.json())
  }
})
afterEach(async () => {
  await service.stop()
  await test.close()
})

const store = (number: number, changes: BuiltDataset = {}) =>
  sendSlice(test.archive, { StudyInstanceUID: `2.25.${number}`, SeriesInstanceUID: `2.25.${number}1`, SOPInstanceUID: `2.25.${number}2`, AccessionNumber: `A${number}`, PatientID: `P10002000${number}`, ...changes })
const uids = ({ rows }: StudyList) => rows.map(({ studyInstanceUid }) => studyInstanceUid)

describe('the list of studies', () => {
  it('is found by name, number, device, body part and date at once, with names masked', async () => {
    // ARC-16, ARC-23, SEC-06
    await store(1, { StationName: 'CT-A', BodyPartExamined: 'CHEST', StudyDate: '20260301' })
    await store(2, { PatientName: 'Li^Si=李^四', StationName: 'CT-B', BodyPartExamined: 'ABDOMEN', StudyDate: '20260302' })
    expect(uids(await list())).toEqual(['2.25.2', '2.25.1'])
    expect(uids(await list({ text: 'A1' }))).toEqual(['2.25.1'])
    expect(uids(await list({ text: 'P100020002' }))).toEqual(['2.25.2'])
    expect(uids(await list({ text: '李四' }))).toEqual(['2.25.2'])
    expect(uids(await list({ text: 'zhang' }))).toEqual(['2.25.1'])
    expect(uids(await list({ text: 'zhang', device: 'B' }))).toEqual([])
    expect(uids(await list({ device: 'CT', bodyPart: 'abdo', modality: 'ct', dateFrom: '2026-03-02' }))).toEqual(['2.25.2'])
    const [row] = (await list({ text: 'A1' })).rows
    expect(row).toMatchObject({ patientName: '张*', devices: ['CT-A'], bodyParts: ['CHEST'], modalities: ['CT'], seriesCount: 1, instanceCount: 1, description: '胸部平扫' })
    expect(row?.patientBirthDate).not.toContain('0101')
  })

  it('comes page by page, and leaves out what this person may not see', async () => {
    // ARC-16
    for (let number = 1; number <= 7; number += 1) await store(number, { StudyDate: number < 6 ? '20260301' : '', StudyTime: `10150${number}` })
    hidden.add('2.25.4')
    const seen: string[] = []
    let next: string | null = null
    do {
      const page: StudyList = await list({ limit: '2', ...(next !== null && { after: next }) })
      seen.push(...uids(page))
      next = page.next
    } while (next !== null && seen.length < 20)
    expect(seen).toEqual(['2.25.5', '2.25.3', '2.25.2', '2.25.1', '2.25.7', '2.25.6'])
  })
})
