import { verifyDocument, type TrustStore } from 'pki'
import { type Directory, type EpochMs, HUB, natsTrustDocument, Problem } from 'specs'
import type { Membership } from './membership.ts'

/** Which nats-server this hospital connects to, and by what it recognises it. The directory's word is newer than that of joining. */
export function natsTrustOf({ natsUrl, directory }: Pick<Membership, 'natsUrl' | 'directory'>): { natsUrl: string; natsCa?: string | undefined } {
  return directory.natsTrust ?? { natsUrl }
}

/**
 * Whoever could put another TLS root into the directory could put another server in the place of the region's.
 *
 * @throws {Problem} envelope/bad-signature, certificate/*
 */
export function checkNatsTrust({ natsTrust, regionId }: Directory, trust: TrustStore, now: EpochMs): void {
  if (natsTrust === undefined) return
  const signer = verifyDocument(trust, natsTrustDocument(regionId, natsTrust), natsTrust, now)
  if (signer.party !== HUB) throw new Problem('envelope/wrong-sender', { what: 'natsTrust' })
}
