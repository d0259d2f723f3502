import { z } from 'zod'
import { Authorisation, ConsentForm, ConsentVersion, Grantees, PatientIdentity, SharedScope } from '../access/authorisation.ts'
import { GrantKind } from '../access/grant.ts'
import { CarePurpose } from '../federation/assertion.ts'
import { AskedHospital, ConsentCode, FoundExam } from '../federation/cross-hospital.ts'
import { ExamSnapshot } from '../consult/messages.ts'
import { EpochMs, GrantId, HospitalId, StudyInstanceUid, TaskId } from '../identifiers.ts'

const Reason = z.string().trim().min(2, '请填写理由').max(500)
/** For what a person may search; the other two purposes come with tasks. */
export const SearchPurpose = CarePurpose.extract(['treatment', 'referral', 'consultation'])
export type SearchPurpose = z.infer<typeof SearchPurpose>

/** GET /api/cross-hospital/hospitals: the other members of the region. */
export const MemberName = z.object({ id: HospitalId, name: z.string() })
export type MemberName = z.infer<typeof MemberName>

/** POST /api/cross-hospital/searches */
export const CrossSearchRequest = z.object({ patient: PatientIdentity, purpose: SearchPurpose, reason: Reason, code: ConsentCode.optional() })
export type CrossSearchRequest = z.input<typeof CrossSearchRequest>

/** `own`: an exam of this hospital, opened as always. */
export const CrossExamRow = FoundExam.omit({ because: true }).extend({
  hospitalId: HospitalId,
  hospitalName: z.string(),
  because: z.union([GrantKind, z.literal('own')]),
})
export type CrossExamRow = z.infer<typeof CrossExamRow>

/** GET /api/cross-hospital/searches/:searchId: newest exam first; grows while hospitals answer. */
export const CrossSearch = z.object({
  searchId: z.uuid(),
  startedAt: EpochMs,
  purpose: SearchPurpose,
  isComplete: z.boolean(),
  hospitals: z.array(AskedHospital),
  rows: z.array(CrossExamRow),
})
export type CrossSearch = z.infer<typeof CrossSearch>

/** POST /api/cross-hospital/exams: asks the owner for a grant and begins to fetch. */
export const OpenCrossExam = z.object({ searchId: z.uuid(), hospitalId: HospitalId, studyInstanceUid: StudyInstanceUid })

/** GET /api/cross-hospital/exams: what this person holds grants for. */
export const HeldExam = z.object({
  grantId: GrantId,
  hospitalId: HospitalId,
  hospitalName: z.string(),
  studyInstanceUid: StudyInstanceUid,
  kind: GrantKind,
  purpose: CarePurpose,
  state: z.enum(['valid', 'expired', 'withdrawn']),
  givenAt: EpochMs,
  expires: EpochMs,
  exam: ExamSnapshot.nullable(),
})
export type HeldExam = z.infer<typeof HeldExam>

/** POST /api/grants/authorisations: a decision of this hospital (授权). */
export const AuthorisationDraft = z.object({
  grantees: Grantees,
  purposes: z.array(CarePurpose).min(1),
  scope: SharedScope,
  expires: EpochMs,
  reason: Reason,
})
export type AuthorisationDraft = z.input<typeof AuthorisationDraft>

export const AuthorisationRow = Authorisation.extend({
  state: z.enum(['valid', 'not-yet', 'expired', 'withdrawn']),
  granteeNames: z.array(z.string()),
  /** Of a consent. */
  consentId: z.string().nullable(),
  /** Grants derived from it so far. */
  grants: z.number().int(),
})
export type AuthorisationRow = z.infer<typeof AuthorisationRow>

/** GET /api/grants: what this hospital has given to others, newest first, with tasks' grants. */
export const GrantRow = z.object({
  grantId: GrantId,
  kind: GrantKind,
  grantees: z.array(z.object({ id: HospitalId, name: z.string() })),
  studyInstanceUids: z.array(StudyInstanceUid),
  purpose: CarePurpose,
  taskId: TaskId.nullable(),
  authorisationId: z.string().nullable(),
  personName: z.string().nullable(),
  issuedAt: EpochMs,
  expires: EpochMs,
  state: z.enum(['valid', 'expired', 'withdrawn']),
  withdrawnAt: EpochMs.nullable(),
  withdrawnBecause: z.string().nullable(),
  /** Grantees that have not yet confirmed the withdrawal. */
  unconfirmed: z.array(HospitalId),
})
export type GrantRow = z.infer<typeof GrantRow>
export const WithdrawReason = z.object({ reason: Reason })

/** POST /api/consents. `give`: our exams to others; `receive`: the patient, treated here, lets other hospitals give us theirs. */
export const ConsentDraft = z.object({
  direction: z.enum(['give', 'receive']),
  patient: PatientIdentity,
  /** Whom we may give to; for `receive` it is this hospital. With a code it is whoever enters it. */
  grantees: Grantees.optional(),
  form: ConsentForm,
  textVersion: ConsentVersion,
  purposes: z.array(CarePurpose).min(1),
  scope: SharedScope.omit({ patientId: true, studyInstanceUids: true }).prefault({}),
  expires: EpochMs,
})
export type ConsentDraft = z.input<typeof ConsentDraft>

export const ConsentRow = z.object({
  consentId: z.uuid(),
  direction: z.enum(['give', 'receive']),
  authorisationId: z.string().nullable(),
  /** Masked unless the reader may see patients unmasked. */
  patientName: z.string(),
  patientId: z.string(),
  recordedAtHospital: HospitalId,
  recordedAt: EpochMs,
  recordedBy: z.string(),
  textVersion: z.string(),
  form: ConsentForm,
  grantees: z.array(HospitalId).or(z.literal('region')),
  purposes: z.array(CarePurpose),
  scope: SharedScope.omit({ patientId: true, studyInstanceUids: true }),
  expires: EpochMs,
  state: z.enum(['valid', 'waiting-for-code', 'expired', 'withdrawn']),
  withdrawnAt: EpochMs.nullable(),
})
export type ConsentRow = z.infer<typeof ConsentRow>
/** The code is told once, to whoever recorded the consent; the hospital keeps only its keyed hash. */
export const RecordedConsent = ConsentRow.extend({ code: z.string().nullable(), codeExpires: EpochMs.nullable() })
export type RecordedConsent = z.infer<typeof RecordedConsent>
