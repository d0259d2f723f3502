import { z } from 'zod'
import { EpochMs, GrantId, HospitalId, StudyInstanceUid, TaskId, UserId } from '../identifiers.ts'
import { CarePurpose } from '../federation/assertion.ts'

/** What a grant rests on: a task of the region, a decision of the owner, a consent of the patient. */
export const GrantKind = z.enum(['task', 'policy', 'consent'])
export type GrantKind = z.infer<typeof GrantKind>

/**
 * Leave to see another hospital's exam: what, who, for which purpose, until when. Signed by the owner, so that whoever
 * holds a copy of the images (data centre) can check it without asking. Carries nothing about the patient.
 *
 * Fields that came later are optional without defaults: what is signed is what is there.
 */
export const Grant = z.object({
  grantId: GrantId,
  owner: HospitalId,
  grantees: z.array(HospitalId).min(1).max(500),
  studyInstanceUids: z.array(StudyInstanceUid).min(1).max(32),
  purpose: CarePurpose,
  taskId: TaskId.optional(),
  notBefore: EpochMs,
  expires: EpochMs,
  /** Absent: `task`. */
  kind: GrantKind.optional(),
  /** The standing authorisation that a short grant was derived from; its withdrawal ends the grant. */
  authorisationId: z.uuid().optional(),
  /** The one person of the grantee for whom it was given; absent: whoever works on the task there. */
  person: UserId.optional(),
})
export type Grant = z.infer<typeof Grant>

/** SM2 signature over the canonical JSON of `grant`, DER base64, and the owner's PEM chain, leaf first. */
export const SignedGrant = z.object({ grant: Grant, signature: z.string().max(200), certificateChain: z.array(z.string().max(4_000)).min(1).max(4) })
export type SignedGrant = z.infer<typeof SignedGrant>

export const kindOfGrant = ({ kind }: Pick<Grant, 'kind'>): GrantKind => kind ?? 'task'
