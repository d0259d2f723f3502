import { join } from 'node:path'
import {
  createCsr,
  generateSm2KeyPair,
  loadIdentity,
  parseCertificate,
  signDocument,
  TrustStore,
  type Certificate,
  type Identity,
} from 'pki'
import { createLog, createMetrics, createNodeLink, openDatabase, type Database, type Link } from 'service-kit'
import {
  ConsultAnswer,
  ConsultEvent,
  Directory,
  HUB,
  JoinResponse,
  kinds,
  parseWith,
  type ConsultCommand,
  type HospitalId,
  type JoinCode,
  type PartyId,
  type RegionId,
} from 'specs'

/** The least a hospital's node is: an identity, a database, a link, and what it heard. Its medicine is elsewhere. */
export class BareNode {
  readonly hospitalId: HospitalId
  readonly identity: Identity
  readonly link: Link
  readonly answers: ConsultAnswer[] = []
  readonly events: ConsultEvent[] = []
  readonly directories: Directory[] = []
  readonly #db: Database
  readonly #certificates = new Map<PartyId, Certificate>()
  readonly #trust: TrustStore

  private constructor(parts: {
    hospitalId: HospitalId
    identity: Identity
    link: Link
    db: Database
    trust: TrustStore
    directory: Directory
  }) {
    this.hospitalId = parts.hospitalId
    this.identity = parts.identity
    this.link = parts.link
    this.#db = parts.db
    this.#trust = parts.trust
    this.#learn(parts.directory)
  }

  static async join(
    hubUrl: string,
    { code }: JoinCode,
    { regionId, folder, heartbeatMs }: { regionId: RegionId; folder: string; heartbeatMs: number },
  ): Promise<BareNode> {
    const { privateKeyPem } = generateSm2KeyPair()
    const csr = createCsr({ party: HUB, organisation: '', regionId, privateKeyPem })
    const response = await fetch(`${hubUrl}/api/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code, csr, agentVersion: '0.1.0' }),
    })
    if (!response.ok) throw new Error(`not joined: ${await response.text()}`)
    const joined = parseWith(JoinResponse, await response.json(), 'join response')
    const identity = loadIdentity({ certificateChain: joined.certificateChain, privateKeyPem })
    const trust = new TrustStore({ rootPem: joined.rootCertificate, crlPem: joined.crl, regionId })
    const db = await openDatabase({ dialect: 'sqlite', file: join(folder, `${joined.hospital.id}-${identity.certificate.serial}.sqlite`) })
    const known = { certificateOf: (_party: PartyId): Certificate | undefined => undefined }
    const link = await createNodeLink({
      db,
      log: createLog({ name: joined.hospital.id, level: 'silent' }),
      metrics: createMetrics(),
      regionId,
      hospitalId: joined.hospital.id,
      natsUrl: joined.natsUrl,
      natsCredentials: joined.natsCredentials,
      identity,
      trust,
      hubCertificate: parseCertificate(joined.hubCertificateChain[0] ?? ''),
      certificateOf: (party) => known.certificateOf(party),
      heartbeatMs,
      version: '0.1.0',
      statusOf: () => ({
        pendingMessages: 0,
        refusedMessages: 0,
        studies: 7,
        instances: 420,
        freeBytes: 1e12,
        transfersActive: 0,
        address: '',
      }),
    })
    const node = new BareNode({ hospitalId: joined.hospital.id, identity, link, db, trust, directory: joined.directory })
    known.certificateOf = (party) => node.#certificates.get(party)
    node.#listen()
    link.start()
    return node
  }

  #listen(): void {
    this.link.onMessage(kinds.directory, async (tx, { body }) => {
      const directory = parseWith(Directory, body, 'directory')
      tx.afterCommit(() => this.#learn(directory))
    })
    this.link.onMessage(kinds.consultAnswer, async (tx, { body }) => {
      const answer = parseWith(ConsultAnswer, body, 'answer')
      tx.afterCommit(() => this.answers.push(answer))
    })
    this.link.onMessage(kinds.consultEvent, async (tx, { body }) => {
      const event = parseWith(ConsultEvent, body, 'event')
      tx.afterCommit(() => this.events.push(event))
    })
  }

  #learn(directory: Directory): void {
    this.directories.push(directory)
    this.#trust.setCrl(directory.crl)
    this.#certificates.clear()
    for (const { id, certificate } of directory.hospitals) if (certificate !== '') this.#certificates.set(id, parseCertificate(certificate))
  }

  knows(hospitalId: HospitalId): boolean {
    return this.#certificates.has(hospitalId)
  }

  /** Returns once the command is saved; its answer comes when it comes. */
  async command(command: ConsultCommand): Promise<void> {
    await this.#db.write((tx) => this.link.post(tx, HUB, kinds.consultCommand, command))
  }

  post(kind: string, body: unknown): Promise<unknown> {
    return this.#db.write((tx) => this.link.post(tx, HUB, kind, body))
  }

  sign(value: unknown): { signature: string; certificateChain: string[] } {
    return signDocument(this.identity, value)
  }

  answerTo({ commandId }: { commandId: string }): ConsultAnswer | undefined {
    return this.answers.find((answer) => answer.commandId === commandId)
  }

  eventsOf(taskId: string): ConsultEvent[] {
    return this.events.filter((event) => event.taskId === taskId)
  }

  async stop(): Promise<void> {
    await this.link.stop()
    await this.#db.close()
  }
}
