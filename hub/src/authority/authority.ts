import {
  issueCertificate,
  issueCrl,
  issuePersonCertificate,
  issueServiceCertificate,
  KeyRing,
  loadIdentity,
  loadPrivateKey,
  loadTimeStampAuthority,
  parseCertificate,
  parseCsr,
  type Certificate,
  type Identity,
  type PersonSubject,
  type RevokedEntry,
  type TimeStampAuthority,
} from 'pki'
import type { EpochMs, HospitalId, RegionId } from 'specs'
import type { KeyMaterial } from './files.ts'
import { holdAuthority, type AuthorityOptions, type Held } from './held.ts'

const DAY_MS = 86_400_000
const usualDays = { node: 2 * 365, person: 365, service: 365 } as const
/** A node that hears of no newer list for so long cannot know whom it may still trust; the hub issues one every day. */
const CRL_VALID_MS = 7 * DAY_MS

/** @throws An Error that says to run `init` when there is no authority in `dir`. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  return new Authority(options, await holdAuthority(options))
}

/** What changed at the authority while the hub was running. */
export type Renewed = 'authority' | 'hub' | 'time-stamp' | 'root-crl'

/** The region's certificate authority at work: certifies hospitals, their doctors and services, lists who no longer counts, and speaks as the hub. */
export class Authority {
  readonly root: Certificate
  /** Stays the same through renewals: whoever holds it signs with the newest key and opens what was sealed for any. */
  readonly hub: Identity
  readonly #options: AuthorityOptions
  readonly #ring: KeyRing
  #held: Held
  #certificate: Certificate
  #timeStamps: TimeStampAuthority

  constructor(options: AuthorityOptions, held: Held) {
    this.#options = options
    this.#held = held
    this.root = parseCertificate(held.rootPem)
    this.#certificate = parseCertificate(held.region.certificatePem)
    this.#ring = new KeyRing(this.#hubIdentity())
    this.hub = this.#ring
    this.#timeStamps = this.#timeStampAuthority()
  }

  /** The authority that issues now. */
  get certificate(): Certificate {
    return this.#certificate
  }

  /** Authorities of before a change of key, newest first: what they certified counts until its end. */
  get formerCertificates(): readonly Certificate[] {
    return this.#held.formerRegions.map(({ certificatePem }) => parseCertificate(certificatePem))
  }

  get timeStamps(): TimeStampAuthority {
    return this.#timeStamps
  }

  /** The root's own list, when one has been carried here. */
  get rootCrl(): string | undefined {
    return this.#held.rootCrl
  }

  /**
   * Looks again at what lies in the folder: an answer of the root may have been imported, the hub's own certificate may run out.
   * @returns what is new, which others have to be told.
   */
  async refresh(): Promise<readonly Renewed[]> {
    const former = this.#held
    const held = await holdAuthority(this.#options)
    const isNew = (part: 'region' | 'hub' | 'timeStamp') => held[part].certificatePem !== former[part].certificatePem
    this.#held = held
    this.#certificate = parseCertificate(held.region.certificatePem)
    if (isNew('hub') || isNew('region')) this.#ring.renew(this.#hubIdentity())
    if (isNew('timeStamp') || isNew('region')) this.#timeStamps = this.#timeStampAuthority()
    return [
      ...(isNew('region') ? (['authority'] as const) : []),
      ...(isNew('hub') ? (['hub'] as const) : []),
      ...(isNew('timeStamp') ? (['time-stamp'] as const) : []),
      ...(held.rootCrl !== former.rootCrl ? (['root-crl'] as const) : []),
    ]
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
    const { regionId, now, days } = this.#issuing()
    const { publicKeyPem } = parseCsr(csr)
    const subject = { party: hospital.id, organisation: hospital.name, regionId, publicKeyPem }
    return this.#issued(issueCertificate(this.#held.region, subject, { days: days.node, now, profile }))
  }

  /** For signing documents, nothing else. @throws {Problem} certificate/invalid */
  certifyPerson(csr: string, person: Omit<PersonSubject, 'publicKeyPem' | 'regionId'>): { certificate: Certificate; chain: string[] } {
    const { regionId, now, days } = this.#issuing()
    const { publicKeyPem } = parseCsr(csr)
    return this.#issued(issuePersonCertificate(this.#held.region, { ...person, regionId, publicKeyPem }, { days: days.person, now }))
  }

  /** Of an interface. @throws {Problem} certificate/invalid */
  certifyService(csr: string, service: { name: string; organisation: string }): { certificate: Certificate; chain: string[] } {
    const { regionId, now, days } = this.#issuing()
    const { publicKeyPem } = parseCsr(csr)
    const profile = 'service'
    return this.#issued(issueServiceCertificate(this.#held.region, { ...service, regionId, publicKeyPem }, { days: days.service, now, profile }))
  }

  /** PEM, leaf first, without the root. */
  chainOf(leafPem: string): string[] {
    return [leafPem, this.#held.region.certificatePem]
  }

  /** Who issues a list now, by key: the present authority last, because the newest list counts as the region's. One that has run out issues none; its last list stays. */
  get listing(): readonly string[] {
    const now = (this.#options.now ?? Date.now)()
    return [...this.formerCertificates.filter(({ notAfter }) => notAfter > now).reverse(), this.#certificate].map(({ subjectKeyId }) => subjectKeyId)
  }

  /**
   * @param number Grows by one with every list.
   * @param keyId One of `listing`; the present authority's unless given.
   */
  revocationList(revoked: readonly RevokedEntry[], number: number, keyId = this.#certificate.subjectKeyId): string {
    const now = (this.#options.now ?? Date.now)()
    const issuers: readonly KeyMaterial[] = [this.#held.region, ...this.#held.formerRegions]
    const issuer = issuers.find(({ certificatePem }) => parseCertificate(certificatePem).subjectKeyId === keyId)
    if (!issuer) throw new Error(`no authority of the region has the key ${keyId}`)
    return issueCrl(issuer, { revoked, number, nextUpdateMs: now + CRL_VALID_MS, now })
  }

  #issuing(): { regionId: RegionId; now: EpochMs; days: { readonly node: number; readonly person: number; readonly service: number } } {
    const { regionId, now = Date.now, days = usualDays } = this.#options
    return { regionId, now: now(), days }
  }

  #issued(pem: string): { certificate: Certificate; chain: string[] } {
    const certificate = parseCertificate(pem)
    return { certificate, chain: this.chainOf(certificate.pem) }
  }

  #hubIdentity(): Identity {
    const { hub, formerHubKeys } = this.#held
    return {
      ...loadIdentity({ certificateChain: this.chainOf(hub.certificatePem), privateKeyPem: hub.privateKeyPem }),
      otherKeys: formerHubKeys.map((pem) => loadPrivateKey(pem)),
    }
  }

  #timeStampAuthority(): TimeStampAuthority {
    const { certificatePem, privateKeyPem } = this.#held.timeStamp
    return loadTimeStampAuthority({ certificateChain: this.chainOf(certificatePem), privateKeyPem })
  }
}
