import { z } from 'zod'
import { EpochMs, HospitalId, StudyInstanceUid, TaskId, UserId } from '../identifiers.ts'

/** What another hospital's exams may be wanted for. `treatment` 诊疗, `referral` 转诊, `consultation` 会诊, `coread` 区域书写与审核. */
export const CarePurpose = z.enum(['treatment', 'referral', 'consultation', 'coread'])
export type CarePurpose = z.infer<typeof CarePurpose>

/** For how long an assertion is good at most: one call, made now. */
export const ASSERTION_VALID_MS = 5 * 60_000
/** Clocks of two hospitals differ by no more. */
export const ASSERTION_SKEW_MS = 60_000
/** Inside what is signed, so that an assertion can never be taken for another signed document, nor one of them for it. */
export const ASSERTION_TYPE = 'lianpian/identity-assertion/1'

/** A person as the own hospital vouches for: signed in there, with these rights there. */
export const AssertedPerson = z.object({
  userId: UserId,
  name: z.string().min(1).max(60),
  title: z.string().max(40),
  department: z.string().max(64).optional(),
  /** Identifiers of roles; for showing and for the owner's trail. */
  roles: z.array(z.string().max(64)).max(50),
  /** Rights that bear on the call. Texts, so that a newer hospital's right does not make the assertion unreadable here. */
  rights: z.array(z.string().max(64)).max(50),
  authMethod: z.string().max(32),
  /** When the session began in which it was asked for. */
  signedInAt: EpochMs.optional(),
})
export type AssertedPerson = z.infer<typeof AssertedPerson>

/**
 * An expert signs in at the own hospital and acts elsewhere by assertion of that hospital's node: who, why, at which hospital, with
 * which call. Good once, for minutes. Travels inside a sealed call of the same hospital; says nothing of any patient.
 */
export const IdentityAssertion = z.object({
  type: z.literal(ASSERTION_TYPE),
  /** Random; the receiver takes it once. */
  assertionId: z.uuid(),
  hospital: HospitalId,
  audience: HospitalId,
  /** The call it was made for, as in `services`. */
  service: z.string().max(64),
  person: AssertedPerson,
  purpose: CarePurpose,
  /** As the person gave it. */
  reason: z.string().max(500).optional(),
  studyInstanceUid: StudyInstanceUid.optional(),
  taskId: TaskId.optional(),
  issuedAt: EpochMs,
  expires: EpochMs,
})
export type IdentityAssertion = z.infer<typeof IdentityAssertion>

/** SM2 signature over the canonical JSON of `assertion`, DER base64, by the hospital's node, with the chain, leaf first. */
export const SignedAssertion = z.object({
  assertion: IdentityAssertion,
  signature: z.string().max(200),
  certificateChain: z.array(z.string().max(4_000)).min(1).max(4),
})
export type SignedAssertion = z.infer<typeof SignedAssertion>
