import {
  createAuthorityRequest,
  createIntermediateCa,
  createRootCa,
  generateSm2KeyPair,
  issueCertificate,
  issueCrl,
  issuePersonCertificate,
  issueServiceCertificate,
  KeyRing,
  loadIdentity,
  loadPrivateKey,
  loadTimeStampAuthority,
  parseCertificate,
  parseCrl,
  parseCsr,
  TrustStore,
  type Certificate,
  type Identity,
  type PersonSubject,
  type RevokedEntry,
  type TimeStampAuthority,
} from 'pki'
import { HUB, type EpochMs, type HospitalId, type RegionId } from 'specs'
import { authorityFiles, keyFilesOf, readIfPresent, writeWhole, type KeyMaterial, type KeySafe } from './files.ts'

export interface AuthorityOptions {
  /** Data folder of the hub. */
  readonly dir: string
  readonly regionId: RegionId
  readonly regionName: string
  readonly now?: () => EpochMs
  /** Keeps private keys unreadable at rest; what lies open is sealed at its first reading. `init` runs without one. */
  readonly safe?: KeySafe | undefined
  /** How long certificates last that the authority issues, in days. */
  readonly days?: { readonly node: number; readonly person: number; readonly service: number }
}

const DAY_MS = 86_400_000
/** A root outlives several region authorities, they several certificates. */
const ROOT_DAYS = 20 * 365
const REGION_DAYS = 10 * 365
const usualDays = { node: 2 * 365, person: 365, service: 365 } as const
const HUB_DAYS = 5 * 365
const TIME_STAMP_DAYS = 5 * 365
/** Before this much is left the hub certifies itself anew; nodes learn it with the directory. */
const HUB_RENEWAL_MS = 365 * DAY_MS
/** A node that hears of no newer list for so long cannot know whom it may still trust; the hub issues one every day. */
const CRL_VALID_MS = 7 * DAY_MS

/** As ensureAuthority, and opens it. */
export async function initAuthority(options: AuthorityOptions): Promise<Authority> {
  await ensureAuthority(options)
  return openAuthority(options)
}

/**
 * Makes root and region authority where they are missing. Repeating it changes nothing and reads no key, so a start script may
 * always call it, also when the vault of the hub has sealed them; and the root may have left the machine.
 *
 * @returns where the root's private key lies, if it still does: it belongs into a safe.
 */
export async function ensureAuthority({ dir, regionId, regionName, now = Date.now, safe }: AuthorityOptions): Promise<{ rootKey: string | undefined }> {
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  if (!(await keys.exist(files.region))) {
    let root = await keyFilesOf(undefined).read(files.root)
    if (!root) {
      root = createRootCa({ name: `${regionName} 根`, days: ROOT_DAYS, now: now() })
      // Never sealed by the vault: it must be readable where there is no hub.
      await keyFilesOf(undefined).write(files.root, root)
    }
    await writeWhole(files.rootCertificate, root.certificatePem, 0o644)
    await keys.write(files.region, createIntermediateCa(root, { name: regionName, regionId, days: REGION_DAYS, now: now() }))
  }
  return { rootKey: (await readIfPresent(files.root.privateKey)) === undefined ? undefined : files.root.privateKey }
}

/** @throws An Error that says to run `init` when there is no authority in `dir`. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { dir, regionId, now = Date.now, safe } = options
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const region = await keys.read(files.region)
  const rootPem = await readIfPresent(files.rootCertificate)
  if (!region || rootPem === undefined)
    throw new Error(`${dir} holds no region authority: run "hub/src/cli.ts init" with this configuration first`)
  const certificate = parseCertificate(region.certificatePem)
  const issuedFor = certificate.subject.ou
  if (issuedFor !== regionId)
    throw new Error(`the region authority in ${dir} is of region ${issuedFor}, the configuration names ${regionId}`)

  const isFresh = ({ certificatePem }: KeyMaterial) => {
    const { notAfter } = parseCertificate(certificatePem)
    return notAfter - now() > HUB_RENEWAL_MS || notAfter >= certificate.notAfter
  }
  const former = await keys.read(files.hub)
  const hub = former && isFresh(former) ? former : issueHub({ region, ...options, now: now() })
  if (former && hub !== former) await keys.write(files.formerHub(parseCertificate(former.certificatePem).serial), former)
  if (hub !== former) await keys.write(files.hub, hub)
  const formers = await keys.readFormer(files.formerHubs)

  const held = await keys.read(files.timeStamp)
  const timeStamp = held && isFresh(held) ? held : issueTimeStamp({ region, ...options, now: now() })
  if (timeStamp !== held) await keys.write(files.timeStamp, timeStamp)
  const rootCrl = await readIfPresent(files.rootCrl)
  return new Authority({ region, rootPem, hub, formers, timeStamp, rootCrl, regionId, now, days: options.days ?? usualDays })
}

interface Issuing {
  readonly region: KeyMaterial
  readonly regionId: RegionId
  readonly regionName: string
  readonly now: EpochMs
}

function issueHub({ region, regionId, regionName, now }: Issuing): KeyMaterial {
  const { publicKeyPem, privateKeyPem } = generateSm2KeyPair()
  const subject = { party: HUB, organisation: regionName, regionId, publicKeyPem }
  return { certificatePem: issueCertificate(region, subject, { days: HUB_DAYS, now }), privateKeyPem }
}

function issueTimeStamp({ region, regionId, regionName, now }: Issuing): KeyMaterial {
  const { publicKeyPem, privateKeyPem } = generateSm2KeyPair()
  const subject = { name: `${regionName} 时间戳`, organisation: regionName, regionId, publicKeyPem }
  return { certificatePem: issueServiceCertificate(region, subject, { days: TIME_STAMP_DAYS, now, profile: 'time-stamp' }), privateKeyPem }
}

/**
 * Takes a region authority's certificate that the root has issued anew for the same key, or the root's newest revocation list.
 * @returns what was taken. @throws {Problem} certificate/… when it is not for this key or not of this root.
 */
export async function importAuthority(options: AuthorityOptions, pem: string): Promise<'certificate' | 'root-crl'> {
  const { dir, regionId, now = Date.now, safe } = options
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const region = await keys.read(files.region)
  const rootPem = await readIfPresent(files.rootCertificate)
  if (!region || rootPem === undefined) throw new Error(`${dir} holds no region authority`)
  const trust = new TrustStore({ rootPem, regionId })
  if (pem.includes('BEGIN X509 CRL')) {
    const held = await readIfPresent(files.rootCrl)
    if (held !== undefined) trust.setCrl(held)
    trust.setCrl(pem)
    if (parseCrl(pem).authorityKeyId !== trust.root.subjectKeyId) throw new Error('this list is not of the root')
    await writeWhole(files.rootCrl, pem, 0o644)
    return 'root-crl'
  }
  const renewed = { certificatePem: pem, privateKeyPem: region.privateKeyPem }
  if (!loadPrivateKey(region.privateKeyPem).publicKey.equals(parseCertificate(pem).publicKey)) throw new Error('this certificate is for another key')
  // A leaf issued by it must be believed under the pinned root, or nothing that is issued from now on would be.
  const probe = issueHub({ region: renewed, regionId, regionName: parseCertificate(pem).subject.o, now: now() })
  trust.verifyChain([probe.certificatePem, pem], now())
  await keys.write(files.region, renewed)
  return 'certificate'
}

/** PKCS#10 of the region authority's own key, for the root (`npm run pki -- renew-region`). */
export async function authorityRequest({ dir, safe }: AuthorityOptions): Promise<string> {
  const region = await keyFilesOf(safe).read(authorityFiles(dir).region)
  if (!region) throw new Error(`${dir} holds no region authority`)
  return createAuthorityRequest({ name: parseCertificate(region.certificatePem).subject, key: loadPrivateKey(region.privateKeyPem) })
}

interface AuthorityParts {
  readonly region: KeyMaterial
  readonly rootPem: string
  readonly hub: KeyMaterial
  readonly formers: readonly string[]
  readonly timeStamp: KeyMaterial
  readonly rootCrl: string | undefined
  readonly regionId: RegionId
  readonly now: () => EpochMs
  readonly days: { readonly node: number; readonly person: number; readonly service: number }
}

/** The region's certificate authority at work: certifies hospitals, their doctors and services, lists who no longer counts, and speaks as the hub. */
export class Authority {
  readonly root: Certificate
  readonly certificate: Certificate
  readonly hub: Identity
  readonly timeStamps: TimeStampAuthority
  readonly #parts: AuthorityParts

  constructor(parts: AuthorityParts) {
    this.#parts = parts
    this.root = parseCertificate(parts.rootPem)
    this.certificate = parseCertificate(parts.region.certificatePem)
    this.hub = new KeyRing({
      ...loadIdentity({ certificateChain: this.chainOf(parts.hub.certificatePem), privateKeyPem: parts.hub.privateKeyPem }),
      otherKeys: parts.formers.map((pem) => loadPrivateKey(pem)),
    })
    this.timeStamps = loadTimeStampAuthority({
      certificateChain: this.chainOf(parts.timeStamp.certificatePem),
      privateKeyPem: parts.timeStamp.privateKeyPem,
    })
  }

  /** The root's own list, when one has been carried here. */
  get rootCrl(): string | undefined {
    return this.#parts.rootCrl
  }

  /**
   * Certifies the key of a request for a hospital. Only the key is taken from the request, after proof that the asker
   * holds it; who the hospital is the registry says.
   *
   * @param csr PEM, PKCS#10 with SM2. @param profile one key for everything, or one of two (GM/T 0015).
   * @throws {Problem} certificate/invalid
   */
  certify(
    csr: string,
    hospital: { id: HospitalId; name: string },
    profile: 'party' | 'party-signature' | 'party-encryption' = 'party',
  ): { certificate: Certificate; chain: string[] } {
    const { region, regionId, now, days } = this.#parts
    const { publicKeyPem } = parseCsr(csr)
    const subject = { party: hospital.id, organisation: hospital.name, regionId, publicKeyPem }
    return this.#issued(issueCertificate(region, subject, { days: days.node, now: now(), profile }))
  }

  /** For signing documents, nothing else. @throws {Problem} certificate/invalid */
  certifyPerson(csr: string, person: Omit<PersonSubject, 'publicKeyPem' | 'regionId'>): { certificate: Certificate; chain: string[] } {
    const { region, regionId, now, days } = this.#parts
    const { publicKeyPem } = parseCsr(csr)
    return this.#issued(issuePersonCertificate(region, { ...person, regionId, publicKeyPem }, { days: days.person, now: now() }))
  }

  /** Of an interface. @throws {Problem} certificate/invalid */
  certifyService(csr: string, service: { name: string; organisation: string }): { certificate: Certificate; chain: string[] } {
    const { region, regionId, now, days } = this.#parts
    const { publicKeyPem } = parseCsr(csr)
    const profile = 'service'
    return this.#issued(issueServiceCertificate(region, { ...service, regionId, publicKeyPem }, { days: days.service, now: now(), profile }))
  }

  #issued(pem: string): { certificate: Certificate; chain: string[] } {
    const certificate = parseCertificate(pem)
    return { certificate, chain: this.chainOf(certificate.pem) }
  }

  /** PEM, leaf first, without the root. */
  chainOf(leafPem: string): string[] {
    return [leafPem, this.#parts.region.certificatePem]
  }

  /** @param number Grows by one with every list. */
  revocationList(revoked: readonly RevokedEntry[], number: number): string {
    const now = this.#parts.now()
    return issueCrl(this.#parts.region, { revoked, number, nextUpdateMs: now + CRL_VALID_MS, now })
  }
}
