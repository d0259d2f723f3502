import type { ExamLabel, HospitalId } from 'specs'


/** As much of an exam as rights depend on. Texts are '' when the register does not know them. */
export interface ExamFacts {
  readonly examId: string
  readonly owner: HospitalId
  readonly patientId: string
  readonly campus: string
  /** Where it is done: 执行科室. */
  readonly department: string
  /** 区域标识 (REG-21, ULS-18). */
  readonly area: string
  readonly modality: string
  readonly label: ExamLabel
  /** 申请科室 and 申请医生: the treating side. */
  readonly requestingDepartment: string
  /** Account of the requesting physician. */
  readonly requestingPhysician: string
}

/**
 * The classes of exams that a rule may name, with the column that holds each. Few rules name classes; many name one patient or one
 * exam. That is why the two kinds are looked up differently, see rule-book.ts and sql-condition.ts.
 */
export const classKinds = ['label', 'campus', 'department', 'area', 'modality'] as const
export type ClassKind = (typeof classKinds)[number]
