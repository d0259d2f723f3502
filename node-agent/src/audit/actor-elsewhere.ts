import type { AssertedPerson, AuditActor, HospitalId } from 'specs'

/** A person of another hospital, as that hospital asserted it: the trail names who looked, not only which hospital. */
export function actorElsewhere(hospitalId: HospitalId, { userId, name, roles, authMethod }: AssertedPerson): AuditActor {
  return { kind: 'user', id: userId, name, roles, authMethod, hospitalId }
}

/** Whether the actor is a person or interface of another hospital. */
export const isFromElsewhere = ({ kind, hospitalId }: AuditActor, here: HospitalId): boolean =>
  (kind === 'user' || kind === 'service') && hospitalId !== undefined && hospitalId !== here
