import {
  createIntermediateCa,
  createRootCa,
  generateSm2KeyPair,
  issueCertificate,
  issueCrl,
  loadIdentity,
  parseCertificate,
  parseCsr,
  type Certificate,
  type Identity,
} from 'pki'
import { HUB, type EpochMs, type HospitalId, type RegionId } from 'specs'
import { authorityFiles, readIfPresent, readKeyFiles, writeKeyFiles, writeWhole, type KeyMaterial } from './files.ts'

export interface AuthorityOptions {
  /** Data folder of the hub. */
  readonly dir: string
  readonly regionId: RegionId
  readonly regionName: string
  readonly now?: () => EpochMs
}

const DAY_MS = 86_400_000
/** A root outlives several region authorities, they several certificates. */
const ROOT_DAYS = 20 * 365
const REGION_DAYS = 10 * 365
const HOSPITAL_DAYS = 2 * 365
/** Nodes learn the hub's certificate when they join and seal for it ever after, so it lasts as long as its authority. */
const HUB_DAYS = REGION_DAYS
/** A node that hears of no newer list for so long cannot know whom it may still trust; the hub issues one every day. */
const CRL_VALID_MS = 7 * DAY_MS

/**
 * Makes root, region authority and hub certificate where they are missing. Repeating it changes nothing, so a start
 * script may always call it.
 */
export async function initAuthority(options: AuthorityOptions): Promise<Authority> {
  const { dir, regionId, regionName, now = Date.now } = options
  const files = authorityFiles(dir)
  if (!(await readKeyFiles(files.region))) {
    let root = await readKeyFiles(files.root)
    if (!root) {
      root = createRootCa({ name: `${regionName} 根`, days: ROOT_DAYS, now: now() })
      await writeKeyFiles(files.root, root)
    }
    await writeWhole(files.rootCertificate, root.certificatePem, 0o644)
    await writeKeyFiles(files.region, createIntermediateCa(root, { name: regionName, regionId, days: REGION_DAYS, now: now() }))
  }
  return openAuthority(options)
}

/** @throws An Error that says to run `init` when there is no authority in `dir`. */
export async function openAuthority({ dir, regionId, regionName, now = Date.now }: AuthorityOptions): Promise<Authority> {
  const files = authorityFiles(dir)
  const region = await readKeyFiles(files.region)
  const rootPem = await readIfPresent(files.rootCertificate)
  if (!region || rootPem === undefined)
    throw new Error(`${dir} holds no region authority: run "hub/src/cli.ts init" with this configuration first`)
  const issuedFor = parseCertificate(region.certificatePem).subject.ou
  if (issuedFor !== regionId)
    throw new Error(`the region authority in ${dir} is of region ${issuedFor}, the configuration names ${regionId}`)

  const held = await readKeyFiles(files.hub)
  const hub = held ?? issueHub({ region, regionId, regionName, now: now() })
  if (!held) await writeKeyFiles(files.hub, hub)
  return new Authority({ region, rootPem, hub, regionId, now })
}

function issueHub({
  region,
  regionId,
  regionName,
  now,
}: {
  region: KeyMaterial
  regionId: RegionId
  regionName: string
  now: EpochMs
}): KeyMaterial {
  const { publicKeyPem, privateKeyPem } = generateSm2KeyPair()
  const subject = { party: HUB, organisation: regionName, regionId, publicKeyPem }
  return { certificatePem: issueCertificate(region, subject, { days: HUB_DAYS, now }), privateKeyPem }
}

interface AuthorityParts {
  readonly region: KeyMaterial
  readonly rootPem: string
  readonly hub: KeyMaterial
  readonly regionId: RegionId
  readonly now: () => EpochMs
}

/** The region's certificate authority at work: certifies hospitals, lists who no longer counts, and speaks as the hub. */
export class Authority {
  readonly root: Certificate
  readonly hub: Identity
  readonly #parts: AuthorityParts

  constructor(parts: AuthorityParts) {
    this.#parts = parts
    this.root = parseCertificate(parts.rootPem)
    this.hub = loadIdentity({
      certificateChain: [parts.hub.certificatePem, parts.region.certificatePem],
      privateKeyPem: parts.hub.privateKeyPem,
    })
  }

  /**
   * Certifies the key of a request for a hospital. Only the key is taken from the request, after proof that the asker
   * holds it; who the hospital is the registry says.
   *
   * @param csr PEM, PKCS#10 with SM2.
   * @throws {Problem} certificate/invalid
   */
  certify(csr: string, hospital: { id: HospitalId; name: string }): { certificate: Certificate; chain: string[] } {
    const { region, regionId, now } = this.#parts
    const { publicKeyPem } = parseCsr(csr)
    const subject = { party: hospital.id, organisation: hospital.name, regionId, publicKeyPem }
    const certificate = parseCertificate(issueCertificate(region, subject, { days: HOSPITAL_DAYS, now: now() }))
    return { certificate, chain: this.chainOf(certificate.pem) }
  }

  /** PEM, leaf first, without the root. */
  chainOf(leafPem: string): string[] {
    return [leafPem, this.#parts.region.certificatePem]
  }

  /** @param number Grows by one with every list. */
  revocationList(revoked: readonly { serial: string; at: EpochMs }[], number: number): string {
    const now = this.#parts.now()
    return issueCrl(this.#parts.region, { revoked, number, nextUpdateMs: now + CRL_VALID_MS, now })
  }
}
