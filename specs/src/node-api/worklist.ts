import { z } from 'zod'
import { AeTitle, EpochMs, StudyInstanceUid } from '../identifiers.ts'

const isoDate = z.iso.date()
const time = z.string().regex(/^\d{2}:\d{2}(:\d{2})?$/, 'HH:MM:SS')
const text = (most: number) => z.string().trim().max(most).default('')

/** A code as of PS3.3 8.8. */
export const CodedEntry = z.object({
  codeValue: z.string().trim().min(1).max(16),
  codingSchemeDesignator: z.string().trim().min(1).max(16),
  codeMeaning: z.string().trim().min(1).max(64),
})
export type CodedEntry = z.infer<typeof CodedEntry>

/**
 * `scheduled`: devices are told of it; `started`: a device has begun, or images have come; `completed`, `cancelled`: devices are told no more.
 * A step that was discontinued without another that was completed is scheduled again: the patient is still to be examined.
 */
export const WorklistState = z.enum(['scheduled', 'started', 'completed', 'cancelled'])
export type WorklistState = z.infer<typeof WorklistState>

/**
 * One scheduled procedure step with what a modality is told besides (PS3.4 K.6.1.2.2; IHE RAD TF-2 4.5): the patient, the imaging service
 * request, the requested procedure. Dates are ISO; texts are '' when unknown.
 */
export const WorklistDraft = z.object({
  // patient
  patientId: z.string().trim().min(1).max(64),
  issuerOfPatientId: text(64),
  patientName: z.string().trim().min(1).max(200),
  patientSex: z.enum(['M', 'F', 'O', '']).default(''),
  patientBirthDate: z.union([isoDate, z.literal('')]).default(''),
  /** kg and m, as DICOM tells them. */
  patientWeight: z.string().regex(/^(\d{1,3}(\.\d{1,3})?)?$/).default(''),
  patientSize: z.string().regex(/^(\d(\.\d{1,3})?)?$/).default(''),
  medicalAlerts: text(64),
  allergies: text(64),
  /** 0001 not pregnant, 0002 possibly, 0003 definitively, 0004 unknown, as 1 to 4. */
  pregnancyStatus: z.union([z.number().int().min(1).max(4), z.null()]).default(null),
  specialNeeds: text(64),
  patientState: text(64),
  confidentiality: text(64),
  // visit and imaging service request
  admissionId: text(64),
  currentPatientLocation: text(64),
  accessionNumber: text(16),
  requestingPhysician: text(64),
  referringPhysicianName: text(64),
  requestingService: text(64),
  // requested procedure
  requestedProcedureId: text(16),
  requestedProcedureDescription: text(64),
  requestedProcedureCode: CodedEntry.nullable().default(null),
  requestedProcedurePriority: z.enum(['STAT', 'HIGH', 'ROUTINE', 'MEDIUM', 'LOW', '']).default(''),
  reasonForRequestedProcedure: text(64),
  patientTransportArrangements: text(64),
  /** Given by us when null. */
  studyInstanceUid: StudyInstanceUid.nullable().default(null),
  // scheduled procedure step
  modality: z.string().trim().regex(/^[A-Z0-9_ ]{1,16}$/, '如 CT、MR / for example CT, MR'),
  /** The device that shall do it; '' for any of the modality. */
  scheduledStationAeTitle: z.union([AeTitle, z.literal('')]).default(''),
  scheduledStationName: text(16),
  startDate: isoDate,
  startTime: time,
  performingPhysician: text(64),
  stepDescription: text(64),
  protocolCodes: z.array(CodedEntry).max(16).default([]),
  stepLocation: text(16),
  preMedication: text(64),
  requestedContrastAgent: text(64),
  comments: text(1024),
  // where it belongs, for scopes of people and devices
  campus: text(32),
  department: text(32),
  area: text(32),
})
export type WorklistDraft = z.output<typeof WorklistDraft>

/** What became of a procedure at the device (MPPS, PS3.4 F.7). */
export const PerformedStepRow = z.object({
  sopInstanceUid: z.string(),
  state: z.enum(['IN PROGRESS', 'COMPLETED', 'DISCONTINUED']),
  callingAeTitle: z.string(),
  stationAeTitle: z.string(),
  modality: z.string(),
  studyInstanceUid: z.string(),
  accessionNumber: z.string(),
  performedStepId: z.string(),
  /** As the device says it: `YYYYMMDD HHMMSS`, '' while it is not told. */
  startedAt: z.string(),
  endedAt: z.string(),
  seriesCount: z.number().int(),
  instanceCount: z.number().int(),
  /** Radiation as far as it is told: DAP (dGy·cm²), exposures, total number of irradiation events, dose report instances. */
  dose: z.record(z.string(), z.string()),
  discontinuationReason: z.string(),
  /** Of the register; null: nobody scheduled it. */
  examId: z.string().nullable(),
  updatedAt: EpochMs,
})
export type PerformedStepRow = z.infer<typeof PerformedStepRow>

/** GET /api/worklist. Patients are masked as on lists of exams. */
export const WorklistRow = WorklistDraft.omit({ pregnancyStatus: true }).extend({
  itemId: z.string(),
  examId: z.string().nullable(),
  state: WorklistState,
  scheduledStepId: z.string(),
  studyInstanceUid: z.string(),
  scheduledStationAeTitle: z.string(),
  patientBirthDate: z.string(),
  masked: z.boolean(),
  performed: z.array(PerformedStepRow),
  createdAt: EpochMs,
  updatedAt: EpochMs,
})
export type WorklistRow = z.infer<typeof WorklistRow>
