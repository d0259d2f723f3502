import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'
import { ExamPlacement } from './exam-placement.ts'

/** `registered`: entered by registration; `images`: made of images that no registered exam takes (未匹配); `confirmed`: a person said that these images are an exam of their own. */
export const ExamOrigin = z.enum(['registered', 'images', 'confirmed'])
export type ExamOrigin = z.infer<typeof ExamOrigin>

/** Why an exam may be the one that images belong to, and what speaks against it. */
export const MatchReason = z.enum([
  'study-uid', 'patient-id', 'patient-id-form', 'accession', 'accession-form', 'accession-near', 'name', 'name-reading', 'birth-date', 'modality', 'same-day', 'near-day',
  'sex-differs', 'birth-date-differs', 'modality-differs',
]) // prettier-ignore
export type MatchReason = z.infer<typeof MatchReason>

/** One exam or patient as the matching page shows it: masked (SEC-06), dates ISO. */
export const MatchedExam = z.object({
  examId: z.string(),
  accessionNumber: z.string(),
  patientId: z.string(),
  patientName: z.string(),
  patientSex: z.string(),
  patientBirthDate: z.string(),
  patientAge: z.string(),
  modality: z.string(),
  description: z.string(),
  studyDate: z.string(),
  studyTime: z.string(),
  ...ExamPlacement.pick({ campus: true, department: true }).shape,
})
export type MatchedExam = z.infer<typeof MatchedExam>

/** A registered exam without images that arrived images may belong to. */
export const MatchSuggestion = z.object({ exam: MatchedExam, /** 0 to 100. */ score: z.number().int(), reasons: z.array(MatchReason) })
export type MatchSuggestion = z.infer<typeof MatchSuggestion>

export const UnmatchedRow = MatchedExam.extend({
  studyInstanceUid: StudyInstanceUid,
  instanceCount: z.number().int(),
  seriesCount: z.number().int(),
  receivedAt: EpochMs,
  /** AE title, account or hospital that sent the first instance. */
  source: z.string(),
  best: MatchSuggestion.nullable(),
})
export type UnmatchedRow = z.infer<typeof UnmatchedRow>

const reason = z.string().trim().min(2, '请填写理由 / give a reason').max(500)
const isoDate = z.union([z.iso.date(), z.literal('')])

/** Where images shall belong: to an exam, or to a patient whose exam is not registered. What is absent stays as the images say. */
export const CorrectionTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('exam'), examId: z.string().min(1).max(64) }),
  z.object({
    kind: z.literal('patient'),
    patientId: z.string().trim().min(1).max(64),
    patientName: z.string().trim().min(1).max(200),
    patientSex: z.enum(['M', 'F', 'O', '']),
    patientBirthDate: isoDate,
    accessionNumber: z.string().trim().max(16).optional(),
    description: z.string().trim().max(64).optional(),
  }),
])
export type CorrectionTarget = z.infer<typeof CorrectionTarget>

/** POST /api/matching/studies/:studyUid/corrections */
export const CorrectionRequest = z.object({ target: CorrectionTarget, reason })
export type CorrectionRequest = z.infer<typeof CorrectionRequest>
/** POST …/undo, …/confirm */
export const CorrectionReason = z.object({ reason })

/** A value of the header before and after; names and numbers masked. */
export const CorrectedValue = z.object({ attribute: z.string(), from: z.string(), to: z.string() })
export type CorrectedValue = z.infer<typeof CorrectedValue>

/** `running`, `undoing`: files are being rewritten, and are again after a restart; `failed`: tried again by hand, nothing was changed. */
export const CorrectionState = z.enum(['running', 'done', 'undoing', 'undone', 'failed'])
export type CorrectionState = z.infer<typeof CorrectionState>

export const CorrectionRow = z.object({
  correctionId: z.string(),
  studyInstanceUid: StudyInstanceUid,
  kind: z.enum(['exam', 'patient']),
  state: CorrectionState,
  examId: z.string(),
  reason: z.string(),
  by: z.string(),
  startedAt: EpochMs,
  endedAt: EpochMs.nullable(),
  changes: z.array(CorrectedValue),
  instancesRewritten: z.number().int(),
  /** Code of the problem that ended it. */
  problem: z.string().nullable(),
  undone: z.object({ by: z.string(), at: EpochMs, reason: z.string() }).nullable(),
})
export type CorrectionRow = z.infer<typeof CorrectionRow>

/** GET /api/studies/:studyUid/places: where its files are, where they went, and what took the place of what. */
export const StudyPlaces = z.object({
  /** '' for the archive's own disk. */
  tier: z.string(),
  sizeBytes: z.number().int(),
  duplicates: z.number().int(),
  /** Devices of this hospital, newest first. */
  forwards: z.array(z.object({ aeTitle: z.string(), state: z.string(), instancesDone: z.number().int(), instancesTotal: z.number().int(), updatedAt: EpochMs })),
  /** Instances whose former content is kept, by why it was replaced. */
  replaced: z.array(z.object({ reason: z.enum(['sent', 'correction', 'restored', 'compression']), instances: z.number().int(), lastAt: EpochMs, by: z.string() })),
  /** What rules and corrections changed on the way in. */
  coerced: z.array(z.object({ by: z.string(), instances: z.number().int(), lastAt: EpochMs })),
})
export type StudyPlaces = z.infer<typeof StudyPlaces>

/** Key states of an exam (ARC-27), in the order of the work. */
export const ExamStateName = z.enum(['requested', 'registered', 'scheduled', 'acquired', 'arrived', 'matched', 'archived', 'corrected', 'reported', 'signed', 'viewed', 'sent', 'exported', 'deleted'])
export type ExamStateName = z.infer<typeof ExamStateName>

/** One state that an exam reached: when, by whom, in which system. `count`: how often, where it is counted. */
export const ExamStateRow = z.object({
  state: ExamStateName,
  at: EpochMs,
  actor: z.string(),
  system: z.string(),
  count: z.number().int(),
  detail: z.string(),
})
export type ExamStateRow = z.infer<typeof ExamStateRow>
/** GET /api/exam-states: of one exam or of all with an accession number. */
export const ExamStates = z.object({ exam: MatchedExam, origin: ExamOrigin, studyInstanceUid: StudyInstanceUid.nullable(), states: z.array(ExamStateRow) })
export type ExamStates = z.infer<typeof ExamStates>

const count = z.number().int()
/** What came in: how far it is on its way (ARC-18). */
const arrivalCounts = { studies: count, instances: count, sizeBytes: count, matched: count, unmatched: count, duplicates: count, missing: count }
export const ArchiveMonitorGroup = z.object({ campus: z.string(), department: z.string(), modality: z.string(), source: z.string(), ...arrivalCounts })
export type ArchiveMonitorGroup = z.infer<typeof ArchiveMonitorGroup>

/** One study that came in: received, registered, matched, archived. Patients masked. */
export const ArchiveMonitorStudy = MatchedExam.extend({
  studyInstanceUid: StudyInstanceUid,
  source: z.string(),
  firstAt: EpochMs,
  lastAt: EpochMs,
  instanceCount: count,
  seriesCount: count,
  sizeBytes: count,
  duplicateCount: count,
  /** Instances whose file is lost. */
  missing: count,
  registered: z.boolean(),
  matched: z.boolean(),
})
export type ArchiveMonitorStudy = z.infer<typeof ArchiveMonitorStudy>

/** An instance that is on the disk and could not be registered: kept until somebody tries it again (FED-23). */
export const FailedRegistrationRow = z.object({ fileId: z.string(), failedAt: EpochMs, code: z.string(), title: z.string(), studyInstanceUid: z.string(), sizeBytes: count, source: z.string() })
export type FailedRegistrationRow = z.infer<typeof FailedRegistrationRow>

/** GET /api/archive-monitor: one day, or since a time. */
export const ArchiveMonitor = z.object({
  groups: z.array(ArchiveMonitorGroup),
  totals: z.object({ ...arrivalCounts, failed: count, refused: count, coerced: count }),
  /** Those that the asker may have on a list, newest first; `more`: not all of them. */
  studies: z.array(ArchiveMonitorStudy),
  more: z.boolean(),
  failed: z.array(FailedRegistrationRow),
})
export type ArchiveMonitor = z.infer<typeof ArchiveMonitor>
