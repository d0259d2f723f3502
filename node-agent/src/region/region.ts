import { parseCertificate, TrustStore, type Certificate, type Identity, type KeyRing } from 'pki'
import { createNodeLink, type Database, type Link, type Log, type Metrics, Outbound, type Refusal } from 'service-kit'
import {
  answers,
  Directory,
  HUB,
  kinds,
  parseWith,
  Problem,
  type EpochMs,
  type HospitalConfig,
  type HospitalId,
  type LinkStatus,
  type LiveEvent,
  type PartyId,
  type ProblemReport,
  type RegionId,
  type SyncRequest,
} from 'specs'
import { ringFrom } from '../certificate/own-identity.ts'
import { isRenewalDue, renewCertificates } from '../certificate/renewal.ts'
import { SwitchableLine } from './line.ts'
import { joinRegion } from './join.ts'
import type { JoinedRegions } from './joined-regions.ts'
import {
  activate,
  activeMembership,
  membershipOfHub,
  regionMigrations,
  saveDirectory,
  saveMembership,
  type Membership,
} from './membership.ts'
import { checkNatsTrust, natsTrustOf } from './nats-trust.ts'
import { readSecrets, saveKey, saveSecrets, type KeySafe } from './secrets.ts'

export interface RegionParts {
  readonly db: Database
  readonly log: Log
  readonly metrics: Metrics
  readonly hospitalId: HospitalId
  readonly hospitalName: string
  /** Told of every region that is joined or chosen. */
  readonly joined: JoinedRegions
  /** Gives rows that were entered before the first region was joined to that region (FED-20). Doing it again changes nothing. */
  readonly adoptUnassigned?: (regionId: RegionId) => Promise<void>
  /** Private keys and credentials, sealed by `safe`. */
  readonly keyFolder: string
  readonly safe: KeySafe
  /** Ask for two certificates, one to sign and one to receive (GM/T 0015). */
  readonly dualCertificates?: boolean
  /** Instead of the address that the hub tells, when this hospital reaches NATS another way. */
  readonly natsUrl?: string | undefined
  readonly outbound?: Outbound
  /** See JoinWish. */
  readonly hubCa?: string | undefined
  readonly heartbeatMs: number
  readonly requestTimeoutMs: number
  readonly version: string
  readonly statusOf: () => Promise<Omit<SyncRequest['status'], 'pendingMessages' | 'refusedMessages' | 'address'>>
  readonly announce: (event: LiveEvent) => void
  readonly now?: () => EpochMs
}

interface Connected {
  membership: Membership
  readonly identity: KeyRing
  readonly trust: TrustStore
  hubCertificate: Certificate
  readonly link: Link
}

/** The same refusal again and again is told to the region this often at most. */
const REPORT_EVERY_MS = 10_000
const MOST_REPORTED = 1_000
/** How often we look whether our certificate runs out, at most; and how long an answer may take. */
const RENEWAL_CHECK_MS = 3_600_000
const RENEWAL_TIMEOUT_MS = 15_000

/**
 * This hospital's place in a region: membership, trust, the register of the others, and the one outbound connection.
 * Without a membership everything here says so, and the rest of the node goes on (edge first).
 */
export class Region {
  /** Stays the same whichever platform it leads to; parts register their handlers on it once. */
  readonly line = new SwitchableLine()
  readonly #parts: RegionParts
  readonly #now: () => EpochMs
  readonly #certificates = new Map<string, Certificate>()
  readonly #onConnected: (() => void)[] = []
  readonly #reportedAt = new Map<string, EpochMs>()
  #connected: Connected | undefined
  /** Joining and switching happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #adopting: Promise<void> = Promise.resolve()
  #renewal: ReturnType<typeof setInterval> | undefined
  #renewing: Promise<void> = Promise.resolve()

  private constructor(parts: RegionParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.line.onMessage(kinds.directory, async (tx, { from, body }) => {
      if (from !== HUB) throw new Problem('access/forbidden')
      const connected = this.#require()
      const directory = parseWith(Directory, body, kinds.directory)
      if (directory.regionId !== connected.membership.regionId) throw new Problem('request/invalid', { what: 'regionId' })
      // Revocation works even when the list of hospitals is an old one that arrived late.
      connected.trust.setCrl(directory.crl)
      if (directory.rootCrl !== undefined) connected.trust.setCrl(directory.rootCrl)
      if (directory.version < connected.membership.directory.version) return
      checkNatsTrust(directory, connected.trust, this.#now())
      const hub = this.#hubFrom(directory, connected)
      const known = withDirectory(connected.membership, directory, parts.hospitalId)
      const membership = hub ? { ...known, hubCertificateChain: hub.chain } : known
      await saveDirectory(tx, membership)
      tx.afterCommit(() => {
        connected.membership = membership
        if (hub) connected.hubCertificate = hub.certificate
        parts.announce({ type: 'link', state: connected.link.status().state })
      })
    })
  }

  static async open(parts: RegionParts): Promise<Region> {
    await parts.db.migrate('region', regionMigrations)
    return new Region(parts)
  }

  /** Connects to the region we belong to, if any. Call it when every part has registered its handlers. */
  async start(): Promise<void> {
    this.#adopt()
    const membership = await activeMembership(this.#parts.db)
    if (membership) await this.#connect(membership)
    this.#renewal = setInterval(() => this.#renewInTime(), RENEWAL_CHECK_MS)
    this.#renewal.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#renewal)
    await this.#renewing
    await this.#turn.catch(() => undefined) // whoever asked for it has been told
    await this.#disconnect()
    await this.#adopting
  }

  /** Called at once when the region can be reached again. */
  onConnected(listener: () => void): void {
    this.#onConnected.push(listener)
  }

  get membership(): Membership | undefined {
    return this.#connected?.membership
  }

  get regionId(): RegionId | undefined {
    return this.membership?.regionId
  }

  get directory(): Directory | undefined {
    return this.membership?.directory
  }

  get hospital(): HospitalConfig | undefined {
    return this.membership?.hospital
  }

  get trust(): TrustStore | undefined {
    return this.#connected?.trust
  }

  get link(): Link | undefined {
    return this.#connected?.link
  }

  /** @throws {Problem} region/not-joined */
  get identity(): Identity {
    return this.#require().identity
  }

  nameOf(party: PartyId): string {
    if (party === this.#parts.hospitalId) return this.hospital?.name ?? this.#parts.hospitalName
    return this.directory?.hospitals.find(({ id }) => id === party)?.name ?? party
  }

  /**
   * Moves to another platform (AGT-03). A platform that we joined before needs no code.
   * @throws {Problem} region/not-joined when it is new and there is no code; what joinRegion throws.
   */
  moveTo(hubUrl: string, joinCode: string | undefined): Promise<void> {
    const moved = this.#turn.then(() => this.#moveTo(hubUrl.replace(/\/+$/, ''), joinCode))
    this.#turn = moved.catch(() => undefined) // `moved` tells the caller
    return moved
  }

  async #moveTo(hubUrl: string, joinCode: string | undefined): Promise<void> {
    const { db, log } = this.#parts
    const known = joinCode === undefined ? await membershipOfHub(db, hubUrl) : undefined
    if (joinCode === undefined && !known) throw new Problem('region/not-joined', { hubUrl })
    const membership = known ?? (await this.join(hubUrl, joinCode ?? ''))
    await this.#disconnect()
    await db.write((tx) => activate(tx, membership.regionId))
    await this.#parts.joined.refresh()
    this.#adopt()
    log.info({ regionId: membership.regionId, hubUrl }, 'region chosen')
    await this.#connect(membership)
  }

  /** Joins without connecting; it becomes the active membership if there is no other. @throws what joinRegion throws. */
  async join(hubUrl: string, code: string): Promise<Membership> {
    const { db, log, hospitalId, hospitalName, version, requestTimeoutMs, keyFolder } = this.#parts
    const { membership, secrets } = await joinRegion({
      hubUrl,
      code,
      hospitalId,
      hospitalName,
      agentVersion: version,
      now: this.#now(),
      timeoutMs: requestTimeoutMs,
      outbound: this.#parts.outbound ?? new Outbound(),
      hubCa: this.#parts.hubCa,
      log,
      dual: this.#parts.dualCertificates ?? false,
    })
    await saveSecrets(this.#parts.safe, keyFolder, membership.regionId, secrets)
    await db.write(async (tx) => {
      await saveMembership(tx, membership, this.#now())
      if (!(await activeMembership(tx))) await activate(tx, membership.regionId)
    })
    await this.#parts.joined.refresh()
    return membership
  }

  /** Beside everything else, because an archive may be large; what a stop interrupts is finished after the next start. */
  #adopt(): void {
    const { joined, adoptUnassigned, log } = this.#parts
    const regionId = joined.firstId
    if (regionId === undefined || !adoptUnassigned) return
    this.#adopting = this.#adopting
      .then(() => adoptUnassigned(regionId))
      .catch((error: unknown) =>
        log.error({ err: error, regionId }, 'images from before joining have not all been given to the region yet'),
      )
  }

  async #connect(membership: Membership): Promise<void> {
    const { db, log, metrics, hospitalId, heartbeatMs, version, keyFolder, announce, outbound } = this.#parts
    const secrets = await readSecrets(this.#parts.safe, keyFolder, membership.regionId)
    const identity = ringFrom(membership, secrets.privateKeyPems)
    const trust = new TrustStore({ rootPem: membership.rootCertificate, crlPem: membership.directory.crl, regionId: membership.regionId })
    if (membership.directory.rootCrl !== undefined) trust.setCrl(membership.directory.rootCrl)
    const hubCertificate = trust.verifyChain(membership.hubCertificateChain, this.#now())
    const link = await createNodeLink({
      db, log, metrics, version, hospitalId, heartbeatMs, identity, trust, hubCertificate,
      regionId: membership.regionId,
      natsUrl: this.#parts.natsUrl ?? natsTrustOf(membership).natsUrl,
      natsTrust: natsTrustOf(membership),
      ...(outbound && { addressOf: async (host: string) => (await outbound.addressOf('nats', host)).address }),
      natsCredentials: secrets.natsCredentials,
      certificateOf: (party) => this.#certificateOf(party),
      statusOf: async () => ({ ...(await this.#parts.statusOf()), ...(await link.counts()), address: this.hospital?.agentAddress ?? '' }),
      onRefusal: (refusal) => this.#report(refusal),
    }) // prettier-ignore
    this.#connected = { membership, identity, trust, hubCertificate, link }
    this.line.attach(link)
    link.onStatus(({ state }) => {
      announce({ type: 'link', state })
      if (state !== 'connected') return
      for (const listener of this.#onConnected) listener()
      this.#renewInTime()
    })
    link.start()
  }

  async #disconnect(): Promise<void> {
    this.line.detach()
    const connected = this.#connected
    await connected?.link.stop()
    this.#connected = undefined
    this.#certificates.clear()
  }

  /** The directory names leaves, of which one is for receiving; they chain through the same authority as the hub's. */
  #certificateOf(party: PartyId): Certificate | undefined {
    const { membership, trust, hubCertificate } = this.#require()
    if (party === HUB) return hubCertificate
    const entry = membership.directory.hospitals.find(({ id }) => id === party)
    if (!entry || entry.revoked || entry.certificate === '') return undefined
    const pem = entry.encryptionCertificate ?? entry.certificate
    const known = this.#certificates.get(pem)
    if (known) return known
    const certificate = trust.verifyChain([pem, ...membership.hubCertificateChain.slice(1)], this.#now(), { usage: 'keyEncipherment' })
    if (certificate.party !== party) throw new Problem('certificate/invalid', { reason: 'party', party })
    this.#certificates.set(pem, certificate)
    return certificate
  }

  /** A hub certified anew; what the directory says of it counts only when it is the region's own. */
  #hubFrom({ hubCertificateChain: chain }: Directory, { trust, hubCertificate }: Connected) {
    if (chain === undefined || chain[0] === hubCertificate.pem) return undefined
    const certificate = trust.verifyChain(chain, this.#now())
    if (certificate.party !== HUB) throw new Problem('certificate/invalid', { reason: 'party', party: certificate.party })
    return { chain, certificate }
  }

  /** Beside everything else; what fails is tried again at the next look. */
  #renewInTime(): void {
    const { log } = this.#parts
    this.#renewing = this.#renewing.then(async () => {
      const connected = this.#connected
      if (!connected || !this.isConnected || !isRenewalDue(connected.identity.certificate, this.#now())) return
      await this.renewCertificate().catch((error: unknown) => log.warn({ err: error }, 'the certificate was not renewed, tried again later'))
    })
  }

  /** Now, whether or not it is due. @throws {Problem} region/not-joined, region/hub-unreachable, certificate/… */
  async renewCertificate(): Promise<void> {
    const { db, log, hospitalId, keyFolder, safe, dualCertificates = false, announce } = this.#parts
    const connected = this.#require()
    const { regionId } = connected.membership
    const former = connected.identity.certificate.serial
    await renewCertificates({
      ring: connected.identity,
      line: connected.link,
      trust: connected.trust,
      regionId,
      hospitalId,
      hospitalName: this.nameOf(hospitalId),
      dual: dualCertificates,
      timeoutMs: RENEWAL_TIMEOUT_MS,
      now: this.#now,
      keepKey: (privateKeyPem) => saveKey(safe, keyFolder, regionId, privateKeyPem),
      keepCertificates: async ({ certificateChain, encryptionCertificate }) => {
        await db.write(async (tx) => {
          const membership = { ...connected.membership, certificateChain: [...certificateChain], encryptionCertificate }
          await saveDirectory(tx, membership)
          tx.afterCommit(() => {
            connected.membership = membership
          })
        })
      },
    })
    log.info({ regionId, replaces: former, serial: connected.identity.certificate.serial }, 'own certificate renewed')
    announce({ type: 'link', state: connected.link.status().state })
  }

  /** Refused envelopes are kept by the link; the region's administrator hears of them too (rule 10). */
  #report({ at, code, facts, claimedSender, subject }: Refusal): void {
    this.reportRefusal({ at, code, facts: { ...facts, claimedSender, subject }, peer: String(claimedSender) })
  }

  /**
   * Tells our pages and the region's administrator of a refusal at this node: an unregistered AE, a broken dataset, a full
   * disk. The same refusal of the same peer travels once in a while only, so that a flood here is no flood there.
   */
  reportRefusal({ at, code, facts, peer }: ProblemReport & { readonly peer: string }): void {
    const { db, log, announce } = this.#parts
    announce({ type: 'refusal', code })
    if (!this.#connected) return
    const key = `${code} ${peer}`
    if (at - (this.#reportedAt.get(key) ?? 0) < REPORT_EVERY_MS) return
    // Peers choose their names: what is remembered of them must stay small.
    if (this.#reportedAt.size >= MOST_REPORTED) this.#reportedAt.clear()
    this.#reportedAt.set(key, at)
    const report: ProblemReport = { at, code, facts }
    db.write((tx) => this.line.post(tx, HUB, kinds.problemReport, report)).catch((error: unknown) =>
      log.error({ err: error, code }, 'refusal not reported'),
    )
  }

  /** Whether the hub can be reached at this moment: without it nobody waits for its answers. */
  get isConnected(): boolean {
    return this.#connected?.link.status().state === 'connected'
  }

  async status(): Promise<LinkStatus> {
    const connected = this.#connected
    if (!connected) {
      const nothing = {
        regionId: null,
        regionName: null,
        hubUrl: null,
        natsUrl: null,
        since: null,
        lastSyncAt: null,
        hospital: null,
        certificateExpires: null,
        problem: null,
        failures: 0,
        lastTriedAt: null,
      }
      return { state: 'not-joined', ...nothing, pendingMessages: 0, refusedMessages: 0 }
    }
    const { membership, link, identity } = connected
    const { regionId, regionName, hubUrl, hospital } = membership
    const natsUrl = this.#parts.natsUrl ?? natsTrustOf(membership).natsUrl
    const { state, since, lastSyncAt, problem, failures, lastTriedAt } = link.status()
    const certificateExpires = parseCertificate(identity.certificateChain[0] ?? '').notAfter
    const told = problem && { code: problem, title: answers[problem].zh }
    return {
      state,
      since,
      lastSyncAt,
      failures,
      lastTriedAt,
      problem: told,
      regionId,
      regionName,
      hubUrl,
      natsUrl,
      hospital,
      certificateExpires,
      ...(await link.counts()),
    }
  }

  #require(): Connected {
    if (!this.#connected) throw new Problem('region/not-joined')
    return this.#connected
  }
}

/** What the registry says of us may have changed with it: kinds, task types, flow modes. */
function withDirectory(membership: Membership, directory: Directory, hospitalId: HospitalId): Membership {
  const entry = directory.hospitals.find(({ id }) => id === hospitalId)
  if (!entry) return { ...membership, directory, regionName: directory.regionName }
  const { certificate: _certificate, revoked: _revoked, ...hospital } = entry
  return { ...membership, directory, regionName: directory.regionName, hospital }
}
