import { randomUUID } from 'node:crypto'
import { signDocument, type Identity } from 'pki'
import { rightsOf, type User } from 'service-kit'
import {
  ASSERTION_TYPE,
  ASSERTION_VALID_MS,
  AssertedPerson,
  parseWith,
  type CarePurpose,
  type EpochMs,
  type HospitalId,
  type IdentityAssertion,
  type Right,
  type SignedAssertion,
  type StudyInstanceUid,
  type TaskId,
} from 'specs'

/** As much of a signed-in user as another hospital is told. */
export type Asserted = Pick<User, 'id' | 'name' | 'title' | 'roles' | 'department' | 'entitlements' | 'authMethod' | 'signedInAt'>

/** What another hospital may weigh; rights of administration are nobody else's business. */
const told: readonly Right[] = ['exam.read', 'image.view', 'consult.apply', 'consult.process', 'region.search', 'report.write', 'report.review']

export function assertedPersonOf({ id, name, title, roles, department, entitlements, authMethod, signedInAt }: Asserted): AssertedPerson {
  const rights = rightsOf({ entitlements }).filter((right) => told.includes(right))
  const person = { userId: id, name, title, roles: roles.slice(0, 50), rights, authMethod, ...(department !== undefined && { department }), ...(signedInAt !== undefined && { signedInAt }) }
  return parseWith(AssertedPerson, person, 'person')
}

/** The call that an assertion is made for. */
export interface AssertedCall {
  readonly audience: HospitalId
  readonly service: string
  readonly purpose: CarePurpose
  readonly reason?: string | undefined
  readonly studyInstanceUid?: StudyInstanceUid | undefined
  readonly taskId?: TaskId | undefined
}

/** This hospital's word for one of its people, for one call to one other hospital. */
export type Assert = (person: AssertedPerson, call: AssertedCall) => SignedAssertion

/** @param identity throws region/not-joined while there is no region to be known in. */
export function asserter({ hospitalId, identity, now }: { hospitalId: HospitalId; identity: () => Identity; now: () => EpochMs }): Assert {
  return (person, { audience, service, purpose, reason, studyInstanceUid, taskId }) => {
    const issuedAt = now()
    const assertion: IdentityAssertion = {
      type: ASSERTION_TYPE,
      assertionId: randomUUID(),
      hospital: hospitalId,
      audience,
      service,
      person,
      purpose,
      ...(reason !== undefined && { reason }),
      ...(studyInstanceUid !== undefined && { studyInstanceUid }),
      ...(taskId !== undefined && { taskId }),
      issuedAt,
      expires: issuedAt + ASSERTION_VALID_MS,
    }
    return { assertion, ...signDocument(identity(), assertion) }
  }
}
