import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'
import { PatientClass } from './exam-placement.ts'

/** Years that images are kept, by the class of the patient; '' is unknown. */
export const RetentionYears = z.object({
  outpatient: z.number().int().min(1).max(100),
  emergency: z.number().int().min(1).max(100),
  physical: z.number().int().min(1).max(100),
  inpatient: z.number().int().min(1).max(100),
  '': z.number().int().min(1).max(100),
})
export type RetentionYears = z.infer<typeof RetentionYears>

/** PUT /api/retention/rules */
export const RetentionRulesChange = z.object({ years: RetentionYears, reason: z.string().trim().min(2, '请填写理由').max(500) })

/** A recalculation of all dates after a change of rules. */
export const RetentionJob = z.object({ state: z.enum(['none', 'running', 'done']), done: z.number().int(), total: z.number().int(), startedAt: EpochMs.nullable(), endedAt: EpochMs.nullable() })
export type RetentionJob = z.infer<typeof RetentionJob>

/** GET /api/retention/rules */
export const RetentionRules = z.object({ years: RetentionYears, changedAt: EpochMs.nullable(), changedBy: z.string(), reason: z.string(), job: RetentionJob })
export type RetentionRules = z.infer<typeof RetentionRules>

/** GET /api/exams/:examId/retention */
export const ExamRetention = z.object({
  examId: z.string(),
  /** The last day that it must be kept, ISO. */
  retainUntil: z.string(),
  legalHold: z.boolean(),
  mayBeDestroyed: z.boolean(),
  /** Each class in which the patient was here: the last visit or discharge and what follows from it. The latest counts. */
  because: z.array(z.object({ patientClass: PatientClass, lastOn: z.string(), years: z.number().int(), until: z.string() })),
})
export type ExamRetention = z.infer<typeof ExamRetention>

/** GET /api/retention/review: exams whose time is over, masked, the oldest date first. */
export const DestructionCandidate = z.object({
  examId: z.string(),
  accessionNumber: z.string(),
  patientName: z.string(),
  patientClass: PatientClass,
  modality: z.string(),
  description: z.string(),
  studyDate: z.string(),
  studyInstanceUid: StudyInstanceUid.nullable(),
  instanceCount: z.number().int(),
  sizeBytes: z.number().int(),
  retainUntil: z.string(),
})
export type DestructionCandidate = z.infer<typeof DestructionCandidate>

/** GET /api/retention/report: one row for each year of examination. */
export const RetentionYearRow = z.object({
  year: z.string(),
  exams: z.number().int(),
  instances: z.number().int(),
  sizeBytes: z.number().int(),
  inpatient: z.number().int(),
  /** Whose time is over. */
  due: z.number().int(),
  held: z.number().int(),
  destroyed: z.number().int(),
  /** The latest date of the year's exams. */
  retainUntil: z.string(),
})
export type RetentionYearRow = z.infer<typeof RetentionYearRow>

/** POST /api/retention/visits: a visit that ended, or a discharge, as HIS knows it; exams count by themselves. */
export const VisitEnd = z.object({ patientId: z.string().trim().min(1).max(64), patientClass: PatientClass.exclude(['']), endedOn: z.iso.date() })
export type VisitEnd = z.infer<typeof VisitEnd>
