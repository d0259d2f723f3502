import { z } from 'zod'
import { AeTitle, StudyInstanceUid } from '../identifiers.ts'
import { ExamPlacement } from './exam-placement.ts'
import { PatientContact } from './patient.ts'

const isoDate = z.string().regex(/^(\d{4}-\d{2}-\d{2})?$/, 'YYYY-MM-DD')

/** POST /api/exams: an exam as registration (RIS) knows it, usually before its images arrive. Dates are ISO, '' when unknown. */
export const ExamRegistration = z.object({
  accessionNumber: z.string().trim().min(1).max(16),
  patientId: z.string().trim().min(1).max(64),
  patientName: z.string().trim().min(1).max(200),
  patientSex: z.enum(['M', 'F', 'O', '']),
  patientBirthDate: isoDate,
  modality: z.string().trim().min(1).max(16),
  bodyPart: z.string().max(64),
  description: z.string().max(200),
  studyDate: isoDate,
  studyTime: z.string().regex(/^(\d{2}:\d{2}(:\d{2})?)?$/, 'HH:MM:SS'),
  /** Study Instance UID given at order time; null when the modality makes it and the accession number links. */
  studyInstanceUid: StudyInstanceUid.nullable(),
  clinicalHistory: z.string().max(20_000),
  reportFindings: z.string().max(50_000),
  reportImpression: z.string().max(20_000),
  /** The device that shall do it, on whose worklist it is (MWL); '': any device of the modality. */
  scheduledStationAeTitle: z.union([AeTitle, z.literal('')]).default(''),
  ...ExamPlacement.shape,
  ...PatientContact.shape,
})
/** Before parsing: identifiers are plain text. */
export type ExamRegistration = z.input<typeof ExamRegistration>
