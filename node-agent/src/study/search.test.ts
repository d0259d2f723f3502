import { StudySearch } from 'specs'
import { describe, expect, it } from 'vitest'
import { matchesOf, matchFrom, parsePlace, placeAfter, placeText, start, UNDATED } from './search.ts'

const asked = (search: Partial<StudySearch>) => matchesOf(StudySearch.parse(search))
const on = (...days: string[]) => days.map((studyDate) => ({ studyDate }))

describe('what is typed into the search of studies', () => {
  it('is a name, or a number of either kind', () => {
    // ARC-16, ARC-23
    expect(asked({ text: '张三' })).toEqual([{ PatientName: '张三' }])
    expect(asked({ text: 'CT20260301' })).toEqual([{ AccessionNumber: 'CT20260301' }, { PatientID: 'CT20260301' }])
    expect(asked({ text: '1001', accessionNumber: 'A7' })[0]).toEqual({ AccessionNumber: 'A7' })
  })

  it('narrows by everything that is given at once', () => {
    // ARC-16
    expect(asked({ text: 'li', modality: 'ct', bodyPart: 'chest', device: 'CT-2', description: '平扫', dateFrom: '2026-03-01' })).toEqual([
      { PatientName: 'li', ModalitiesInStudy: 'CT', BodyPartExamined: '*CHEST*', StationName: '*CT-2*', StudyDescription: '*平扫*', StudyDate: '20260301-' },
    ])
    expect(asked({ device: 'CT*' })).toEqual([{ StationName: 'CT*' }])
  })
})

describe('the next page of studies', () => {
  it('goes on behind what was shown of a day', () => {
    const first = placeAfter(start, on('20260303', '20260302', '20260302'))
    expect(placeText(first)).toBe('20260302.2')
    expect(matchFrom({ StudyDate: '20260101-20261231', PatientName: 'li' }, first).match).toEqual({ StudyDate: '20260101-20260302', PatientName: 'li' })
    expect(placeAfter(first, on('20260302', '20260302'))).toEqual({ day: '20260302', shown: 4 })
    expect(parsePlace(placeText(first))).toEqual(first)
    expect(parsePlace(undefined)).toEqual(start)
    expect(matchFrom({ PatientName: 'li' }, start)).toEqual({ match: { PatientName: 'li' } })
  })

  it('ends with studies that have no date', () => {
    const undated = placeAfter(start, on('20260302', '', ''))
    expect(undated).toEqual({ day: UNDATED, shown: 2 })
    expect(placeAfter(undated, on('', ''))).toEqual({ day: UNDATED, shown: 4 })
    expect(matchFrom({}, undated)).toEqual({ match: { StudyDate: '""' }, emptyValues: true })
  })
})
