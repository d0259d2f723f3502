import { ASSERTION_SKEW_MS, ASSERTION_VALID_MS, Problem, type EpochMs, type HospitalId, type IdentityAssertion, type PartyId, type Right, type StudyInstanceUid } from 'specs'

/** What the call itself says; the assertion must say the same. */
export interface AssertedUse {
  readonly here: HospitalId
  /** Who sealed the call. */
  readonly from: HospitalId
  /** Whose certificate signed the assertion. */
  readonly signer: PartyId
  readonly service: string
  readonly study?: StudyInstanceUid | undefined
  /** Without one of these at home nobody may do it elsewhere. */
  readonly needs: readonly Right[]
  readonly now: EpochMs
}

/**
 * Whether an assertion whose signature is good may be used for this call. Pure.
 * @throws {Problem} access/assertion-invalid with what does not fit, access/assertion-expired, access/forbidden without the right
 */
export function checkAssertion(assertion: IdentityAssertion, use: AssertedUse): void {
  const invalid = (reason: string) => new Problem('access/assertion-invalid', { assertionId: assertion.assertionId, reason })
  if (use.signer !== assertion.hospital) throw invalid('signer')
  // A hospital speaks for its own people only: nobody passes on what another hospital has asserted.
  if (assertion.hospital !== use.from) throw invalid('hospital')
  if (assertion.audience !== use.here) throw invalid('audience')
  if (assertion.service !== use.service) throw invalid('service')
  if (use.study !== undefined && assertion.studyInstanceUid !== use.study) throw invalid('study')
  const { issuedAt, expires } = assertion
  if (expires <= issuedAt || expires - issuedAt > ASSERTION_VALID_MS) throw invalid('validity')
  if (use.now >= expires + ASSERTION_SKEW_MS || use.now < issuedAt - ASSERTION_SKEW_MS) {
    throw new Problem('access/assertion-expired', { assertionId: assertion.assertionId, issuedAt, expires })
  }
  if (!use.needs.some((right) => assertion.person.rights.includes(right))) throw new Problem('access/forbidden', { needs: use.needs })
}
