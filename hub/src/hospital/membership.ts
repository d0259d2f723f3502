import type { Certificate } from 'pki'
import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import {
  Problem,
  type AuditEvent,
  type EpochMs,
  type HospitalConfig,
  type HospitalId,
  type JoinCode,
  type JoinRequest,
  type JoinResponse,
  type LiveEvent,
  type RenewalAnswer,
  type RenewalRequest,
} from 'specs'
import type { Authority } from '../authority/authority.ts'
import { renewRevocationLists } from '../authority/revocation-list.ts'
import { publishDirectory, type Outbox, type RegionName } from '../directory/directory.ts'
import { checkConfig, type Hospital } from './hospital.ts'
import { hospitalOfCode, makeCode, saveCode, useCode, withdrawCodes } from './join-code.ts'
import type { KnownParties } from './known-parties.ts'
import { admit, expel, insertHospital, readHospital, replaceCertificates, updateHospital } from './store.ts'

/** Who may use the region's NATS server, and where messages wait for them. */
export interface Transport {
  /** Credentials in `.creds` format; what the hospital held before stops working. */
  issueNode(hospitalId: HospitalId): Promise<string>
  /** Cuts the hospital's connection. */
  revokeNode(hospitalId: HospitalId): Promise<void>
  /** The durable consumer of a node, which it may not make itself. */
  ensureConsumer(hospitalId: HospitalId): Promise<void>
}

export interface MembershipParts {
  readonly db: Database
  readonly region: RegionName
  readonly authority: Authority
  readonly parties: KnownParties
  readonly outbox: Outbox
  readonly transport: Transport
  /** As nodes reach it. */
  readonly natsUrl: string
  readonly joinCodeValidMs: number
  readonly announce: (event: LiveEvent) => void
  readonly audit?: AuditTrail
  readonly log: Log
  /** Epoch ms. */
  readonly now: () => EpochMs
}

/** Who takes part in the region. Every change raises the directory's version and is posted to all, in one transaction. */
export class Membership {
  readonly #parts: MembershipParts

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  /** @throws {Problem} region/hospital-exists (FED-09), request/invalid. */
  async create(config: HospitalConfig): Promise<Hospital> {
    checkConfig(config)
    return this.#change(config.id, async (tx, now) => {
      await insertHospital(tx, config, now)
      await this.#tell(tx, 'hospital.create', config.id, { after: config })
    })
  }

  /** @throws {Problem} region/unknown-hospital, region/hospital-exists, request/invalid. */
  async change(config: HospitalConfig): Promise<Hospital> {
    checkConfig(config)
    return this.#change(config.id, async (tx, now) => {
      const before = await readHospital(tx, config.id)
      await updateHospital(tx, config, now)
      await this.#tell(tx, 'hospital.change', config.id, { before: before.config, after: config })
    })
  }

  /** A new code withdraws the one before. @throws {Problem} region/unknown-hospital */
  async makeJoinCode(hospitalId: HospitalId): Promise<JoinCode> {
    const { db, authority, joinCodeValidMs, now } = this.#parts
    const code = { code: makeCode(authority.root.fingerprintSm3), hospitalId, expires: now() + joinCodeValidMs }
    await db.write(async (tx) => {
      await readHospital(tx, hospitalId)
      await saveCode(tx, code, now())
      await this.#tell(tx, 'hospital.join-code', hospitalId, { facts: { expires: code.expires } })
    })
    return code
  }

  /**
   * Admits a node that shows a valid code (also again, with a new code and key: then what it held before is revoked).
   *
   * @throws {Problem} region/wrong-join-code; certificate/invalid (request not genuine); service/unavailable (NATS is away;
   *   the code stays good).
   */
  async join({ code, csr, encryptionCsr, agentVersion }: JoinRequest): Promise<JoinResponse> {
    const { db, region, authority, transport, natsUrl, now, log } = this.#parts
    const hospitalId = await hospitalOfCode(db, code, now())
    const { config } = await readHospital(db, hospitalId)
    const issued = this.#certify(config, csr, encryptionCsr)
    const { signing, chain } = issued
    // Before the code is used up: the one step that may fail for a while and that is harmless to repeat.
    await transport.ensureConsumer(hospitalId)
    const directory = await db.write(async (tx) => {
      await useCode(tx, code, now())
      const rejoins = (await readHospital(tx, hospitalId)).certificate !== undefined
      await admit(tx, hospitalId, issued, agentVersion, now())
      if (rejoins) await this.#renewCrl(tx)
      await this.#tell(tx, 'hospital.join', hospitalId, { actor: { kind: 'hospital', id: hospitalId, hospitalId }, facts: { serial: signing.serial, rejoins, agentVersion } })
      return this.#publish(tx, hospitalId, issued.encryption ?? signing)
    })
    // Once more: the link asks for the joined hospitals at each connection, and one may have been made just before the commit.
    await transport.ensureConsumer(hospitalId).catch((error: unknown) => log.warn({ err: error, hospitalId }, 'consumer not confirmed'))
    const natsCredentials = await transport.issueNode(hospitalId)
    log.info({ hospitalId, serial: signing.serial, agentVersion }, 'hospital joined')
    return {
      ...region,
      hospital: config,
      certificateChain: chain,
      ...(issued.encryption && { encryptionCertificate: issued.encryption.pem }),
      rootCertificate: authority.root.pem,
      hubCertificateChain: [...authority.hub.certificateChain],
      crl: directory.crl,
      natsUrl,
      natsCredentials,
      directory,
    }
  }

  /**
   * A member's new key over its own line, before the certificate runs out. The former one stays good until its end: what was
   * signed with it and waits somewhere is still accepted.
   *
   * @throws {Problem} region/not-joined, certificate/invalid (request not genuine).
   */
  async renew(hospitalId: HospitalId, { csr, encryptionCsr }: RenewalRequest): Promise<RenewalAnswer> {
    const { db, now, log } = this.#parts
    const { config, certificate } = await readHospital(db, hospitalId)
    if (!certificate) throw new Problem('region/not-joined', { hospitalId })
    const issued = this.#certify(config, csr, encryptionCsr)
    await db.write(async (tx) => {
      await replaceCertificates(tx, hospitalId, issued, now())
      const actor = { kind: 'hospital', id: hospitalId, hospitalId } as const
      const facts = { replaces: certificate.serial, serial: issued.signing.serial }
      await this.#tell(tx, 'certificate.renew', hospitalId, { actor, object: { type: 'certificate', id: issued.signing.serial }, facts })
      await this.#publish(tx, hospitalId, issued.encryption ?? issued.signing)
    })
    log.info({ hospitalId, serial: issued.signing.serial, replaces: certificate.serial }, 'certificate renewed')
    return { certificateChain: issued.chain, ...(issued.encryption && { encryptionCertificate: issued.encryption.pem }) }
  }

  #certify(config: HospitalConfig, csr: string, encryptionCsr: string | undefined) {
    const { authority } = this.#parts
    const { certificate: signing, chain } = authority.certify(csr, config, encryptionCsr === undefined ? 'party' : 'party-signature')
    const encryption = encryptionCsr === undefined ? undefined : authority.certify(encryptionCsr, config, 'party-encryption').certificate
    return { signing, chain, encryption }
  }

  /**
   * Puts a hospital out: certificate and NATS credentials stop counting, unused codes are withdrawn, everybody is told.
   * Repeating it is harmless.
   *
   * @throws {Problem} region/unknown-hospital; region/not-joined when there is nothing to revoke.
   */
  async revoke(hospitalId: HospitalId, reason: string): Promise<Hospital> {
    const { db, transport, log, now } = this.#parts
    const done = await db.write(async (tx) => {
      const before = await readHospital(tx, hospitalId)
      await withdrawCodes(tx, hospitalId)
      if (await expel(tx, hospitalId, reason, now())) {
        await this.#tell(tx, 'hospital.revoke', hospitalId, { reason, facts: { serial: before.certificate?.serial } })
        await this.#renewCrl(tx)
        await this.#publish(tx, hospitalId)
      } else if (before.revokedAt === undefined) {
        throw new Problem('region/not-joined', { hospitalId })
      }
      return readHospital(tx, hospitalId)
    })
    await transport.revokeNode(hospitalId)
    log.warn({ hospitalId, reason }, 'hospital revoked')
    return done
  }

  /** Issues the daily revocation lists and tells everybody, whether or not anybody was revoked. */
  async renewRevocationLists(): Promise<void> {
    await this.#parts.db.write(async (tx) => {
      await this.#renewCrl(tx)
      await this.#publishAll(tx)
    })
  }

  /** Revokes single certificates, in the transaction that notes it; everybody hears of it within seconds. */
  async revokeCertificates(work: (tx: Transaction) => Promise<boolean>): Promise<boolean> {
    return this.#parts.db.write(async (tx) => {
      if (!(await work(tx))) return false
      await this.#renewCrl(tx)
      await this.#publishAll(tx)
      return true
    })
  }

  #publishAll(tx: Transaction) {
    const { region, outbox, authority, now } = this.#parts
    return publishDirectory(tx, region, outbox, authority, now())
  }

  async #change(hospitalId: HospitalId, work: (tx: Transaction, now: EpochMs) => Promise<void>): Promise<Hospital> {
    return this.#parts.db.write(async (tx) => {
      await work(tx, this.#parts.now())
      await this.#publish(tx, hospitalId)
      return readHospital(tx, hospitalId)
    })
  }

  async #tell(tx: Transaction, action: AuditEvent['action'], hospitalId: HospitalId, said: Partial<AuditEvent>): Promise<void> {
    await this.#parts.audit?.within(tx, { action, outcome: 'success', object: { type: 'hospital', id: hospitalId }, ...said })
  }

  async #renewCrl(tx: Transaction): Promise<void> {
    const lists = await renewRevocationLists(tx, this.#parts.authority, this.#parts.now())
    tx.afterCommit(() => this.#parts.parties.setCrls(lists))
  }

  /** First what this process knows, then the messages: the link seals them for the certificate that counts from now on. */
  async #publish(tx: Transaction, hospitalId: HospitalId, certificate?: Certificate) {
    const { parties, announce } = this.#parts
    const current = (await readHospital(tx, hospitalId)).certificate
    const held = certificate?.pem ?? current?.encryptionPem ?? current?.pem
    tx.afterCommit(() => parties.set(hospitalId, held))
    const directory = await this.#publishAll(tx)
    tx.afterCommit(() => announce({ type: 'hospital', hospitalId }))
    return directory
  }
}
