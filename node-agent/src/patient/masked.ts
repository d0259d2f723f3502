import { maskBirthDate, maskName, maskNumber, maskText, restoreText, type ConsultDetail, type ConsultRequest, type ConsultRow, type ExamChange, type ExamSnapshot, type MaskLevel } from 'specs' // prettier-ignore
import type { Exam } from '../exam/exam.ts'

/** Texts in which people write names and numbers. */
const texts = ['clinicalHistory', 'reportFindings', 'reportImpression'] as const

/** An exam as staff see it in lists and on its page; L0 only as the answer to an unmasking (SEC-06). */
export function maskExam(exam: Exam, level: MaskLevel): Exam {
  const { patientName } = exam
  return {
    ...exam,
    patientName: maskName(patientName, level),
    patientId: maskNumber(exam.patientId, level),
    patientBirthDate: maskBirthDate(exam.patientBirthDate, level),
    description: maskText(exam.description, level, patientName),
    clinicalHistory: maskText(exam.clinicalHistory, level, patientName),
    reportFindings: maskText(exam.reportFindings, level, patientName),
    reportImpression: maskText(exam.reportImpression, level, patientName),
  }
}

/** Who saw a text masked and changed it does not wipe out what the mask hid. */
export function restoreChange<C extends Pick<ExamChange, (typeof texts)[number]>>(change: C, before: Exam): C {
  const restored = texts
    .filter((field) => change[field] !== undefined)
    .map((field) => [field, restoreText(change[field]!, before[field], 'L1', before.patientName)] as const)
  return { ...change, ...Object.fromEntries(restored) }
}

export function maskSnapshot(exam: ExamSnapshot, level: MaskLevel): ExamSnapshot {
  const { patient } = exam
  return {
    ...exam,
    patient: { ...patient, id: maskNumber(patient.id, level), name: maskName(patient.name, level), birthDate: maskBirthDate(patient.birthDate, level) },
    description: maskText(exam.description, level, patient.name),
    clinicalHistory: maskText(exam.clinicalHistory, level, patient.name),
    reportFindings: maskText(exam.reportFindings, level, patient.name),
    reportImpression: maskText(exam.reportImpression, level, patient.name),
  }
}

export const maskRequest = (request: ConsultRequest, level: MaskLevel): ConsultRequest => ({
  ...request,
  question: maskText(request.question, level, request.exam.patient.name),
  exam: maskSnapshot(request.exam, level),
})

/** @param name the patient's, as it stands in the request. */
export function maskConsultRow<R extends ConsultRow>(row: R, level: MaskLevel, name: string): R {
  return { ...row, patientName: row.patientName === name ? maskName(name, level) : row.patientName, question: maskText(row.question, level, name) }
}

export function maskConsultDetail(detail: ConsultDetail, level: MaskLevel, name: string): ConsultDetail {
  const { opinion } = detail
  const told = (text: string) => maskText(text, level, name)
  return {
    ...maskConsultRow(detail, level, name),
    request: detail.request && maskRequest(detail.request, level),
    opinion: opinion && { ...opinion, text: { ...opinion.text, findings: told(opinion.text.findings), opinion: told(opinion.text.opinion), advice: told(opinion.text.advice) } },
  }
}
