import { parseCertificate, TrustStore, type Certificate, type KeyRing } from 'pki'
import {
  createNodeLink,
  type Database,
  type Link,
  type Log,
  type Metrics,
  type Outbound,
  type Refusal,
  type Transaction,
} from 'service-kit'
import { HUB, Problem, type Directory, type EpochMs, type HospitalId, type PartyId, type SyncRequest } from 'specs'
import { ringFrom, type OwnCertificates } from '../certificate/own-identity.ts'
import { saveDirectory, type Membership } from './membership.ts'
import { checkNatsTrust, natsTrustOf } from './nats-trust.ts'
import { readSecrets, type KeySafe } from './secrets.ts'

export interface ConnectionParts {
  readonly db: Database
  readonly log: Log
  readonly metrics: Metrics
  readonly hospitalId: HospitalId
  readonly version: string
  readonly heartbeatMs: number
  /** Private keys and credentials, sealed by `safe`. */
  readonly keyFolder: string
  readonly safe: KeySafe
  /** Instead of the address that the hub tells, when this hospital reaches NATS another way. */
  readonly natsUrl?: string | undefined
  readonly outbound?: Outbound
  readonly statusOf: () => Promise<Omit<SyncRequest['status'], 'pendingMessages' | 'refusedMessages' | 'address'>>
  readonly onRefusal: (refusal: Refusal) => void
  readonly now: () => EpochMs
}

interface Held {
  readonly membership: Membership
  readonly identity: KeyRing
  readonly trust: TrustStore
  readonly hubCertificate: Certificate
  readonly link: Link
}

/** The line to one region, and what it stands on: the membership, our own keys, whom the region makes us trust. */
export class Connection {
  readonly #parts: ConnectionParts
  readonly identity: KeyRing
  readonly trust: TrustStore
  readonly link: Link
  #membership: Membership
  #hubCertificate: Certificate
  /** Checked once; of the register's certificates one is for receiving. */
  readonly #certificates = new Map<string, Certificate>()

  private constructor(parts: ConnectionParts, held: Held) {
    this.#parts = parts
    this.identity = held.identity
    this.trust = held.trust
    this.link = held.link
    this.#membership = held.membership
    this.#hubCertificate = held.hubCertificate
  }

  /** Not yet started: nothing leaves before `link.start()`. @throws {Problem} certificate/… when what we keep does not hold together. */
  static async open(parts: ConnectionParts, membership: Membership): Promise<Connection> {
    const { db, log, metrics, version, hospitalId, heartbeatMs, keyFolder, safe, outbound, statusOf, onRefusal, now } = parts
    const secrets = await readSecrets(safe, keyFolder, membership.regionId)
    const identity = ringFrom(membership, secrets.privateKeyPems)
    const trust = new TrustStore({ rootPem: membership.rootCertificate, regionId: membership.regionId })
    learnAuthorities(trust, { hubCertificateChain: membership.hubCertificateChain, ...membership.directory })
    const hubCertificate = trust.verifyChain(membership.hubCertificateChain, now())
    const link: Link = await createNodeLink({
      db, log, metrics, version, hospitalId, heartbeatMs, identity, trust, hubCertificate, onRefusal,
      regionId: membership.regionId,
      natsUrl: parts.natsUrl ?? natsTrustOf(membership).natsUrl,
      natsTrust: natsTrustOf(membership),
      ...(outbound && { addressOf: async (host: string) => (await outbound.addressOf('nats', host)).address }),
      natsCredentials: secrets.natsCredentials,
      certificateOf: (party) => connection.#certificateOf(party),
      statusOf: async () => ({ ...(await statusOf()), ...(await link.counts()), address: connection.membership.hospital.agentAddress }),
    }) // prettier-ignore
    const connection = new Connection(parts, { membership, identity, trust, hubCertificate, link })
    return connection
  }

  /** As the region's last word on it was saved. */
  get membership(): Membership {
    return this.#membership
  }

  /** Where this hospital connects to NATS. */
  get natsUrl(): string {
    return this.#parts.natsUrl ?? natsTrustOf(this.#membership).natsUrl
  }

  /**
   * What the region says anew of its hospitals, of the hub and of certificates withdrawn; in force once `tx` is.
   *
   * @returns Whether it was news; an old one that arrived late counts for revocation only.
   * @throws {Problem} request/invalid for another region's; certificate/…, envelope/… when it says more than the hub may.
   */
  async takeDirectory(tx: Transaction, directory: Directory): Promise<boolean> {
    const { hospitalId, now } = this.#parts
    if (directory.regionId !== this.#membership.regionId) throw new Problem('request/invalid', { what: 'regionId' })
    learnAuthorities(this.trust, directory)
    if (directory.version < this.#membership.directory.version) return false
    checkNatsTrust(directory, this.trust, now())
    const hub = this.#hubFrom(directory)
    const known = withDirectory(this.#membership, directory, hospitalId)
    const membership = hub ? { ...known, hubCertificateChain: hub.chain } : known
    await saveDirectory(tx, membership)
    tx.afterCommit(() => {
      this.#membership = membership
      if (hub) this.#hubCertificate = hub.certificate
    })
    return true
  }

  /** Keeps our own renewed certificates, before anything is signed with them. */
  async keepCertificates({ certificateChain, encryptionCertificate }: OwnCertificates): Promise<void> {
    await this.#parts.db.write(async (tx) => {
      const membership = { ...this.#membership, certificateChain: [...certificateChain], encryptionCertificate }
      await saveDirectory(tx, membership)
      tx.afterCommit(() => {
        this.#membership = membership
      })
    })
  }

  /** See Region. */
  isOfFormerAuthority({ authorityKeyId }: Pick<Certificate, 'authorityKeyId'>): boolean {
    const [, authority] = this.#membership.hubCertificateChain
    return authority !== undefined && parseCertificate(authority).subjectKeyId !== authorityKeyId
  }

  /** The directory names leaves, of which one is for receiving; it also names the authorities that may have certified them. */
  #certificateOf(party: PartyId): Certificate | undefined {
    if (party === HUB) return this.#hubCertificate
    const { directory } = this.#membership
    const entry = directory.hospitals.find(({ id }) => id === party)
    if (!entry || entry.revoked || entry.certificate === '') return undefined
    const pem = entry.encryptionCertificate ?? entry.certificate
    const known = this.#certificates.get(pem)
    if (known) return known
    const certificate = this.trust.verifyLeaf(pem, this.#parts.now(), { usage: 'keyEncipherment' })
    if (certificate.party !== party) throw new Problem('certificate/invalid', { reason: 'party', party })
    this.#certificates.set(pem, certificate)
    return certificate
  }

  /** A hub certified anew; what the directory says of it counts only when it is the region's own. */
  #hubFrom({ hubCertificateChain: chain }: Directory) {
    // The authority may have been certified anew by itself, for the same key.
    if (chain === undefined || chain.join('') === this.#membership.hubCertificateChain.join('')) return undefined
    const certificate = this.trust.verifyChain(chain, this.#parts.now())
    if (certificate.party !== HUB) throw new Problem('certificate/invalid', { reason: 'party', party: certificate.party })
    return { chain, certificate }
  }
}

/**
 * Who certifies in this region now, who did before a change of key, and whom each of them no longer vouches for. Authorities first: a list
 * counts only when we know who signed it.
 */
export function learnAuthorities(trust: TrustStore, { hubCertificateChain = [], formerAuthorities = [], formerCrls = [], crl, rootCrl }: Omit<Directory, 'version' | 'regionId' | 'regionName' | 'hospitals'>): void {
  for (const authority of [...formerAuthorities, ...hubCertificateChain.slice(1, 2)]) trust.learnAuthority(authority)
  for (const list of [...formerCrls, crl, ...(rootCrl === undefined ? [] : [rootCrl])]) trust.setCrl(list)
}

/** What the registry says of us may have changed with it: kinds, task types, flow modes. */
function withDirectory(membership: Membership, directory: Directory, hospitalId: HospitalId): Membership {
  const entry = directory.hospitals.find(({ id }) => id === hospitalId)
  if (!entry) return { ...membership, directory, regionName: directory.regionName }
  const { certificate: _certificate, revoked: _revoked, ...hospital } = entry
  return { ...membership, directory, regionName: directory.regionName, hospital }
}
