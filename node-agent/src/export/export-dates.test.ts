import { describe, expect, it } from 'vitest'
import { ageBand, shiftDicomDate, shiftDicomDateTime } from './export-dates.ts'

describe('dates of a pseudonymous export', () => {
  it('move by days, over months, leap years and several values', () => {
    expect([shiftDicomDate('20240301', -1), shiftDicomDate('20260101', -1), shiftDicomDate('20260301\\20260302', -400), shiftDicomDate('2026.03.01', -1)]).toEqual(['20240229', '20251231', '20250125\\20250126', '20260228'])
  })
  it('keep their times', () => {
    expect([shiftDicomDateTime('20260301101500.250+0800', -1), shiftDicomDateTime('20260301', -1)]).toEqual(['20260228101500.250+0800', '20260228'])
  })
  it('are left out where they are none, or cannot be moved by days', () => {
    expect([shiftDicomDate('Zhang', -1), shiftDicomDate('', -1), shiftDicomDate('20261399', 0), shiftDicomDateTime('2026', -1), shiftDicomDateTime('202603', -1), shiftDicomDateTime('20260301Zhang', -1)]).toEqual(['', '', '', '', '', ''])
  })
  it('leave an age in bands of five years, nobody older than ninety', () => {
    expect([ageBand('064Y', '', ''), ageBand('103Y', '', ''), ageBand('018M', '', ''), ageBand('', '19610412', '20260301'), ageBand('', '', '20260301'), ageBand('Zhang', '', '')]).toEqual(['060Y', '090Y', '000Y', '060Y', '', ''])
  })
})
