import type { Certificate, Identity, TrustStore } from 'pki'
import { Outbound, type Link, type Refusal } from 'service-kit'
import {
  Directory,
  HUB,
  kinds,
  parseWith,
  Problem,
  type EpochMs,
  type HospitalConfig,
  type LinkStatus,
  type LiveEvent,
  type PartyId,
  type ProblemReport,
  type RegionId,
} from 'specs'
import { isRenewalDue, renewCertificates } from '../certificate/renewal.ts'
import { Connection, type ConnectionParts } from './connection.ts'
import { SwitchableLine } from './line.ts'
import { linkStatusOf, type Obstacle } from './link-status.ts'
import { joinRegion } from './join.ts'
import type { JoinedRegions } from './joined-regions.ts'
import { activate, activeMembership, membershipOfHub, regionMigrations, saveMembership, type Membership } from './membership.ts'
import { RefusalReports } from './refusal-reports.ts'
import { saveKey, saveSecrets } from './secrets.ts'

export interface RegionParts extends Omit<ConnectionParts, 'onRefusal' | 'now'> {
  readonly hospitalName: string
  /** Told of every region that is joined or chosen. */
  readonly joined: JoinedRegions
  /** Gives rows that were entered before the first region was joined to that region (FED-20). Doing it again changes nothing. */
  readonly adoptUnassigned?: (regionId: RegionId) => Promise<void>
  /** Ask for two certificates, one to sign and one to receive (GM/T 0015). */
  readonly dualCertificates?: boolean
  /** See JoinWish. */
  readonly hubCa?: string | undefined
  readonly requestTimeoutMs: number
  readonly announce: (event: LiveEvent) => void
  /** Pause before a line is tried again that could not even be opened. */
  readonly openAgainMs?: number
  readonly now?: () => EpochMs
}

/** How often we look whether our certificate runs out, at most; and how long an answer may take. */
const RENEWAL_CHECK_MS = 3_600_000
const RENEWAL_TIMEOUT_MS = 15_000
const OPEN_AGAIN_MS = 60_000

/**
 * This hospital's place in a region: membership, trust, the register of the others, and the one outbound connection.
 * Without a membership everything here says so, and the rest of the node goes on (edge first).
 */
export class Region {
  /** Stays the same whichever platform it leads to; parts register their handlers on it once. */
  readonly line = new SwitchableLine()
  readonly #parts: RegionParts
  readonly #now: () => EpochMs
  readonly #onConnected: (() => void)[] = []
  readonly #reports: RefusalReports
  #connection: Connection | undefined
  #obstacle: Obstacle | undefined
  #opening: ReturnType<typeof setTimeout> | undefined
  /** Joining and switching happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #adopting: Promise<void> = Promise.resolve()
  #renewal: ReturnType<typeof setInterval> | undefined
  #renewing: Promise<void> = Promise.resolve()

  private constructor(parts: RegionParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#reports = new RefusalReports({ db: parts.db, log: parts.log, line: this.line })
    this.line.onMessage(kinds.directory, async (tx, { from, body }) => {
      if (from !== HUB) throw new Problem('access/forbidden')
      const connection = this.#require()
      const isNews = await connection.takeDirectory(tx, parseWith(Directory, body, kinds.directory))
      if (!isNews) return
      tx.afterCommit(() => {
        parts.announce({ type: 'link', state: connection.link.status().state })
        this.#renewInTime() // the authority may have another key
      })
    })
  }

  static async open(parts: RegionParts): Promise<Region> {
    await parts.db.migrate('region', regionMigrations)
    return new Region(parts)
  }

  /**
   * Connects to the region we belong to, if any. Call it when every part has registered its handlers. What keeps the line from being
   * opened (a certificate that has run out, a clock that is wrong, a key that is missing) is told, and the hospital goes on without.
   */
  async start(): Promise<void> {
    this.#adopt()
    const membership = await activeMembership(this.#parts.db)
    if (membership) await this.#connect(membership).catch(() => undefined) // told, and tried again
    this.#renewal = setInterval(() => this.#renewInTime(), RENEWAL_CHECK_MS)
    this.#renewal.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#renewal)
    await this.#renewing
    await this.#turn.catch(() => undefined) // whoever asked for it has been told
    clearTimeout(this.#opening)
    await this.#disconnect()
    await this.#adopting
  }

  /** Called at once when the region can be reached again. */
  onConnected(listener: () => void): void {
    this.#onConnected.push(listener)
  }

  get membership(): Membership | undefined {
    return this.#connection?.membership
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
    return this.#connection?.trust
  }

  get link(): Link | undefined {
    return this.#connection?.link
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

  /** @throws what keeps the line from being opened; it is tried again. */
  async #connect(membership: Membership): Promise<void> {
    clearTimeout(this.#opening)
    try {
      await this.#open(membership)
      this.#obstacle = undefined
    } catch (error) {
      const { log, announce, openAgainMs = OPEN_AGAIN_MS } = this.#parts
      log.error({ err: error, regionId: membership.regionId }, 'no line to the region can be opened; the hospital goes on without it')
      this.#obstacle = { membership, error, at: this.#now(), failures: (this.#obstacle?.failures ?? 0) + 1 }
      announce({ type: 'link', state: 'disconnected' })
      this.#opening = setTimeout(() => {
        this.#turn = this.#turn.then(() => (this.#connection ? undefined : this.#connect(membership).catch(() => undefined)))
      }, openAgainMs)
      this.#opening.unref()
      throw error
    }
  }

  async #open(membership: Membership): Promise<void> {
    const { announce } = this.#parts
    const connection = await Connection.open({ ...this.#parts, now: this.#now, onRefusal: (refusal) => this.#report(refusal) }, membership)
    this.#connection = connection
    this.line.attach(connection.link)
    connection.link.onStatus(({ state }) => {
      announce({ type: 'link', state })
      if (state !== 'connected') return
      for (const listener of this.#onConnected) listener()
      this.#renewInTime()
    })
    connection.link.start()
  }

  async #disconnect(): Promise<void> {
    this.line.detach()
    await this.#connection?.link.stop()
    this.#connection = undefined
  }

  /** Beside everything else; what fails is tried again at the next look. */
  #renewInTime(): void {
    const { log } = this.#parts
    this.#renewing = this.#renewing.then(async () => {
      const connection = this.#connection
      if (!connection || !this.isConnected) return
      const { certificate } = connection.identity
      if (!isRenewalDue(certificate, this.#now()) && !connection.isOfFormerAuthority(certificate)) return
      await this.renewCertificate().catch((error: unknown) =>
        log.warn({ err: error }, 'the certificate was not renewed, tried again later'),
      )
    })
  }

  /** Whether the region's authority has changed its key since it issued this: then a new one is asked for, though this one still counts. */
  isOfFormerAuthority(certificate: Certificate): boolean {
    return this.#connection?.isOfFormerAuthority(certificate) ?? false
  }

  /** Now, whether or not it is due. @throws {Problem} region/not-joined, region/hub-unreachable, certificate/… */
  async renewCertificate(): Promise<void> {
    const { log, hospitalId, keyFolder, safe, dualCertificates = false, announce } = this.#parts
    const connection = this.#require()
    const { identity, trust, link, membership } = connection
    const { regionId } = membership
    const former = identity.certificate.serial
    await renewCertificates({
      trust,
      regionId,
      hospitalId,
      ring: identity,
      line: link,
      hospitalName: this.nameOf(hospitalId),
      dual: dualCertificates,
      timeoutMs: RENEWAL_TIMEOUT_MS,
      now: this.#now,
      keepKey: (privateKeyPem) => saveKey(safe, keyFolder, regionId, privateKeyPem),
      keepCertificates: (certificates) => connection.keepCertificates(certificates),
    })
    log.info({ regionId, replaces: former, serial: identity.certificate.serial }, 'own certificate renewed')
    announce({ type: 'link', state: link.status().state })
  }

  /** Refused envelopes are kept by the link; the region's administrator hears of them too (rule 10). */
  #report({ at, code, facts, claimedSender, subject }: Refusal): void {
    this.reportRefusal({ at, code, facts: { ...facts, claimedSender, subject }, peer: String(claimedSender) })
  }

  /** Tells our pages of a refusal at this node, and the region's administrator if there is one. */
  reportRefusal(refusal: ProblemReport & { readonly peer: string }): void {
    this.#parts.announce({ type: 'refusal', code: refusal.code })
    if (this.#connection) this.#reports.tell(refusal)
  }

  /** Whether the hub can be reached at this moment: without it nobody waits for its answers. */
  get isConnected(): boolean {
    return this.#connection?.link.status().state === 'connected'
  }

  status(): Promise<LinkStatus> {
    return linkStatusOf(this.#connection, this.#obstacle)
  }

  #require(): Connection {
    if (!this.#connection) throw new Problem('region/not-joined')
    return this.#connection
  }
}
