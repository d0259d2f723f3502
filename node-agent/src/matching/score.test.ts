import { describe, expect, it } from 'vitest'
import { distanceOf, LEAST_SCORE, scoreMatch, type Comparable } from './score.ts'

const images = (change: Partial<Comparable> = {}): Comparable => ({
  studyInstanceUid: '2.25.1', accessionNumber: 'CT20260301', patientId: '001234', patientName: '张三', patientSex: 'M', patientBirthDate: '1970-01-01', modality: 'CT', studyDate: '2026-03-01', ...change,
}) // prettier-ignore
const exam = (change: Partial<Comparable> = {}) => images({ studyInstanceUid: null, ...change })

describe('how likely images belong to a registered exam', () => {
  it('is certain where numbers, name, birth date, kind and day agree', () => {
    // ARC-11
    expect(scoreMatch(images(), exam())).toEqual({ score: 100, reasons: ['patient-id', 'accession', 'name', 'birth-date', 'modality', 'same-day'] })
  })
  it('knows a number without its zeros, with dashes or with one wrong figure', () => {
    expect(scoreMatch(images({ patientId: '1234', accessionNumber: 'ct-2026 0301' }), exam()).reasons.slice(0, 2)).toEqual(['patient-id-form', 'accession-form'])
    expect(scoreMatch(images({ accessionNumber: 'CT20260310' }), exam()).reasons).toContain('accession-near')
    expect(scoreMatch(images({ accessionNumber: 'CT2026030' }), exam()).reasons).toContain('accession-near')
    expect(scoreMatch(images({ accessionNumber: 'CT20260399' }), exam()).reasons).not.toContain('accession-near')
    // 1 and 2 are one figure apart, and nothing alike.
    expect(scoreMatch(images({ accessionNumber: '1' }), exam({ accessionNumber: '2' })).reasons).not.toContain('accession-near')
    expect([distanceOf('ABC', 'ABC'), distanceOf('ABC', 'ACB'), distanceOf('ABC', 'AC'), distanceOf('ABC', 'XYC'), distanceOf('', 'A')]).toEqual([0, 1, 1, 2, 1])
  })
  it('knows a Chinese name by how it is read, whichever part comes first', () => {
    for (const name of ['Zhang San', 'ZHANG^SAN', 'San Zhang']) expect(scoreMatch(images({ patientName: name }), exam()).reasons).toContain('name-reading')
    expect(scoreMatch(images({ patientName: 'Li Si' }), exam()).reasons).not.toContain('name-reading')
  })
  it('counts what contradicts: another sex, birth date or kind of device', () => {
    const other = scoreMatch(images({ patientId: 'X', accessionNumber: '', patientSex: 'F', patientBirthDate: '1980-01-01', modality: 'US' }), exam())
    expect(other.reasons).toEqual(['name', 'birth-date-differs', 'sex-differs', 'modality-differs', 'same-day'])
    expect(other.score).toBe(0)
  })
  it('suggests nothing for a device and a day alone', () => {
    const nobody = images({ patientId: '', accessionNumber: '', patientName: '', patientBirthDate: '', patientSex: '' })
    expect(scoreMatch(nobody, exam()).score).toBeLessThan(LEAST_SCORE)
    expect(scoreMatch(nobody, exam({ studyInstanceUid: '2.25.1' })).score).toBe(100)
  })
})
