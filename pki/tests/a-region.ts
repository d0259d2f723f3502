import { type EpochMs, isProblem, PartyId, type Problem, type ProblemCode, RegionId } from 'specs'
import {
  type Authority,
  createCsr,
  createIntermediateCa,
  createRootCa,
  generateSm2KeyPair,
  type Identity,
  issueCertificate,
  issueCrl,
  loadIdentity,
  TrustStore,
} from '../src/index.ts'

const DAY_MS = 86_400_000

/** A region as tests need it: root, authority, parties with genuine certificates. Nothing of it is reused between regions. */
export interface TestRegion {
  readonly regionId: RegionId
  readonly root: Authority
  readonly ca: Authority
  party(name: string, options?: { days?: number; now?: EpochMs; serial?: string }): Identity
  crl(revoked: readonly Identity[], options?: { number?: number; at?: EpochMs; nextUpdateMs?: EpochMs }): string
  trust(options?: { crlPem?: string }): TrustStore
}

export function aRegion(options: { regionId?: string; now?: EpochMs } = {}): TestRegion {
  const regionId = RegionId.parse(options.regionId ?? 'yunling')
  const now = options.now ?? Date.now()
  const root = createRootCa({ name: '区域影像网根证书', days: 3650, now })
  const ca = createIntermediateCa(root, { name: '云岭区域证书机构', regionId, days: 1825, now })
  return {
    regionId,
    root,
    ca,
    party(name, issue = {}) {
      const { privateKeyPem } = generateSm2KeyPair()
      const csr = createCsr({ party: PartyId.parse(name), organisation: `医院 ${name}`, regionId, privateKeyPem })
      const leaf = issueCertificate(ca, csr, { days: 365, now, ...issue })
      return loadIdentity({ certificateChain: [leaf, ca.certificatePem], privateKeyPem })
    },
    crl: (revoked, { number = 1, at = now, nextUpdateMs = now + 30 * DAY_MS } = {}) =>
      issueCrl(ca, { revoked: revoked.map(({ certificate }) => ({ serial: certificate.serial, at })), number, nextUpdateMs, now }),
    trust: ({ crlPem } = {}) => new TrustStore({ rootPem: root.certificatePem, regionId, ...(crlPem !== undefined && { crlPem }) }),
  }
}

/** The code of the Problem that `work` must end in; anything else fails the test with its own message. */
export function problemOf(work: () => unknown): ProblemCode {
  return refusalOf(work).code
}

/** Code and reason, where one code has several reasons and the test is about one of them. */
export function reasonOf(work: () => unknown): string {
  const { code, facts } = refusalOf(work)
  return `${code}: ${String(facts['reason'])}`
}

function refusalOf(work: () => unknown): Problem {
  try {
    work()
  } catch (error) {
    if (isProblem(error)) return error
    throw error
  }
  throw new Error('expected a Problem, but it went through')
}
