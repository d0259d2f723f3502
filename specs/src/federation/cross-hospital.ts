import { z } from 'zod'
import { ConsentStatement, PatientIdentity } from '../access/authorisation.ts'
import { GrantKind, SignedGrant } from '../access/grant.ts'
import { ExamSnapshot } from '../consult/messages.ts'
import { EpochMs, GrantId, HospitalId, StudyInstanceUid } from '../identifiers.ts'
import { CarePurpose, SignedAssertion } from './assertion.ts'

/** 授权码 as it travels: only to the hospital that gave it. */
export const ConsentCode = z
  .string()
  .transform((text) => text.toUpperCase().replace(/[\s-]/g, ''))
  .pipe(z.string().regex(/^[0-9A-HJKMNP-TV-Z]{32}$/, '授权码有误'))

/** Sealed request of service `exam.search`: which exams of this patient may the person named by the assertion see? */
export const ExamSearch = z.object({
  searchId: z.uuid(),
  patient: PatientIdentity,
  purpose: CarePurpose,
  consents: z.array(ConsentStatement).max(10),
  code: ConsentCode.optional(),
  assertion: SignedAssertion,
})
export type ExamSearch = z.infer<typeof ExamSearch>

/** Why an exam is shown across hospitals. */
export const SharedBecause = GrantKind
export const FoundExam = z.object({
  studyInstanceUid: StudyInstanceUid,
  accessionNumber: z.string().max(64),
  patient: ExamSnapshot.shape.patient,
  modality: z.string().max(16),
  bodyPart: z.string().max(64),
  description: z.string().max(200),
  studyDate: z.string().max(10),
  studyTime: z.string().max(16),
  instanceCount: z.number().int().nonnegative(),
  hasReport: z.boolean(),
  because: SharedBecause,
  /** Until when the authorisation lasts, unless it is withdrawn; null for as long as the task does. */
  until: EpochMs.nullable(),
})
export type FoundExam = z.infer<typeof FoundExam>

/**
 * `unseen`: whether there is more that needs an authorisation. `untold` is what a hospital answers always, whether it knows the
 * patient or not, unless it has chosen to tell: that somebody was treated there is a secret of its own.
 */
export const ExamSearchAnswer = z.object({ rows: z.array(FoundExam).max(500), unseen: z.enum(['untold', 'none', 'some']) })
export type ExamSearchAnswer = z.infer<typeof ExamSearchAnswer>

/** Sealed request of service `grant.ask`: a grant for one study, decided anew at this moment. */
export const GrantAsk = z.object({ studyInstanceUid: StudyInstanceUid, purpose: CarePurpose, assertion: SignedAssertion })
export type GrantAsk = z.infer<typeof GrantAsk>
export const GrantGiven = z.object({ grant: SignedGrant, exam: ExamSnapshot, until: EpochMs.nullable() })
export type GrantGiven = z.infer<typeof GrantGiven>

/** Sealed request of service `grant.withdrawn`, owner → grantee, repeated until it is answered. */
const WithdrawnGrant = z.object({ grantId: GrantId, withdrawnAt: EpochMs })
export type WithdrawnGrant = z.infer<typeof WithdrawnGrant>
export const GrantsWithdrawn = z.object({ grants: z.array(WithdrawnGrant).min(1).max(500) })
export type GrantsWithdrawn = z.infer<typeof GrantsWithdrawn>
/** Sealed request of service `study.erased`, owner → whoever was ever named in a grant for it, repeated until the copies are gone. */
export const StudiesErased = z.object({ studies: z.array(z.object({ studyInstanceUid: StudyInstanceUid, erasedAt: EpochMs })).min(1).max(100) })
export type StudiesErased = z.infer<typeof StudiesErased>
/** Sealed request of service `grant.standing`, grantee → owner: which of these no longer hold? */
export const GrantStandingAsk = z.object({ grantIds: z.array(GrantId).min(1).max(500) })
export const GrantStandingAnswer = z.object({ withdrawn: z.array(WithdrawnGrant).max(500) })

/** Sealed request of service `consent.withdrawn`: a consent that the sender recorded and sent along has been withdrawn there. */
export const ConsentWithdrawn = z.object({ consentId: z.uuid(), withdrawnAt: EpochMs })

/** A hospital of a search, as the page shows it. */
export const AskedHospital = z.object({
  hospitalId: HospitalId,
  name: z.string(),
  state: z.enum(['asking', 'answered', 'silent', 'refused']),
  /** Why it did not answer, or refused. */
  problem: z.object({ code: z.string(), title: z.string() }).nullable(),
  unseen: z.enum(['untold', 'none', 'some']),
  found: z.number().int(),
  milliseconds: z.number().int().nullable(),
})
export type AskedHospital = z.infer<typeof AskedHospital>
