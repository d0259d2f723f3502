import { verifyDocument, type TrustStore } from 'pki'
import { isProblem, type EpochMs, type SignedGrant } from 'specs'

/** Whether the hospital that the grant names as owner has signed it, with a certificate that is good now, or was merely replaced. */
export function isGenuineGrant(signed: SignedGrant, trust: TrustStore | undefined, now: EpochMs): boolean {
  if (trust === undefined) return false
  try {
    return verifyDocument(trust, signed.grant, signed, now, { acceptSuperseded: true }).party === signed.grant.owner
  } catch (error) {
    if (isProblem(error)) return false
    throw error
  }
}
