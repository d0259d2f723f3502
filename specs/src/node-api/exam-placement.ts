import { z } from 'zod'

/** 安全标记 (GB/T 22239 8.1.4.2 g). A label other than `ordinary` asks for the clearance of the same name (right `label.…`). */
export const examLabels = ['ordinary', 'vip', 'cadre', 'staff', 'classified'] as const
export const ExamLabel = z.enum(examLabels)
export type ExamLabel = z.infer<typeof ExamLabel>

export const PatientClass = z.enum(['outpatient', 'inpatient', 'emergency', 'physical', ''])
export type PatientClass = z.infer<typeof PatientClass>

const short = z.string().trim().max(32)
const fields = {
  campus: short,
  /** 执行科室 */
  department: short,
  /** 区域标识, for example 总院超声 (REG-21, ULS-18). */
  area: short,
  /** 申请科室 */
  requestingDepartment: short,
  /** 申请医生: the account. */
  requestingPhysician: z.string().trim().max(64),
  patientClass: PatientClass,
  /** 病区, 床号, 住院号 (CLN-02) */
  ward: short,
  bed: z.string().trim().max(16),
  inpatientNumber: short,
}

/** Where an exam belongs and who asked for it: what scopes and relations look at. '' when unknown. */
export const ExamPlacement = z.object({
  campus: fields.campus.default(''),
  department: fields.department.default(''),
  area: fields.area.default(''),
  requestingDepartment: fields.requestingDepartment.default(''),
  requestingPhysician: fields.requestingPhysician.default(''),
  patientClass: fields.patientClass.default(''),
  ward: fields.ward.default(''),
  bed: fields.bed.default(''),
  inpatientNumber: fields.inpatientNumber.default(''),
  label: ExamLabel.default('ordinary'),
})
export type ExamPlacement = z.output<typeof ExamPlacement>

/** What is absent stays. The label is changed by a request of its own. */
export const PlacementChange = z.object(fields).partial()
export type PlacementChange = z.output<typeof PlacementChange>

export const noPlacement: ExamPlacement = ExamPlacement.parse({})
