import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'

/** What identifies and reaches a patient beyond name and number. Kept sealed, answered masked. '' when unknown. */
export const PatientContact = z.object({
  /** 身份证号, or the number of a passport or permit. */
  idCard: z.string().trim().max(30).default(''),
  phone: z.string().trim().max(30).default(''),
  address: z.string().trim().max(200).default(''),
})
export type PatientContact = z.output<typeof PatientContact>
/** What is absent stays. */
export const ContactChange = z.object({ idCard: z.string().trim().max(30), phone: z.string().trim().max(30), address: z.string().trim().max(200) }).partial()
export type ContactChange = { readonly [Field in keyof PatientContact]?: PatientContact[Field] | undefined }

/** POST /api/exams/:examId/unmask, POST /api/consults/:taskId/unmask */
export const Unmasking = z.object({ reason: z.string().trim().min(2, '请填写查看理由').max(500) })
export type Unmasking = z.infer<typeof Unmasking>

/** POST /api/exams/:examId/patient-token: shown once, gives the patient of this exam a look at the own exams. */
export const PatientToken = z.object({ tokenId: z.string(), token: z.string(), expiresAt: EpochMs })
export type PatientToken = z.infer<typeof PatientToken>

/** GET /api/patient/exams: what a patient sees of the own exams; names and numbers as on a screen others may see (L2). */
export const PatientExam = z.object({
  examId: z.string(),
  patientName: z.string(),
  modality: z.string(),
  bodyPart: z.string(),
  description: z.string(),
  studyDate: z.string(),
  studyInstanceUid: StudyInstanceUid.nullable(),
  reportImpression: z.string(),
})
export type PatientExam = z.infer<typeof PatientExam>
