import { z } from 'zod'
import { EpochMs, GrantId, HospitalId, StudyInstanceUid, TaskId } from '../identifiers.ts'

/**
 * Leave to see another hospital's exam: what, who, for which purpose, until when. Signed by the owner, so that whoever
 * holds a copy of the images (data centre) can check it without asking. Carries nothing about the patient.
 */
export const Grant = z.object({
  grantId: GrantId,
  owner: HospitalId,
  grantees: z.array(HospitalId).min(1).max(500),
  studyInstanceUids: z.array(StudyInstanceUid).min(1).max(32),
  purpose: z.enum(['consultation', 'coread']),
  taskId: TaskId.optional(),
  notBefore: EpochMs,
  expires: EpochMs,
})
export type Grant = z.infer<typeof Grant>

/** SM2 signature over the canonical JSON of `grant`, DER base64, and the owner's PEM chain, leaf first. */
export const SignedGrant = z.object({ grant: Grant, signature: z.string().max(200), certificateChain: z.array(z.string().max(4_000)).min(1).max(4) })
export type SignedGrant = z.infer<typeof SignedGrant>
