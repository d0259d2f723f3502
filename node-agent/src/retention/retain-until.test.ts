import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decideDestruction, defaultYears, plusYears, retentionOf, type Visit } from './retain-until.ts'

const until = (...visits: [Visit['patientClass'], string][]) => retentionOf(visits.map(([patientClass, on]) => ({ patientClass, on })), defaultYears)[0]?.until

describe('how long images are kept', () => {
  it('is 15 years after the last visit of an outpatient, 30 after the last discharge of an inpatient', () => {
    // LOC-06
    expect(until(['outpatient', '2010-05-06'])).toBe('2025-05-06')
    expect(until(['outpatient', '2010-05-06'], ['outpatient', '2020-01-01'])).toBe('2035-01-01')
    expect(until(['inpatient', '2010-05-06'])).toBe('2040-05-06')
    expect(until(['', '2010-05-06'])).toBe('2040-05-06')
    expect(until()).toBeUndefined()
  })
  it('takes the longer class where a patient was both', () => {
    expect(until(['outpatient', '2024-05-06'], ['inpatient', '2012-01-01'])).toBe('2042-01-01')
    expect(until(['outpatient', '2030-05-06'], ['inpatient', '2012-01-01'])).toBe('2045-05-06')
  })
  it('counts from the 29th of February', () => expect([plusYears('2024-02-29', 15), plusYears('2024-02-29', 4)]).toEqual(['2039-02-28', '2028-02-29']))
  it('never becomes shorter by another visit', () => {
    const visit = fc.record({ patientClass: fc.constantFrom<Visit['patientClass']>('outpatient', 'inpatient', 'emergency', 'physical', ''), on: fc.date({ min: new Date('1990-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10)) })
    fc.assert(fc.property(fc.array(visit, { minLength: 1 }), visit, (visits, another) => retentionOf([...visits, another], defaultYears)[0]!.until >= retentionOf(visits, defaultYears)[0]!.until))
  })
})

describe('destroying an exam', () => {
  const exam = { retainUntil: '2026-11-21', legalHold: false, isRecord: true, openConsults: 0 }
  it('is possible from the day after its last', () => {
    expect(decideDestruction(exam, '2026-11-22')).toEqual({ allowed: true })
    expect(decideDestruction(exam, '2026-11-21')).toEqual({ allowed: false, code: 'retention/not-yet' })
    expect(decideDestruction({ ...exam, retainUntil: '' }, '2026-11-22')).toEqual({ allowed: false, code: 'retention/not-yet' })
  })
  it('waits for courts and consultations, and not for what was registered by mistake', () => {
    expect(decideDestruction({ ...exam, legalHold: true }, '2026-11-22')).toEqual({ allowed: false, code: 'retention/legal-hold' })
    expect(decideDestruction({ ...exam, openConsults: 1 }, '2026-11-22')).toEqual({ allowed: false, code: 'retention/in-use' })
    expect(decideDestruction({ ...exam, retainUntil: '2060-01-01', isRecord: false }, '2026-11-22')).toEqual({ allowed: true })
  })
})
