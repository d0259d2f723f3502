import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createRootCa,
  createIntermediateCa,
  generateSm2KeyPair,
  issueCertificate,
  loadIdentity,
  PieceCipher,
  signDocument,
  TrustStore,
  type Identity,
} from 'pki'
import { createLog, createMetrics, openDatabase, type Database } from 'service-kit'
import { Problem, RegionId, StudyInstanceUid, type AuditEvent, type HospitalId, type PartyId, type SignedGrant } from 'specs'
import { AccessControl } from '../access/access-control.ts'
import { A, aGrant, C, noRules, TASK } from '../access/builders.ts'
import { grantMigrations, rememberGrant } from '../access/grant-store.ts'
import { endedEvent } from '../audit/edge-events.ts'
import type { Archive } from '../archive/archive.ts'
import { sendSlice, testArchive } from '../archive/archive.builder.ts'
import type { FileEncryption } from '../archive/encryption/file-encryption.ts'
import { NodeConfig } from '../config.ts'
import type { BytesHandler, Line, RequestHandler } from '../region/line.ts'
import type { PieceCoder } from './cipher-thread.ts'
import { TransferEngine, type TransferEngineParts } from './engine.ts'
import { TransferOwner } from './owner.ts'
import type { TransferWish } from './job.ts'
import { transferMigrations } from './store.ts'

export const region = RegionId.parse('yunling')
export const STUDY = StudyInstanceUid.parse('2.25.1')

/** A stretch of line between two nodes of one process; a test may cut it, or change what it carries. */
export class DirectLine implements Line {
  readonly #own: HospitalId
  readonly #services = new Map<string, RequestHandler>()
  readonly #byteServices = new Map<string, BytesHandler>()
  readonly #others = new Map<PartyId, DirectLine>()
  isCut = false
  /** Requests for bytes so far, by service. */
  readonly asked: string[] = []
  onBytes: (answer: Uint8Array, service: string) => Uint8Array | Promise<Uint8Array> = (answer) => answer

  constructor(own: HospitalId) {
    this.#own = own
  }

  static between(a: HospitalId, b: HospitalId): [DirectLine, DirectLine] {
    const [near, far] = [new DirectLine(a), new DirectLine(b)]
    near.#others.set(b, far)
    far.#others.set(a, near)
    return [near, far]
  }

  onMessage(): void {}

  post(): Promise<never> {
    return Promise.reject(new Problem('region/not-joined'))
  }

  serve(service: string, handler: RequestHandler): void {
    this.#services.set(service, handler)
  }

  serveBytes(service: string, handler: BytesHandler): void {
    this.#byteServices.set(service, handler)
  }

  async request(to: PartyId, service: string, body: unknown): Promise<unknown> {
    const handler = this.#reach(to).#services.get(service)
    if (!handler) throw new Problem('region/hospital-offline')
    return structuredClone(await handler({ from: this.#own, body: structuredClone(body) }))
  }

  async requestBytes(to: PartyId, service: string, bytes: Uint8Array): Promise<Uint8Array> {
    const handler = this.#reach(to).#byteServices.get(service)
    if (!handler) throw new Problem('region/hospital-offline')
    this.asked.push(service)
    const answer = await handler(Uint8Array.from(bytes), this.#own)
    this.#reach(to)
    return this.onBytes(answer, service)
  }

  sealFor(): never {
    throw new Problem('region/not-joined')
  }

  openSealed(): never {
    throw new Problem('region/not-joined')
  }

  #reach(to: PartyId): DirectLine {
    const other = this.#others.get(to)
    if (this.isCut || !other) throw new Problem('region/hospital-offline', { party: to })
    return other
  }
}

const ca = createRootCa({ name: 'test root', days: 10 })
const authority = createIntermediateCa(ca, { name: 'test region', regionId: region, days: 10 })

export function identityOf(party: HospitalId): Identity {
  const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
  const certificate = issueCertificate(authority, { party, organisation: party, regionId: region, publicKeyPem }, { days: 5 })
  return loadIdentity({ certificateChain: [certificate, authority.certificatePem], privateKeyPem })
}

/** In this thread; the worker thread has its own test. */
export const inlineCoder: PieceCoder = {
  seal: (keys, request, plain) => Promise.resolve(new PieceCipher(keys.encryptionKey, keys.macKey).sealPiece(request, plain)),
  open: async (keys, request, frame) => new PieceCipher(keys.encryptionKey, keys.macKey).openPiece(request, frame),
}

/** A at one end of a line with a study, C at the other with an empty cache; both on real databases and folders. */
export class TransferBench {
  readonly lineA: DirectLine
  readonly lineC: DirectLine
  readonly own: Archive
  readonly cache: Archive
  readonly dbA: Database
  readonly dbC: Database
  readonly grant: SignedGrant
  readonly #closing: (() => Promise<void>)[]
  /** Where C's unfinished instances lie. */
  readonly folder: string
  readonly #encryption: FileEncryption | undefined
  engine: TransferEngine
  completed = 0
  /** What the trail would be told of transfers that did not complete. */
  readonly ended: AuditEvent[] = []

  private constructor(
    of: Pick<TransferBench, 'lineA' | 'lineC' | 'own' | 'cache' | 'dbA' | 'dbC' | 'grant'> & {
      folder: string
      encryption?: FileEncryption
      closing: (() => Promise<void>)[]
    },
  ) {
    this.lineA = of.lineA
    this.lineC = of.lineC
    this.own = of.own
    this.cache = of.cache
    this.dbA = of.dbA
    this.dbC = of.dbC
    this.grant = of.grant
    this.folder = of.folder
    this.#encryption = of.encryption
    this.#closing = of.closing
    this.engine = this.newEngine()
  }

  /** @param sizes bytes of pixel data of each slice. @param encrypted how C keeps what it fetches. */
  static async open(sizes: readonly number[], { encrypted = false } = {}): Promise<TransferBench> {
    const a = await testArchive({ hospitalId: A })
    const c = await testArchive({ hospitalId: C, name: 'regional', encryptionMode: encrypted ? 'sm4' : 'none' })
    for (const [index, size] of sizes.entries()) {
      await sendSlice(a.archive, {
        SOPInstanceUID: `2.25.3${String(index).padStart(2, '0')}`,
        InstanceNumber: String(index + 1),
        Rows: 100,
        Columns: size / 200,
        PixelData: Buffer.alloc(size, index + 1),
      })
    }
    const dbA = await openDatabase({ dialect: 'sqlite', file: join(a.folder, 'node.sqlite') })
    const dbC = await openDatabase({ dialect: 'sqlite', file: join(c.folder, 'node.sqlite') })
    await dbA.migrate('grant', grantMigrations)
    await dbC.migrate('transfer', transferMigrations)
    const unsigned = aGrant({ studyInstanceUids: [STUDY], notBefore: Date.now() - 1_000, expires: Date.now() + 3_600_000 })
    const grant = { grant: unsigned, ...signDocument(identityOf(A), unsigned) }
    await dbA.write((tx) => rememberGrant(tx, grant, region, Date.now()))
    const [lineA, lineC] = DirectLine.between(A, C)
    const folder = join(c.folder, 'incoming')
    await mkdir(folder)
    const closing = [() => dbA.close(), () => dbC.close(), () => a.close(), () => c.close()]
    const bench = new TransferBench({ lineA, lineC, own: a.archive, cache: c.archive, dbA, dbC, grant, folder, closing, ...(encrypted && { encryption: c.encryption }) })
    bench.newOwner()
    return bench
  }

  /** A's side as after a start: it knows no sessions. */
  newOwner(): TransferOwner {
    const log = createLog({ name: 'a', level: 'silent' })
    const access = new AccessControl({
      db: this.dbA,
      log,
      hospitalId: A,
      kinds: () => ['submitter'],
      tasksOfStudy: () => Promise.resolve([]),
      policy: noRules,
      factsOf: () => Promise.resolve(undefined),
    })
    const trust = new TrustStore({ rootPem: ca.certificatePem, regionId: region })
    return new TransferOwner({
      coder: inlineCoder,
      hospitalId: A,
      line: this.lineA,
      inHospital: this.own,
      regional: this.own,
      access,
      trust: () => trust,
      log,
      metrics: createMetrics(),
      sessionMs: 60_000,
    })
  }

  /** C's side as after a start. */
  newEngine(more: Partial<TransferEngineParts> = {}): TransferEngine {
    this.engine = new TransferEngine({
      coder: inlineCoder,
      db: this.dbC,
      line: this.lineC,
      archive: this.cache,
      folder: this.folder,
      ...(this.#encryption && { encryption: this.#encryption }),
      settings: { ...NodeConfig.shape.transfer.parse({}), pieceBytes: 16_384, piecesInFlight: 2, retryWaitMs: 50, maxRetryWaitMs: 100 },
      log: createLog({ name: 'c', level: 'silent' }),
      metrics: createMetrics(),
      announce: () => undefined,
      onComplete: async () => void (this.completed += 1),
      onEnd: async (_tx, job, end) => void this.ended.push(endedEvent(job, end, C)),
      ...more,
    })
    return this.engine
  }

  wish(change: Partial<TransferWish> = {}): Promise<string> {
    const wish: TransferWish = {
      regionId: region,
      studyInstanceUid: STUDY,
      owner: A,
      sources: [A],
      grant: this.grant,
      purpose: 'push',
      taskId: TASK,
      ...change,
    }
    return this.dbC.write((tx) => this.engine.wish(tx, wish))
  }

  async close(): Promise<void> {
    await this.engine.stop()
    for (const close of this.#closing) await close()
  }
}
