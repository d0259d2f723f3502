import { verifyDocument, type TrustStore } from 'pki'
import type { Database, Migration } from 'service-kit'
import { ASSERTION_SKEW_MS, isProblem, Problem, type EpochMs, type HospitalId, type IdentityAssertion, type PartyId, type Right, type SignedAssertion, type StudyInstanceUid } from 'specs'
import { checkAssertion } from './decide.ts'

/** Kept across restarts, or an assertion could be used again after one. */
export const assertionMigrations: readonly Migration[] = [
  { name: '0001-seen-assertion', up: ['CREATE TABLE seen_assertion (assertion_id TEXT PRIMARY KEY, forget_at BIGINT NOT NULL)', 'CREATE INDEX seen_assertion_forget ON seen_assertion (forget_at)'] },
]

export interface AssertionDeskParts {
  readonly db: Database
  readonly hospitalId: HospitalId
  readonly trust: () => TrustStore | undefined
  readonly now: () => EpochMs
}

export interface AssertedRequest {
  readonly from: HospitalId
  readonly service: string
  readonly study?: StudyInstanceUid | undefined
  readonly needs: readonly Right[]
}

/** Where people of other hospitals are let in on their own hospital's word. */
export class AssertionDesk {
  readonly #parts: AssertionDeskParts

  constructor(parts: AssertionDeskParts) {
    this.#parts = parts
  }

  /** @throws {Problem} access/assertion-invalid, -expired, -replayed, access/forbidden */
  async admit(signed: SignedAssertion, { from, service, study, needs }: AssertedRequest): Promise<IdentityAssertion> {
    const { db, hospitalId: here, now } = this.#parts
    const { assertion } = signed
    checkAssertion(assertion, { here, from, signer: this.#signerOf(signed), service, study, needs, now: now() })
    // Last, so that a forged assertion cannot use up the id of a genuine one.
    const { assertionId, expires } = assertion
    await db.run('DELETE FROM seen_assertion WHERE forget_at < $1', [now()])
    const isNew = await db.run('INSERT INTO seen_assertion (assertion_id, forget_at) VALUES ($1, $2) ON CONFLICT DO NOTHING', [assertionId, expires + 2 * ASSERTION_SKEW_MS])
    if (isNew !== 1) throw new Problem('access/assertion-replayed', { assertionId })
    return assertion
  }

  /** Only a hospital's own certificate vouches for people: that of a doctor signs what the doctor has written. */
  #signerOf({ assertion, ...signature }: SignedAssertion): PartyId {
    const trust = this.#parts.trust()
    if (trust === undefined) throw new Problem('region/not-joined')
    try {
      return verifyDocument(trust, assertion, signature, this.#parts.now()).party
    } catch (error) {
      if (!isProblem(error)) throw error
      throw new Problem('access/assertion-invalid', { assertionId: assertion.assertionId, reason: error.code }, { cause: error })
    }
  }
}
