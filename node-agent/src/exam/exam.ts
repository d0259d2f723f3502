import type { EpochMs, ExamPlacement, ExamSnapshot, HospitalId, RegionId, StudyInstanceUid } from 'specs'
import type { ExamFacts } from '../access/policy/exam-facts.ts'
import type { StudyRow } from '../archive/archive.ts'
import { displayName } from './patient-name.ts'

/**
 * A 检查 as our RIS facts have it: who, what, why and what the report says. It may exist before its images, and its
 * images may be linked later by accession number. Dates are ISO (`2026-03-01`, `08:15:00`), '' when unknown.
 */
export interface Exam extends ExamPlacement {
  readonly examId: string
  /** Of its images; until they come, the active one when it was registered (FED-20). */
  readonly regionId: RegionId
  readonly accessionNumber: string
  readonly patientId: string
  readonly patientName: string
  readonly patientSex: string
  readonly patientBirthDate: string
  readonly patientAge: string
  readonly modality: string
  readonly bodyPart: string
  readonly description: string
  readonly studyDate: string
  readonly studyTime: string
  readonly studyInstanceUid: StudyInstanceUid | null
  readonly seriesCount: number
  readonly instanceCount: number
  readonly sizeBytes: number
  readonly clinicalHistory: string
  readonly reportFindings: string
  readonly reportImpression: string
  readonly receivedAt: EpochMs
  readonly updatedAt: EpochMs
}

/** Which exam arriving images belong to. */
export type ExamMatch =
  { readonly kind: 'linked'; readonly examId: string } | { readonly kind: 'link'; readonly examId: string } | { readonly kind: 'new' }

/** @param byStudy exam that has these images already; `byAccession` exam with the same accession number, if the images name one. */
export function decideExam(study: StudyRow, byStudy: Exam | undefined, byAccession: Exam | undefined): ExamMatch {
  if (byStudy) return { kind: 'linked', examId: byStudy.examId }
  // An accession number typed wrongly at the modality must not put one patient's images into another's exam, and a
  // second study under the same number does not replace the first.
  const isSameExam = byAccession !== undefined && byAccession.studyInstanceUid === null && byAccession.patientId === study.patientId
  return isSameExam ? { kind: 'link', examId: byAccession.examId } : { kind: 'new' }
}

/** Modalities that accompany images and never name an exam. */
const accompanying = new Set(['KO', 'SR', 'PR', 'SEG', 'RTSTRUCT', 'REG', 'DOC', ''])

/** What the images tell about the exam. */
export function factsOfStudy(study: StudyRow) {
  return {
    accessionNumber: study.accessionNumber,
    patientId: study.patientId,
    patientName: displayName(study.patientName),
    patientSex: study.patientSex,
    patientBirthDate: isoDate(study.patientBirthDate),
    patientAge: study.patientAge || ageAt(study.patientBirthDate, study.studyDate),
    modality: study.modalitiesInStudy.find((modality) => !accompanying.has(modality)) ?? study.modalitiesInStudy[0] ?? '',
    bodyPart: study.bodyPartsExamined[0] ?? '',
    description: study.studyDescription,
    studyDate: isoDate(study.studyDate),
    studyTime: isoTime(study.studyTime),
  }
}

/** As much of an exam as rights depend on. */
export function factsOfExam(exam: Omit<ExamFacts, 'owner'>, owner: HospitalId): ExamFacts {
  const { examId, patientId, campus, department, area, modality, label, requestingDepartment, requestingPhysician } = exam
  return { examId, owner, patientId, campus, department, area, modality, label, requestingDepartment, requestingPhysician }
}

export function snapshotOf(exam: Exam, hospitalId: HospitalId): ExamSnapshot {
  return {
    hospitalId,
    accessionNumber: exam.accessionNumber.slice(0, 64),
    patient: {
      id: exam.patientId.slice(0, 64),
      name: exam.patientName.slice(0, 200),
      sex: exam.patientSex.slice(0, 4),
      birthDate: exam.patientBirthDate.slice(0, 10),
      age: exam.patientAge.slice(0, 8),
    },
    modality: exam.modality.slice(0, 16),
    bodyPart: exam.bodyPart.slice(0, 64),
    description: exam.description.slice(0, 200),
    studyDate: exam.studyDate.slice(0, 10),
    studyTime: exam.studyTime.slice(0, 16),
    clinicalHistory: exam.clinicalHistory,
    reportFindings: exam.reportFindings,
    reportImpression: exam.reportImpression,
    updatedAt: exam.updatedAt,
  }
}

/** `20260301` → `2026-03-01`; anything else is no date we could show. */
export function isoDate(da: string): string {
  const match = /^(\d{4})[.-]?(\d{2})[.-]?(\d{2})/.exec(da)
  return match ? `${match[1]}-${match[2]}-${match[3]}` : ''
}

/** `081500.25` → `08:15:00`; missing parts count as zero (PS3.5 6.2, TM). */
export function isoTime(tm: string): string {
  const match = /^(\d{2}):?(\d{2})?:?(\d{2})?/.exec(tm)
  return match ? `${match[1]}:${match[2] ?? '00'}:${match[3] ?? '00'}` : ''
}

/** Age String (PS3.5 6.2, AS) at the day of the study: years, or months below two years. '' when a date is missing. */
export function ageAt(birthDate: string, studyDate: string): string {
  const born = /^(\d{4})(\d{2})(\d{2})$/.exec(birthDate)
  const seen = /^(\d{4})(\d{2})(\d{2})$/.exec(studyDate)
  if (!born || !seen) return ''
  const months = (Number(seen[1]) - Number(born[1])) * 12 + Number(seen[2]) - Number(born[2]) - (Number(seen[3]) < Number(born[3]) ? 1 : 0)
  if (months < 0) return ''
  return months < 24 ? `${String(months).padStart(3, '0')}M` : `${String(Math.floor(months / 12)).padStart(3, '0')}Y`
}
