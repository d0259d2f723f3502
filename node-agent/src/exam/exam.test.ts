import { noPlacement } from 'specs'
import { describe, expect, it } from 'vitest'
import { CHEST } from '../access/builders.ts'
import { aStudyRow } from './builders.ts'
import { ageAt, decideExam, factsOfStudy, isoDate, isoTime, type Exam } from './exam.ts'
import { displayName, maskedLabel } from './patient-name.ts'

const anExam = (change: Partial<Exam> = {}): Exam => ({ ...noPlacement, ...factsOfStudy(aStudyRow()), examId: 'e1', regionId: aStudyRow().regionId, studyInstanceUid: null, seriesCount: 0, instanceCount: 0,
  sizeBytes: 0, clinicalHistory: '', reportFindings: '', reportImpression: '', receivedAt: 1, updatedAt: 1, ...change }) // prettier-ignore

describe('finding the exam that images belong to', () => {
  it('goes by the images themselves first, then by accession number and patient', () => {
    // AGT-01
    expect(decideExam(aStudyRow(), anExam({ examId: 'e9' }), anExam())).toEqual({ kind: 'linked', examId: 'e9' })
    expect(decideExam(aStudyRow(), undefined, anExam())).toEqual({ kind: 'link', examId: 'e1' })
    expect(decideExam(aStudyRow(), undefined, undefined)).toEqual({ kind: 'new' })
  })
  it('never puts images under the accession number of another patient', () => {
    expect(decideExam(aStudyRow(), undefined, anExam({ patientId: 'P2' }))).toEqual({ kind: 'new' })
  })
  it('keeps two studies of one accession number apart', () => {
    expect(decideExam(aStudyRow(), undefined, anExam({ studyInstanceUid: CHEST }))).toEqual({ kind: 'new' })
  })
})

describe('what images tell about their exam', () => {
  it('shows the Chinese name, ISO dates and the age at the study', () => {
    expect(factsOfStudy(aStudyRow())).toMatchObject({
      patientName: '王小东',
      patientBirthDate: '1960-05-21',
      patientAge: '065Y',
      studyDate: '2026-03-01',
      studyTime: '08:15:00',
    })
  })
  it('names the modality of the images, not of accompanying objects', () => {
    expect(factsOfStudy(aStudyRow({ modalitiesInStudy: ['KO', 'SR', 'CT'] })).modality).toBe('CT')
    expect(factsOfStudy(aStudyRow({ modalitiesInStudy: ['KO'] })).modality).toBe('KO')
  })
  it('counts a baby in months and shows no age where a date is missing', () => {
    expect(ageAt('20260115', '20260301')).toBe('001M')
    expect(ageAt('', '20260301')).toBe('')
    expect(ageAt('20270101', '20260301')).toBe('')
    expect([isoDate('2026'), isoTime('')]).toEqual(['', ''])
  })
  it('masks a name to its first character', () => {
    expect([maskedLabel('王小东'), maskedLabel('张三'), maskedLabel('Wang XiaoDong'), maskedLabel('')]).toEqual(['王**', '张*', 'W*** X***', '*'])
    expect([displayName('张^三'), displayName('Doe^John'), displayName('')]).toEqual(['张三', 'Doe John', ''])
  })
})
