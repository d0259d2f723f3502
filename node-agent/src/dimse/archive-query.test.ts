import { type Buffer } from 'node:buffer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aSlice, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildDataset } from '../dicom/dataset.builder.ts'
import { EXPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { archiveQuery } from './archive-query.ts'
import { archiveSink } from './archive-sink.ts'
import { plainBehaviour } from './extended-negotiation.ts'
import { type Query, type QueryLevel } from './services.ts'

let test: TestArchive

async function store(dataset: Buffer, sopInstanceUid: string, sopClassUid = '1.2.840.10008.5.1.4.1.1.2'): Promise<void> {
  const writer = await archiveSink(test.archive).begin({
    sopClassUid,
    sopInstanceUid,
    transferSyntaxUid: EXPLICIT_LE,
    callingAeTitle: 'CT01',
    remoteAddress: '10.0.0.9',
  })
  await writer.write(dataset)
  await writer.commit()
}

async function find(level: QueryLevel, keys: Query['keys'], take = Infinity, extended: Partial<Query['extended']> = {}): Promise<Readonly<Record<string, string>>[]> {
  const found: Readonly<Record<string, string>>[] = []
  const cancel = new AbortController()
  for await (const match of archiveQuery(test.archive).find(
    { level, keys, extended: { ...plainBehaviour, ...extended }, callingAeTitle: 'WS01', remoteAddress: '10.0.0.8' },
    cancel.signal,
  )) {
    found.push(match)
    if (found.length >= take) cancel.abort()
  }
  return found
}

beforeAll(async () => {
  test = await testArchive()
  for (let n = 1; n <= 3; n++)
    await store(buildDataset(aSlice({ SOPInstanceUID: `2.25.30${n}`, InstanceNumber: String(n) })), `2.25.30${n}`)
  await store(
    buildDataset(
      aSlice({
        SOPInstanceUID: '2.25.401',
        StudyInstanceUID: '2.25.2',
        SeriesInstanceUID: '2.25.21',
        PatientName: 'Li^Si=李^四',
        PatientID: 'P2',
        StudyDate: '20260405',
      }),
    ),
    '2.25.401',
  )
})
afterAll(() => test.close())

describe('querying the archive by C-FIND', () => {
  // FED-21
  it('finds a study by Chinese name and tells what is in it', async () => {
    const [study, ...others] = await find('STUDY', { PatientName: '*李*', StudyInstanceUID: '' })
    expect(others).toEqual([])
    expect(study).toMatchObject({
      StudyInstanceUID: '2.25.2',
      PatientID: 'P2',
      ModalitiesInStudy: 'CT',
      NumberOfStudyRelatedSeries: '1',
      NumberOfStudyRelatedInstances: '1',
    })
  })

  it('finds by a range of dates, and nothing outside it', async () => {
    expect(await find('STUDY', { StudyDate: '20260301-20260331' })).toMatchObject([{ StudyInstanceUID: '2.25.1' }])
    expect(await find('STUDY', { StudyDate: '20250101-20250201' })).toEqual([])
  })

  it('goes down to series and images', async () => {
    expect(await find('SERIES', { StudyInstanceUID: '2.25.1' })).toMatchObject([
      { SeriesInstanceUID: '2.25.11', Modality: 'CT', NumberOfSeriesRelatedInstances: '3', PatientID: 'P1' },
    ])
    const images = await find('IMAGE', { StudyInstanceUID: '2.25.1', SeriesInstanceUID: '2.25.11' })
    expect(images.map((image) => image['SOPInstanceUID']).sort()).toEqual(['2.25.301', '2.25.302', '2.25.303'])
    expect(images[0]).toMatchObject({ Rows: '2', AvailableTransferSyntaxUID: EXPLICIT_LE })
  })

  it('lists patients for Patient Root', async () => {
    expect(await find('PATIENT', { PatientID: 'P*' })).toHaveLength(2)
  })

  it('counts what a patient has, when asked', async () => {
    // ARC-15
    expect(await find('PATIENT', { PatientID: 'P1', NumberOfPatientRelatedSeries: '', NumberOfPatientRelatedInstances: '' })).toMatchObject([
      { NumberOfPatientRelatedStudies: '1', NumberOfPatientRelatedSeries: '1', NumberOfPatientRelatedInstances: '3' },
    ])
  })

  it('takes a range of dates and one of times as moments, and names by their sound, where that was agreed', async () => {
    // ARC-15, PS3.4 C.2.2.2.5.1, C.2.2.2.1.1
    const [study] = await find('STUDY', { StudyInstanceUID: '2.25.2' })
    const at = `${study?.['StudyDate']}`
    const moments = { StudyDate: `20260301-${at}`, StudyTime: '100000-000001' }
    expect(await find('STUDY', moments)).toEqual([])
    expect((await find('STUDY', moments, Infinity, { dateTime: true })).map((each) => each['StudyInstanceUID'])).toEqual(['2.25.1'])
    expect(await find('STUDY', { PatientName: 'si li' })).toEqual([])
    expect(await find('STUDY', { PatientName: 'si li' }, Infinity, { fuzzy: true })).toMatchObject([{ StudyInstanceUID: '2.25.2' }])
  })

  it('finds a series and images by their own UID, or by several of their study, in relational queries', async () => {
    // ARC-15
    expect(await find('IMAGE', { SOPInstanceUID: '2.25.301' })).toMatchObject([{ SeriesInstanceUID: '2.25.11' }])
    expect(await find('SERIES', { StudyInstanceUID: '2.25.1\\2.25.2' })).toHaveLength(2)
  })

  it('stops when the station cancels', async () => {
    expect(await find('IMAGE', { StudyInstanceUID: '2.25.1', SeriesInstanceUID: '2.25.11' }, 1)).toHaveLength(3) // one page has been read already
  })

  it('ignores keys below the level of the query', async () => {
    expect(await find('STUDY', { SOPInstanceUID: '9.9.9' })).toHaveLength(2)
  })
})

describe('storing by C-STORE into the archive', () => {
  it('refuses a data set that is not what the command names', async () => {
    // ARC-02
    await expect(store(buildDataset(aSlice({ SOPInstanceUID: '2.25.999' })), '2.25.998')).rejects.toMatchObject({
      code: 'archive/uid-mismatch',
    })
    await expect(
      store(buildDataset(aSlice({ SOPInstanceUID: '2.25.997' })), '2.25.997', '1.2.840.10008.5.1.4.1.1.4'),
    ).rejects.toMatchObject({ code: 'archive/uid-mismatch' })
  })
})
