import { createCsr, generateSm2KeyPair, type Certificate, type KeyRing, type Sm2PrivateKey, type TrustStore } from 'pki'
import { HUB, parseWith, Problem, RenewalAnswer, services, type EpochMs, type HospitalId, type RegionId } from 'specs'
import type { Line } from '../region/line.ts'
import { identityFrom, type OwnCertificates } from './own-identity.ts'

/** When this part of its life is left, a certificate is renewed: with two years that is eight months before the end. */
const LEFT_PART = 1 / 3

/** Well before the end, so that a hospital that is offline for weeks does not come back to a closed door. */
export function isRenewalDue({ notBefore, notAfter }: Pick<Certificate, 'notBefore' | 'notAfter'>, now: EpochMs): boolean {
  return notAfter - now < (notAfter - notBefore) * LEFT_PART
}

export interface RenewalParts {
  readonly ring: KeyRing
  readonly line: Pick<Line, 'request'>
  readonly trust: TrustStore
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly hospitalName: string
  /** Two keys, one to sign and one to receive (GM/T 0015). */
  readonly dual: boolean
  readonly timeoutMs: number
  readonly now: () => EpochMs
  /** Keeps a key for good, before anybody can seal for it. */
  readonly keepKey: (privateKeyPem: string) => Promise<Sm2PrivateKey>
  /** Keeps the certificates, before anything is signed with them. */
  readonly keepCertificates: (certificates: OwnCertificates) => Promise<void>
}

/**
 * A new key, made here, certified by the region over the line that the present certificate has opened. Nothing is lost wherever
 * this ends: the key is kept first and opens what others may already seal for it, and the present certificate stays good.
 *
 * @throws {Problem} region/hub-unreachable; certificate/… when the answer does not hold together.
 */
export async function renewCertificates(parts: RenewalParts): Promise<OwnCertificates> {
  const { ring, line, trust, hospitalId, now } = parts
  const [csr, encryptionCsr] = [await aRequest(parts), parts.dual ? await aRequest(parts) : undefined]
  const keys = [csr.key, ...(encryptionCsr ? [encryptionCsr.key] : [])]
  ring.expect(...keys)
  const body = { csr: csr.pem, ...(encryptionCsr && { encryptionCsr: encryptionCsr.pem }) }
  const answer = parseWith(RenewalAnswer, await line.request(HUB, services.certificateRenew, body, { timeoutMs: parts.timeoutMs }), services.certificateRenew)

  const certificates = { certificateChain: answer.certificateChain, encryptionCertificate: answer.encryptionCertificate }
  const own = trust.verifyChain(certificates.certificateChain, now())
  const next = identityFrom(certificates, keys)
  if (own.party !== hospitalId || next.party !== hospitalId) throw new Problem('certificate/invalid', { reason: 'party' })
  await parts.keepCertificates(certificates)
  ring.renew(next)
  return certificates
}

async function aRequest({ hospitalId, hospitalName, regionId, keepKey }: RenewalParts): Promise<{ pem: string; key: Sm2PrivateKey }> {
  const { privateKeyPem } = generateSm2KeyPair()
  const key = await keepKey(privateKeyPem)
  return { pem: createCsr({ party: hospitalId, organisation: hospitalName, regionId, privateKeyPem }), key }
}
