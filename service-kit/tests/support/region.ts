import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Authority,
  type Certificate,
  createIntermediateCa,
  createRootCa,
  generateSm2KeyPair,
  type Identity,
  issueCertificate,
  issueCrl,
  loadIdentity,
  TrustStore,
} from 'pki'
import { HUB, type HospitalId, type PartyId, RegionId, type SyncRequest } from 'specs'
import {
  createHubLink,
  createLog,
  createMetrics,
  createNodeLink,
  type Database,
  type HubLink,
  type Link,
  type LinkOptions,
  type Metrics,
  openDatabase,
  type Refusal,
  type Timing,
} from 'service-kit'
import { NatsAdministration } from '../../../hub/src/nats/index.ts'
import { startThrowAwayNats, type ThrowAwayNats } from './nats.ts'

export const regionId = RegionId.parse('yunling')
const log = createLog({ name: 'test', level: 'silent' })

/** Impatient, so that outages of seconds are long. */
export const testTiming: Partial<Timing> = {
  heartbeatMs: 300,
  answerTimeoutMs: 2_000,
  resendAfterMs: 3_000,
  reconnectFirstMs: 50,
  reconnectMaxMs: 400,
}

export interface Member {
  readonly identity: Identity
  readonly trust: TrustStore
  readonly db: Database
  readonly metrics: Metrics
  readonly refused: Refusal[]
}

/** Certificates of a region, a NATS server and folders; links are made by `openHub` and `openNode`, each on its own database. */
export class TestRegion {
  readonly nats: ThrowAwayNats
  readonly administration: NatsAdministration
  readonly #folder: string
  readonly #rootPem: string
  readonly #ca: Authority
  readonly #identities = new Map<PartyId, Identity>()
  readonly #trusts: TrustStore[] = []
  readonly #hospitals = new Set<HospitalId>()
  readonly #opened: { link: Link; db: Database }[] = []
  #crlNumber = 0

  private constructor(nats: ThrowAwayNats, administration: NatsAdministration, folder: string) {
    this.nats = nats
    this.administration = administration
    this.#folder = folder
    const root = createRootCa({ name: '测试根', days: 3_650 })
    this.#ca = createIntermediateCa(root, { name: '测试区域', regionId, days: 3_000 })
    this.#rootPem = root.certificatePem
  }

  static async start(): Promise<TestRegion> {
    const nats = await startThrowAwayNats()
    const administration = await NatsAdministration.open({ dir: nats.dir, natsUrl: nats.url, log })
    return new TestRegion(nats, administration, await mkdtemp(join(tmpdir(), 'lianpian-region-')))
  }

  /** The party's identity; made at first use. */
  identityOf(party: PartyId): Identity {
    const held = this.#identities.get(party)
    if (held) return held
    const pair = generateSm2KeyPair()
    const subject = { party, organisation: `机构 ${party}`, regionId, publicKeyPem: pair.publicKeyPem }
    const leaf = issueCertificate(this.#ca, subject, { days: 365 })
    const identity = loadIdentity({ certificateChain: [leaf, this.#ca.certificatePem], privateKeyPem: pair.privateKeyPem })
    this.#identities.set(party, identity)
    return identity
  }

  certificateOf(party: PartyId): Certificate {
    return this.identityOf(party).certificate
  }

  newTrust(): TrustStore {
    const trust = new TrustStore({ rootPem: this.#rootPem, regionId })
    this.#trusts.push(trust)
    return trust
  }

  /** Publishes a revocation list to everybody in the region. */
  revokeCertificate(party: PartyId): void {
    const revoked = [{ serial: this.certificateOf(party).serial, at: Date.now() }]
    const crl = issueCrl(this.#ca, { revoked, number: ++this.#crlNumber, nextUpdateMs: Date.now() + 86_400_000 })
    for (const trust of this.#trusts) trust.setCrl(crl)
  }

  databaseFile(party: PartyId): string {
    return join(this.#folder, `${party}.sqlite`)
  }

  async #member(party: PartyId): Promise<Member> {
    const db = await openDatabase({ dialect: 'sqlite', file: this.databaseFile(party) })
    return { identity: this.identityOf(party), trust: this.newTrust(), db, metrics: createMetrics(), refused: [] }
  }

  #options(member: Member, natsUrl: string, natsCredentials: string): LinkOptions {
    const { db, metrics, identity, trust, refused } = member
    const certificateOf = (party: PartyId) => (party === HUB || this.#hospitals.has(party) ? this.certificateOf(party) : undefined)
    const onRefusal = (refusal: Refusal) => void refused.push(refusal)
    return { db, log, metrics, regionId, natsUrl, natsCredentials, identity, trust, certificateOf, onRefusal, timing: testTiming }
  }

  /** Not started yet, so that handlers can be registered. */
  async openHub(
    overrides: Partial<LinkOptions> & { onSync?: (from: HospitalId, request: SyncRequest) => void } = {},
  ): Promise<Member & { link: HubLink }> {
    const member = await this.#member(HUB)
    const link = await createHubLink({
      ...this.#options(member, this.nats.url, this.nats.hubCredentials),
      hospitals: () => [...this.#hospitals],
      ...overrides,
    })
    this.#opened.push({ link, db: member.db })
    return { ...member, link }
  }

  async openNode(hospitalId: HospitalId, overrides: Partial<LinkOptions> = {}): Promise<Member & { link: Link; credentials: string }> {
    this.#hospitals.add(hospitalId)
    const member = await this.#member(hospitalId)
    const { credentials } = await this.administration.issueNode(regionId, hospitalId)
    const link = await createNodeLink({
      ...this.#options(member, this.nats.url, credentials),
      hospitalId,
      hubCertificate: this.certificateOf(HUB),
      statusOf: async () => ({ ...(await link.counts()), studies: 0, instances: 0, freeBytes: 0, transfersActive: 0, address: '' }),
      ...overrides,
    })
    this.#opened.push({ link, db: member.db })
    return { ...member, link, credentials }
  }

  /** Ends a link as a process end would; its database file stays for the next `open…`. */
  async close(member: { link: Link; db: Database }): Promise<void> {
    await member.link.stop()
    await member.db.close()
    this.#opened.splice(0, this.#opened.length, ...this.#opened.filter(({ link }) => link !== member.link))
  }

  async stop(): Promise<void> {
    for (const member of [...this.#opened]) await this.close(member)
    await this.administration.close()
    await this.nats.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Resolves when the other end of the link answers. */
export function connected(link: Link): Promise<void> {
  return new Promise((resolve) => {
    const stopListening = link.onStatus(({ state }) => settle(state))
    const settle = (state: string) => {
      if (state !== 'connected') return
      stopListening()
      resolve()
    }
    settle(link.status().state)
  })
}
