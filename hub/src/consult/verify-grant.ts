import { verifyDocument } from 'pki'
import { Problem, type EpochMs, type SignedGrant } from 'specs'
import type { KnownParties } from '../hospital/known-parties.ts'

/** Checked here as at every use of the grant, so that a worthless one is refused before anybody waits for images. */
export function grantVerifier(parties: KnownParties, now: () => EpochMs) {
  return ({ grant, signature, certificateChain }: SignedGrant): void => {
    const invalid = (reason: string, cause?: unknown) => new Problem('access/grant-invalid', { grantId: grant.grantId, reason }, { cause })
    let signer
    try {
      signer = verifyDocument(parties.trust, grant, { signature, certificateChain }, now(), { acceptSuperseded: true })
    } catch (error) {
      throw error instanceof Problem ? invalid(error.code, error) : error
    }
    if (signer.party !== grant.owner) throw invalid('signer')
  }
}
