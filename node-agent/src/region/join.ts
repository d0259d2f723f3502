import { outboundFetch, type Log, type Outbound } from 'service-kit'
import { createCsr, generateSm2KeyPair, parseCertificate, TrustStore } from 'pki'
import { HUB, isProblem, isProblemCode, JoinResponse, parseWith, Problem, RegionInfo, type EpochMs, type HospitalId } from 'specs'
import { z } from 'zod'
import { ringFrom } from '../certificate/own-identity.ts'
import type { Membership } from './membership.ts'
import { checkNatsTrust } from './nats-trust.ts'
import type { RegionSecrets } from './secrets.ts'

export interface JoinWish {
  readonly hubUrl: string
  /** `<secret>-<first 16 hex digits of the root's SM3>`, as the region's administrator read it out. */
  readonly code: string
  readonly hospitalId: HospitalId
  readonly hospitalName: string
  readonly agentVersion: string
  /** Ask for two certificates: one to sign, one to receive. */
  readonly dual?: boolean
  readonly now: EpochMs
  readonly timeoutMs: number
  readonly outbound: Outbound
  /** PEM of the authority of the platform's HTTPS certificate, where it is none that systems know. */
  readonly hubCa?: string | undefined
  readonly log: Log
}

/**
 * Joins a region: the key pair is made here and never leaves; the platform certifies it. Before the code is shown to
 * whoever answers at the address, its root must be the one that the code names.
 *
 * @throws {Problem} outbound/refused, region/wrong-root, region/wrong-join-code, region/hub-unreachable, certificate/…
 */
export async function joinRegion(wish: JoinWish): Promise<{ membership: Membership; secrets: RegionSecrets }> {
  const { hubUrl, code, hospitalId, hospitalName, agentVersion, now } = wish
  const info = parseWith(RegionInfo, await askHub(wish, '/api/region', undefined), 'region')
  if (!isPinnedRoot(info.rootCertificate, code)) throw new Problem('region/wrong-root', { hubUrl })
  const privateKeyPems = (wish.dual ? ['signing', 'receiving'] : ['both']).map(() => generateSm2KeyPair().privateKeyPem)
  const [csr, encryptionCsr] = privateKeyPems.map((privateKeyPem) =>
    createCsr({ party: hospitalId, organisation: hospitalName, regionId: info.regionId, privateKeyPem }),
  )
  const asked = { code, csr, agentVersion, ...(encryptionCsr !== undefined && { encryptionCsr }) }
  const joined = parseWith(JoinResponse, await askHub(wish, '/api/join', asked), 'join response')
  checkJoined(joined, info, hospitalId, privateKeyPems, now)
  const { regionId, regionName, hospital, certificateChain, encryptionCertificate, hubCertificateChain, natsUrl, natsCredentials, directory } = joined
  const membership = {
    regionId,
    regionName,
    hubUrl,
    hospital,
    certificateChain,
    ...(encryptionCertificate !== undefined && { encryptionCertificate }),
    rootCertificate: info.rootCertificate,
    hubCertificateChain,
    natsUrl,
    directory,
  }
  return { membership, secrets: { privateKeyPems, natsCredentials } }
}

/** The code ends with the beginning of the root's fingerprint; a code without one pins nothing and is refused. */
export function isPinnedRoot(rootPem: string, code: string): boolean {
  const [, pin] = /-([0-9a-f]{16,64})$/.exec(code.trim()) ?? []
  return pin !== undefined && parseCertificate(rootPem).fingerprintSm3.startsWith(pin)
}

/** The answer must hold together: our key, our name, this root, and a hub certified by it. */
function checkJoined(joined: JoinResponse, info: RegionInfo, hospitalId: HospitalId, privateKeyPems: readonly string[], now: EpochMs): void {
  const fingerprintOf = (pem: string) => parseCertificate(pem).fingerprintSm3
  if (joined.regionId !== info.regionId || fingerprintOf(joined.rootCertificate) !== fingerprintOf(info.rootCertificate))
    throw new Problem('region/wrong-root')
  const trust = new TrustStore({ rootPem: info.rootCertificate, crlPem: joined.crl, regionId: joined.regionId })
  const own = trust.verifyChain(joined.certificateChain, now)
  const hub = trust.verifyChain(joined.hubCertificateChain, now)
  checkNatsTrust(joined.directory, trust, now)
  if (own.party !== hospitalId || hub.party !== HUB) throw new Problem('certificate/invalid', { reason: 'party' })
  ringFrom(joined, privateKeyPems)
}

const ProblemAnswer = z.object({ code: z.string(), facts: z.record(z.string(), z.unknown()).default({}) })

async function askHub({ hubUrl, timeoutMs, outbound, hubCa, log }: JoinWish, path: string, body: unknown): Promise<unknown> {
  const url = new URL(path, hubUrl)
  const request = body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
  const unreachable = (facts: object, cause?: unknown) => new Problem('region/hub-unreachable', { hubUrl, ...facts }, { cause })
  const response = await outboundFetch(outbound, url, request, { purpose: 'hub', ca: hubCa, timeoutMs }).catch((cause: unknown) => {
    log.warn({ url: url.href, err: cause }, 'the platform does not answer')
    throw isProblem(cause) ? cause : unreachable({}, cause)
  })
  log.info({ url: url.href, status: response.status }, 'asked the platform')
  const answer: unknown = await response.json().catch((cause: unknown) => {
    throw unreachable({ status: response.status, reason: 'no JSON' }, cause)
  })
  if (response.ok) return answer
  const problem = ProblemAnswer.safeParse(answer)
  if (problem.success && isProblemCode(problem.data.code)) throw new Problem(problem.data.code, problem.data.facts)
  throw unreachable({ status: response.status })
}
