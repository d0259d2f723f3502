import type { Queries } from 'service-kit'
import type { Archive, StudyRow } from '../archive/archive.ts'
import type { Exam } from '../exam/exam.ts'
import { findExamOfStudy } from '../exam/store.ts'
import type { RoutingSubject } from './match-rule.ts'
import type { PriorCandidate } from './priors.ts'

/** What rules may know of a study: its images, and the register where it says more. */
export async function subjectOfStudy(db: Queries, study: StudyRow, sources: readonly string[], hasNew = true): Promise<RoutingSubject> {
  const exam = await findExamOfStudy(db, study.studyInstanceUid)
  return {
    event: 'study-received',
    examId: exam?.examId ?? null,
    studyInstanceUid: study.studyInstanceUid,
    patientId: study.patientId,
    sources,
    hasNew,
    modalities: study.modalitiesInStudy,
    bodyPartTexts: [...study.bodyPartsExamined, study.studyDescription, exam?.bodyPart ?? ''].filter((text) => text !== ''),
    campus: exam?.campus ?? '',
    department: exam?.department ?? '',
    accessionNumber: exam?.accessionNumber || study.accessionNumber,
    date: study.studyDate,
  }
}

/** A new exam: perhaps without images yet. */
export function subjectOfExam(exam: Exam, sources: readonly string[]): RoutingSubject {
  return {
    event: 'exam-new',
    examId: exam.examId,
    studyInstanceUid: exam.studyInstanceUid,
    patientId: exam.patientId,
    sources,
    hasNew: true,
    modalities: exam.modality === '' ? [] : [exam.modality],
    bodyPartTexts: [exam.bodyPart, exam.description].filter((text) => text !== ''),
    campus: exam.campus,
    department: exam.department,
    accessionNumber: exam.accessionNumber,
    date: exam.studyDate.replaceAll('-', ''),
  }
}

/** Every study of the patient that is here; an empty patient ID is nobody's. */
export async function studiesOfPatient(archive: Pick<Archive, 'studies'>, patientId: string): Promise<PriorCandidate[]> {
  if (patientId === '') return []
  const rows = await archive.studies({ match: { PatientID: patientId }, limit: 500 })
  return rows
    .filter((row) => row.patientId === patientId) // the ID may hold signs that match more
    .map((row) => ({
      studyInstanceUid: row.studyInstanceUid,
      date: row.studyDate,
      modalities: row.modalitiesInStudy,
      bodyPartTexts: [...row.bodyPartsExamined, row.studyDescription],
    }))
}

/** AE titles that images of a study came from. */
export async function sourcesOf(archive: Pick<Archive, 'instances'>, studyInstanceUid: string): Promise<string[]> {
  const rows = await archive.instances(studyInstanceUid, undefined, { limit: 5_000 })
  return [...new Set(rows.filter(({ sourceKind }) => sourceKind === 'dimse').map(({ sourcePeer }) => sourcePeer))]
}
