import type { Database } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RegionId } from 'specs'
import { buildFile, type BuiltDataset } from '../dicom/dataset.builder.ts'
import type { MatchQuery } from './archive.ts'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from './archive.builder.ts'
import { attributeByKeyword } from './attributes.ts'
import { IndexQueries } from './index-queries.ts'
import { parsePredicate, predicateHolds, unmatchedKeywords } from './matching.ts'

/** What the index must do on every database we ship. */
export function archiveContract(name: string, newDatabase: () => Promise<Database | undefined>): void {
  describe(`the index of an archive on ${name}`, () => {
    let test: TestArchive
    const studies: readonly BuiltDataset[] = [
      {
        PatientID: 'P1',
        PatientName: 'Zhang^San=张^三',
        StudyDate: '20260301',
        StudyTime: '101500',
        AccessionNumber: 'A1',
        StudyDescription: '胸部平扫',
        Modality: 'CT',
      },
      {
        PatientID: 'P2',
        PatientName: 'ZHANG^SI=张^四',
        StudyDate: '20260302',
        StudyTime: '080000.5',
        AccessionNumber: 'A2',
        StudyDescription: 'Head [plain]',
        Modality: 'MR',
        BodyPartExamined: 'HEAD',
      },
      {
        PatientID: 'p3',
        PatientName: 'Müller^Jürgen',
        StudyDate: '20260331',
        StudyTime: '235959',
        AccessionNumber: 'B%3',
        StudyDescription: '100%_sure',
        Modality: 'US',
      },
      {
        PatientID: 'P1',
        PatientName: 'Other^Person',
        PatientSex: 'F',
        StudyDate: '',
        StudyTime: '',
        AccessionNumber: '',
        StudyDescription: '',
        Modality: 'DX',
      },
    ]
    const uid = (study: number, series = 0, instance = 0) => ({
      StudyInstanceUID: `2.25.${study}`,
      SeriesInstanceUID: `2.25.${study}.${series}`,
      SOPInstanceUID: `2.25.${study}.${series}.${instance}`,
    })

    beforeAll(async () => {
      const db = await newDatabase()
      test = await testArchive(db ? { db } : {})
      // All at once: registered in groups, whatever the order.
      await Promise.all(
        studies.flatMap((study, index) => [
          sendSlice(test.archive, { ...study, ...uid(index + 1, 1, 1), SeriesNumber: '1' }),
          sendSlice(test.archive, { ...study, ...uid(index + 1, 1, 2), SeriesNumber: '1', InstanceNumber: '10' }),
          sendSlice(test.archive, { ...study, ...uid(index + 1, 1, 3), SeriesNumber: '1', InstanceNumber: '9' }),
        ]),
      )
      await sendSlice(test.archive, {
        ...studies[0],
        ...uid(1, 2, 1),
        SeriesNumber: '2',
        Modality: 'SR',
        SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.33',
      })
    })
    afterAll(() => test.close())

    const found = async (match: MatchQuery['match'] = {}) =>
      (await test.archive.studies({ match }))
        .map((row) => row.studyInstanceUid.slice(5))
        .sort()
        .join(' ')

    // FED-21, ARC-16: every key of the study level, matched as PS3.4 C.2.2.2 says
    it.each<[string, string, string]>([
      ['PatientName', 'zhang^san', '1'],
      ['PatientName', 'Zhang*', '1 2'],
      ['PatientName', '张^?', '1 2'],
      ['PatientName', '*三', '1'],
      ['PatientName', 'MÜLLER*', '3'],
      ['PatientName', 'Zhang', ''],
      ['PatientName', '*', '1 2 3 4'],
      ['PatientID', 'P1', '1 4'],
      ['PatientID', 'p1', ''],
      ['PatientID', 'P?', '1 2 4'],
      ['PatientID', 'P1\\P2', '1 2 4'],
      ['AccessionNumber', 'B%3', '3'],
      ['AccessionNumber', 'B%*', '3'],
      ['AccessionNumber', '*%*', '3'],
      ['StudyDescription', '100%_*', '3'],
      ['StudyDescription', 'Head [*', '2'],
      ['StudyDescription', '胸部*', '1'],
      ['StudyDate', '20260301', '1'],
      ['StudyDate', '20260301-20260302', '1 2'],
      ['StudyDate', '20260302-', '2 3'],
      ['StudyDate', '-20260301', '1'],
      ['StudyDate', '2026-03-31', '3'],
      ['StudyTime', '080000-101500', '1 2'],
      ['StudyTime', '08', '2'],
      ['StudyTime', '2359-', '3'],
      ['StudyInstanceUID', '2.25.1\\2.25.3', '1 3'],
      ['StudyInstanceUID', '2.25.1,2.25.4', '1 4'],
      ['StudyInstanceUID', '2.25.*', ''],
      ['ModalitiesInStudy', 'SR', '1'],
      ['ModalitiesInStudy', 'SR\\MR', '1 2'],
      ['ModalitiesInStudy', 'CT,US', '1 3'],
      ['SOPClassesInStudy', '1.2.840.10008.5.1.4.1.1.88.33', '1'],
      ['PatientSex', 'F', '4'],
      ['PatientSex', '', '1 2 3 4'],
    ])('finds studies by %s = %s', async (keyword, text, expected) => {
      expect(await found({ [keyword]: text })).toBe(expected)
      // Rows in memory are matched by the same rules (studies of other hospitals).
      const attribute = attributeByKeyword(keyword)
      if (!attribute) return
      const rows = await test.archive.studies()
      const held = rows.filter((row) =>
        predicateHolds(parsePredicate(attribute.vr, text), String(new Map<string, unknown>(Object.entries(row)).get(attribute.member))),
      )
      expect(
        held
          .map((row) => row.studyInstanceUid.slice(5))
          .sort()
          .join(' '),
      ).toBe(expected)
    })

    // FED-21, ARC-16, ARC-23
    it.each<[string, string]>([
      ['zhang san', '1'],
      ['san zhang', '1'],
      ['zhangsan', '1'],
      ['张三', '1'],
      ['zs', '1 2'],
      ['zha', '1 2'],
      ['muller', '3'],
      ['Jurgen MUELLER', '3'],
      ['pers oth', '4'],
      ['zhang li', ''],
      ['hang', ''],
    ])('finds names by their words, however they are written or read: %s', async (text, expected) => {
      const rows = await test.archive.studies({ match: { PatientName: text }, fuzzy: true })
      expect(rows.map((row) => row.studyInstanceUid.slice(5)).sort().join(' ')).toBe(expected) // prettier-ignore
      const inMemory = (await test.archive.studies()).filter((row) => predicateHolds(parsePredicate('PN', text, { fuzzy: true }), row.patientName))
      expect(inMemory.map((row) => row.studyInstanceUid.slice(5)).sort().join(' ')).toBe(expected) // prettier-ignore
      const atPatients = await test.archive.patients({ match: { PatientName: text }, fuzzy: true })
      expect(atPatients).toHaveLength(rows.length)
    })

    it('finds studies by what their series have, one series having all of it', async () => {
      // ARC-16
      expect(await found({ Modality: 'CT', BodyPartExamined: 'CHEST' })).toBe('1')
      expect(await found({ BodyPartExamined: 'HEAD' })).toBe('2')
      expect(await found({ Modality: 'SR', SeriesInstanceUID: '2.25.1.1' })).toBe('')
    })

    it('takes a range of dates with one of times for moments when asked to, and asks for empty values', async () => {
      const of = async (query: MatchQuery) => (await test.archive.studies(query)).map((row) => row.studyInstanceUid.slice(5)).join(' ')
      const match = { StudyDate: '20260301-20260302', StudyTime: '1000-0900' }
      expect(await of({ match, combinedDateTime: true })).toBe('2 1')
      expect(await of({ match: { ...match, StudyTime: '1030-0900' }, combinedDateTime: true })).toBe('2')
      expect(await of({ match: { ...match, StudyTime: '1030-0700' }, combinedDateTime: true })).toBe('')
      expect(await of({ match })).toBe('')
      expect(await of({ match: { StudyDate: '""' }, emptyValues: true })).toBe('4')
      expect(await of({ match: { AccessionNumber: '""' } })).toBe('')
    })

    it('refuses a search that no key narrows once it has looked at the newest studies; what is found among them is answered', async () => {
      // ARC-23
      const index = new IndexQueries(test.db, { studies: () => 4, lookedAt: 1, nameWords: () => true })
      const of = async (query: MatchQuery) => (await index.studies(query)).map((row) => row.studyInstanceUid.slice(5)).join(' ')
      const tooBroad = { code: 'archive/query-too-broad' }
      await expect(of({ match: { StudyDescription: '胸部*' } })).rejects.toMatchObject(tooBroad)
      await expect(of({ match: { StudyDescription: '100*' }, limit: 2 })).rejects.toMatchObject(tooBroad)
      expect(await of({ match: { StudyDescription: '100*' }, limit: 1 })).toBe('3')
      expect(await of({ match: { StudyDescription: '胸部*', StudyDate: '20260301' } })).toBe('1')
      expect(await of({ match: { StudyDescription: '胸部*', PatientName: 'zhang*' } })).toBe('1')
      expect(await of({ match: { StudyDescription: '胸部*', PatientID: 'P1' } })).toBe('1')
      expect(await of({})).toBe('3 2 1 4')
      await expect(index.series(undefined, { match: { Modality: 'CT' } })).rejects.toMatchObject(tooBroad)
      expect(await index.instances(undefined, undefined, { match: { SOPInstanceUID: '2.25.1.1.1' } })).toHaveLength(1)
    })

    it('combines conditions, newest studies first, in pages', async () => {
      expect(await found({ PatientName: 'zhang*', StudyDate: '20260302', ModalitiesInStudy: 'MR' })).toBe('2')
      const pages = await Promise.all([0, 2].map((offset) => test.archive.studies({ limit: 2, offset })))
      expect(pages.flat().map((row) => row.studyInstanceUid)).toEqual(['2.25.3', '2.25.2', '2.25.1', '2.25.4'])
      expect((await test.archive.studies({ offset: 3 })).map((row) => row.studyInstanceUid)).toEqual(['2.25.4'])
    })

    it('keeps two people under one Patient ID apart', async () => {
      const patients = await test.archive.patients({ match: { PatientID: 'P1' } })
      expect(patients.map(({ patientName, studyCount }) => [patientName, studyCount]).sort()).toEqual([
        ['Other^Person', 1],
        ['Zhang^San=张^三', 1],
      ])
    })

    it('finds series and instances, in the order of their numbers, also by keys of the levels above', async () => {
      expect((await test.archive.series('2.25.1')).map(({ modality, instanceCount }) => [modality, instanceCount])).toEqual([
        ['CT', 3],
        ['SR', 1],
      ])
      expect(
        (await test.archive.series(undefined, { match: { Modality: 'S*', PatientName: '张*' } })).map((row) => row.seriesInstanceUid),
      ).toEqual(['2.25.1.2'])
      expect((await test.archive.instances('2.25.2', '2.25.2.1')).map((row) => row.instanceNumber)).toEqual(['1', '9', '10'])
      const one = await test.archive.instances(undefined, undefined, { match: { InstanceNumber: '9', Rows: '2', AccessionNumber: 'A2' } })
      expect(one).toMatchObject([
        { sopInstanceUid: '2.25.2.1.3', rows: 2, series: { bodyPartExamined: 'HEAD' }, study: { patientId: 'P2' } },
      ])
      expect(await test.archive.instances('2.25.1', undefined, { match: { Rows: 'x' } })).toEqual([])
    })

    it('says which keys it does not match', () => {
      expect(unmatchedKeywords('study', { EthnicGroup: 'x', Modality: 'CT', SeriesNumber: '1', PatientID: 'P', OtherPatientIDs: '' })).toEqual([
        'EthnicGroup',
        'SeriesNumber',
      ])
      expect(unmatchedKeywords('patient', { Modality: 'CT' })).toEqual(['Modality'])
    })

    it('lists the manifest of a study with size and digest of every file', async () => {
      const rows = await test.archive.manifest('2.25.1')
      expect(rows.map(({ modality, instanceNumber }) => `${modality} ${instanceNumber}`)).toEqual(['CT 1', 'CT 9', 'CT 10', 'SR 1'])
      expect(rows.every(({ sizeBytes, sm3 }) => sizeBytes > 0 && /^[0-9a-f]{64}$/.test(sm3))).toBe(true)
    })

    it('keeps regions apart at every level, and gives to a region what came before it was joined', async () => {
      // FED-20
      const [east, west, unassigned] = ['east', 'west', 'unassigned'].map((id) => RegionId.parse(id)) as [RegionId, RegionId, RegionId]
      const arrive = (study: number, regionId: RegionId) =>
        send(test.archive, buildFile(aSlice({ PatientID: `R${study}`, ...uid(study, 1, 1) })), {
          source: { kind: 'transfer', peer: 'hospital-b', regionId },
        })
      await Promise.all([arrive(11, west), ...Array.from({ length: 103 }, (_, index) => arrive(100 + index, unassigned))])
      const of = async (regionId: RegionId) => {
        const rows = [
          await test.archive.patients({ regionId }),
          await test.archive.studies({ regionId }),
          await test.archive.series(undefined, { regionId }),
          await test.archive.instances(undefined, undefined, { regionId }),
        ]
        expect(rows.flat().every((row) => row.regionId === regionId)).toBe(true)
        return rows.map(({ length }) => length)
      }
      expect([await of(unassigned), await of(west), await of(east)]).toEqual([
        [103, 103, 103, 103],
        [1, 1, 1, 1],
        [0, 0, 0, 0],
      ])
      expect(await test.archive.adoptRegion(unassigned, east)).toBe(103)
      expect([await of(unassigned), await of(west), await of(east)]).toEqual([
        [0, 0, 0, 0],
        [1, 1, 1, 1],
        [103, 103, 103, 103],
      ])
      expect(await test.archive.adoptRegion(unassigned, west)).toBe(0)
      expect((await test.archive.studies({ regionId: east, match: { PatientID: 'R11' } })).length).toBe(0)
      expect((await test.archive.studies({ regionId: east, limit: 2, offset: 102 })).length).toBe(1)
      for (const { studyInstanceUid } of [...(await test.archive.studies({ regionId: east })), { studyInstanceUid: '2.25.11' }])
        await test.archive.delete(studyInstanceUid)
    })

    it('keeps campuses apart at every level', async () => {
      // ARC-19
      await test.archive.placeStudies(new Map([['2.25.1', '东院'], ['2.25.2', '西院'], ['2.25.404', '东院']])) // prettier-ignore
      const of = async (campus: string) => [
        (await test.archive.studies({ campus })).map((row) => [row.studyInstanceUid, row.campus]),
        (await test.archive.series(undefined, { campus })).map((row) => [row.seriesInstanceUid, row.campus]).sort(),
        (await test.archive.instances(undefined, undefined, { campus })).length,
      ]
      expect(await of('东院')).toEqual([[['2.25.1', '东院']], [['2.25.1.1', '东院'], ['2.25.1.2', '东院']], 4]) // prettier-ignore
      expect(await of('西院')).toEqual([[['2.25.2', '西院']], [['2.25.2.1', '西院']], 3])
      await test.archive.placeStudies(new Map([['2.25.1', ''], ['2.25.2', '']])) // prettier-ignore
      expect((await test.archive.studies({ campus: '东院' })).length).toBe(0)
    })

    it('counts what is there after replacing, repeating and deleting', async () => {
      // FED-22, ARC-12
      const before = test.archive.totals()
      const extra = { ...studies[3], ...uid(9, 1, 1) }
      await sendSlice(test.archive, extra)
      await sendSlice(test.archive, extra)
      await sendSlice(test.archive, { ...extra, ImageComments: 'changed, and longer' })
      const study = await test.archive.study('2.25.9')
      expect(study).toMatchObject({ instanceCount: 1, duplicateCount: 1 })
      expect(test.archive.totals()).toEqual({
        studies: before.studies + 1,
        instances: before.instances + 1,
        sizeBytes: before.sizeBytes + (study?.sizeBytes ?? 0),
      })
      await test.archive.delete('2.25.9')
      expect(test.archive.totals()).toEqual(before)
    })
  })
}
