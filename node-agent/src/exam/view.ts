import type { Database } from 'service-kit'
import type { ExamDetail, ExamRow, HospitalId, MaskLevel, TaskId } from 'specs'
import { contactsOf, maskContact, noContact, type Sealing } from '../patient/contact.ts'
import { maskExam } from '../patient/masked.ts'
import type { Exam } from './exam.ts'

export interface ExamViewParts {
  readonly db: Database
  readonly vault: Sealing
  readonly hospitalId: HospitalId
  readonly newestConsults: (examIds: readonly string[]) => Promise<ReadonlyMap<string, { taskId: TaskId; state: string }>>
}

/** Exams as the API tells of them. Everything but the answer to an unmasking is L1 (SEC-06). */
export async function examRows({ db, vault, hospitalId, newestConsults }: ExamViewParts, exams: readonly Exam[], level: MaskLevel): Promise<ExamRow[]> {
  const ids = exams.map(({ examId }) => examId)
  const [consults, contacts] = [await newestConsults(ids), await contactsOf(db, vault, ids)]
  return exams.map((exam) => {
    const { clinicalHistory: _h, reportFindings: _f, reportImpression: _i, updatedAt: _u, ...row } = maskExam(exam, level)
    const { idCard, phone } = maskContact(contacts.get(exam.examId) ?? noContact, level)
    return { ...row, idCard, phone, masked: level !== 'L0', hospitalId, consult: consults.get(exam.examId) ?? null }
  })
}

export async function examDetail(parts: ExamViewParts, exam: Exam, level: MaskLevel): Promise<ExamDetail> {
  const [row] = await examRows(parts, [exam], level)
  const contact = (await contactsOf(parts.db, parts.vault, [exam.examId])).get(exam.examId) ?? noContact
  const { clinicalHistory, reportFindings, reportImpression, updatedAt } = maskExam(exam, level)
  return { ...row!, address: maskContact(contact, level).address, clinicalHistory, reportFindings, reportImpression, updatedAt }
}
