import { z } from 'zod'
import { EpochMs, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid } from '../identifiers.ts'

/** How much of the patient leaves: L0 everything, L1 as on the pages of staff, L3 pseudonymous (PS3.15 E). */
export const ExportLevel = z.enum(['L0', 'L1', 'L3'])
export type ExportLevel = z.infer<typeof ExportLevel>

/** DICOM files, or pictures of every frame with a watermark. */
export const ExportFormat = z.enum(['dicom', 'jpeg', 'png'])
export type ExportFormat = z.infer<typeof ExportFormat>

/** POST /api/exports: images of one exam, for a purpose, with a reason. */
export const ExportRequest = z
  .strictObject({
    studyInstanceUid: StudyInstanceUid,
    /** Only these series, or only these instances. */
    seriesInstanceUids: z.array(SeriesInstanceUid).min(1).max(1_000).optional(),
    sopInstanceUids: z.array(SopInstanceUid).min(1).max(10_000).optional(),
    level: ExportLevel,
    format: ExportFormat,
    /** What for; stands in the watermark. */
    purpose: z.string().trim().min(2, '请填写用途').max(60),
    /** Why; stands in the audit trail. */
    reason: z.string().trim().min(2, '请填写理由').max(500),
    /** L0: who has authorised it, or the number of the approval. */
    authorisation: z.string().trim().max(120).default(''),
    /** L3: exports of one project name the same patient and study in the same way; '' is a project of its own. */
    project: z.string().trim().max(60).default(''),
    dates: z.enum(['shifted', 'kept', 'removed']).default('shifted'),
    /** L3: sex and age in bands of five years stay. */
    characteristics: z.boolean().default(true),
    /** Pictures: name and number on the picture, as the level has them. */
    identification: z.boolean().default(false),
    /** Also images in whose pixels the name may stand. */
    includeShown: z.boolean().default(false),
  })
  .refine(({ level, authorisation }) => level !== 'L0' || authorisation.length >= 2, { path: ['authorisation'], message: '请填写授权依据' })
export type ExportRequest = z.output<typeof ExportRequest>

/**
 * Why an image stays behind. `burned-in`: it says itself that the name stands in its pixels; `kind`: of a kind that does (ultrasound, secondary
 * capture, photographs, …); `features`: the face can be recognised; `overlay`: drawn into unused bits; `document`: texts, without pixels.
 */
export const LeftOutReason = z.enum(['burned-in', 'kind', 'features', 'overlay', 'document', 'not-renderable', 'unreadable'])
export type LeftOutReason = z.infer<typeof LeftOutReason>

export const LeftOut = z.object({ reason: LeftOutReason, count: z.number().int() })
export type LeftOut = z.infer<typeof LeftOut>

/** `broken`: the download was cut off; it can be begun again until `openUntil`. */
export const ExportState = z.enum(['ready', 'running', 'done', 'cancelled', 'broken'])
export type ExportState = z.infer<typeof ExportState>

export const ExportRow = z.object({
  exportId: z.string(),
  state: ExportState,
  studyInstanceUid: StudyInstanceUid,
  level: ExportLevel,
  format: ExportFormat,
  purpose: z.string(),
  reason: z.string(),
  authorisation: z.string(),
  /** Name of the project, '' for one of its own. */
  project: z.string(),
  /** Images, or pictures, that leave, and how many of them have. */
  count: z.number().int(),
  done: z.number().int(),
  /** About what is read for it. */
  sizeBytes: z.number().int(),
  sentBytes: z.number().int(),
  leftOut: z.array(LeftOut),
  createdAt: EpochMs,
  startedAt: EpochMs.nullable(),
  endedAt: EpochMs.nullable(),
  /** Until then it may be downloaded, again too. */
  openUntil: EpochMs,
})
export type ExportRow = z.infer<typeof ExportRow>

/** A project whose exports name patients alike. */
export const ExportProject = z.object({ projectId: z.string(), name: z.string(), patients: z.number().int(), createdAt: EpochMs })
export type ExportProject = z.infer<typeof ExportProject>

/** POST /api/export-projects/:projectId/reidentify: who is PAT-000123, or which exam ST-000045? */
export const Reidentification = z.strictObject({
  pseudonym: z.string().trim().toUpperCase().regex(/^(?:PAT|ST)-\d{6,9}$/, 'PAT-000123 / ST-000123'), // prettier-ignore
  reason: z.string().trim().min(4, '请写明重新识别的理由').max(500),
})
export const Reidentified = z.object({ pseudonym: z.string(), patientId: z.string(), patientName: z.string(), studyInstanceUid: z.string().nullable(), accessionNumber: z.string().nullable() })
export type Reidentified = z.infer<typeof Reidentified>
