import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import type { TrustStore } from 'pki'
import type { AuditTrail, Log, Metrics } from 'service-kit'
import {
  documentStatus,
  HospitalId,
  isProblem,
  MANIFEST_ROWS,
  MetadataRequest,
  OpenTransfer,
  PIECE_BYTES,
  PieceRequest,
  parseWith,
  Problem,
  RetrieveDocuments,
  services,
  type AssertedPerson,
  type AuditActor,
  type DocumentsGiven,
  type EpochMs,
  type ManifestRow,
  type OpenedTransfer,
  type PartyId,
  type TransferRow,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { isGenuineGrant } from '../access/verify-grant.ts'
import type { Archive } from '../archive/archive.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import { actorElsewhere } from '../audit/actor-elsewhere.ts'
import type { Line } from '../region/line.ts'
import type { PieceCoder } from './cipher-thread.ts'
import { clearPart, metadataFrame, noSessionFrame, refusalFrame } from './frames.ts'
import { findDocuments, type Failure } from './documents.ts'
import { OwnerSession } from './owner-session.ts'
import { Turnstile } from './turnstile.ts'

export interface TransferOwnerParts {
  readonly hospitalId: HospitalId
  readonly line: Line
  readonly inHospital: Archive
  readonly regional: Archive
  readonly access: AccessControl
  readonly trust: () => TrustStore | undefined
  readonly coder: PieceCoder
  readonly log: Log
  readonly metrics: Metrics
  readonly audit?: AuditTrail
  /** Checks for whom another hospital asks. */
  readonly assertions?: AssertionDesk
  /** Sessions nobody uses end after this long. */
  readonly sessionMs: number
  /** 上传线程数: pieces that are read and enciphered at the same time; as many as are asked for unless told. */
  readonly piecesAtOnce?: () => number
  readonly now?: () => EpochMs
}

/** Who asks for what is where. */
interface Admitted {
  readonly archive: Archive
  readonly owner: HospitalId
  readonly person: AssertedPerson | undefined
  /** Why the person asks. */
  readonly reason: string | undefined
}

const actorOf = (asker: HospitalId, person: AssertedPerson | undefined): AuditActor =>
  person ? actorElsewhere(asker, person) : { kind: 'hospital', id: asker, hospitalId: asker }

/** Sessions of one hospital at a time; a receiver that opens ever new ones ends its own oldest. */
const SESSIONS_PER_ASKER = 32

/** Gives studies to whoever holds a grant: our own, and at a data centre those entrusted to it. */
export class TransferOwner {
  readonly #parts: TransferOwnerParts
  readonly #now: () => EpochMs
  readonly #sessions = new Map<string, OwnerSession>()
  /** Manifests of sessions whose rows are asked for page by page. */
  readonly #manifests = new Map<string, readonly ManifestRow[]>()
  readonly #sentBytes
  readonly #turnstile

  constructor(parts: TransferOwnerParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#turnstile = new Turnstile(parts.piecesAtOnce ?? (() => Number.POSITIVE_INFINITY))
    this.#sentBytes = parts.metrics.counter('transfer_sent_bytes_total', 'Image bytes given to other hospitals')
    parts.line.serve(services.transferOpen, ({ from, body }) => this.#open(from, body))
    parts.line.serve(services.documentRetrieve, ({ from, body }) => this.#documents(from, body))
    parts.line.serveBytes(services.transferPiece, (frame, from) => this.#answer(frame, from, 'piece'))
    parts.line.serveBytes(services.transferMetadata, (frame, from) => this.#answer(frame, from, 'metadata'))
  }

  /** What others fetch from us at present. */
  outgoing(): TransferRow[] {
    this.#endIdleSessions()
    return [...this.#sessions.values()].map((session) => ({
      transferId: session.sessionId,
      studyInstanceUid: session.study,
      owner: session.owner,
      direction: 'out',
      purpose: session.purpose,
      state: session.instancesDone >= session.instancesTotal ? 'complete' : 'running',
      instancesDone: Math.min(session.instancesDone, session.instancesTotal),
      instancesTotal: session.instancesTotal,
      bytesDone: Math.min(session.bytesDone, session.bytesTotal),
      bytesTotal: session.bytesTotal,
      startedAt: session.startedAt,
      updatedAt: session.lastUsedAt,
      problem: null,
    }))
  }

  async #open(from: PartyId, body: unknown): Promise<OpenedTransfer> {
    const asker = parseWith(HospitalId, from, 'sender')
    const request = parseWith(OpenTransfer, body, services.transferOpen)
    const session = request.more ? this.#sessionOf(request.more.sessionId, asker) : await this.#begin(asker, request)
    await this.#admit(session)
    const rows = this.#manifests.get(session.sessionId)
    if (!rows) throw new Problem('transfer/unknown-session')
    const fromRow = request.more?.fromRow ?? 0
    if (fromRow >= rows.length) throw new Problem('request/invalid', { what: 'fromRow' })
    const page = rows.slice(fromRow, fromRow + MANIFEST_ROWS)
    if (fromRow + page.length >= rows.length) this.#manifests.delete(session.sessionId)
    return {
      ...this.#keysOf(session),
      manifest: { studyInstanceUid: session.study, rows: page, madeAt: session.startedAt },
      totalRows: rows.length,
    }
  }

  async #begin(asker: HospitalId, request: OpenTransfer): Promise<OwnerSession> {
    const admitted = await this.#admitted(asker, request, services.transferOpen)
    const { archive } = admitted
    const { studyInstanceUid: study, purpose } = request
    if (!(await archive.study(study))) throw new Problem('transfer/unknown-study', { studyInstanceUid: study })
    const session = this.#session(asker, request, { ...admitted, purpose, rows: await archive.manifest(study) })
    this.#tellSent(session, admitted.reason, { mode: purpose })
    return session
  }

  /** Exactly the instances that were named, or why not, one by one (FED-27, AGT-11). */
  async #documents(from: PartyId, body: unknown): Promise<DocumentsGiven> {
    const asker = parseWith(HospitalId, from, 'sender')
    const request = parseWith(RetrieveDocuments, body, services.documentRetrieve)
    const admitted = await this.#admitted(asker, request, services.documentRetrieve)
    const { documents, failures } = await findDocuments(admitted.archive, request)
    const status = documentStatus(documents.length, failures.length)
    const answer = { status, repositoryUniqueId: this.#parts.hospitalId, documents, failures }
    if (documents.length === 0) {
      this.#tellRefused(asker, request, admitted, failures)
      return { ...answer, session: null }
    }
    const session = this.#session(asker, request, { ...admitted, purpose: 'pull', rows: documents })
    this.#tellSent(session, admitted.reason, { mode: 'documents', asked: request.sopInstanceUids.length, notGiven: failures.length })
    return { ...answer, session: this.#keysOf(session) }
  }

  /** Before anything is looked up: a stranger learns nothing, not even whether the study exists. @throws {Problem} access/… */
  async #admitted(asker: HospitalId, { studyInstanceUid: study, grant, assertion }: Pick<OpenTransfer, 'studyInstanceUid' | 'grant' | 'assertion'>, service: string): Promise<Admitted> {
    const { regional, inHospital, access, trust, hospitalId, assertions } = this.#parts
    const { owner } = grant.grant
    const archive = owner === hospitalId ? inHospital : regional
    const exam = { owner, study, kept: archive.name }
    const asserted = assertion && (await assertions?.admit(assertion, { from: asker, service, study, needs: ['image.view', 'consult.process', 'region.search'] }))
    const person = asserted?.person
    await access.admitHospital(asker, 'view', exam, grant, isGenuineGrant(grant, trust(), this.#now()), person)
    return { archive, owner, person, reason: asserted?.reason }
  }

  #session(asker: HospitalId, { studyInstanceUid: study, grant }: Pick<OpenTransfer, 'studyInstanceUid' | 'grant'>, of: Omit<Admitted, 'reason'> & Pick<OwnerSession, 'purpose'> & { rows: readonly ManifestRow[] }): OwnerSession {
    this.#endIdleSessions()
    const own = [...this.#sessions.values()].filter((session) => session.asker === asker).sort((a, b) => a.lastUsedAt - b.lastUsedAt)
    for (const session of own.slice(0, Math.max(0, own.length - SESSIONS_PER_ASKER + 1))) this.#end(session)
    const { archive, owner, person, purpose, rows } = of
    const session = new OwnerSession({ sessionId: randomUUID(), asker, owner, purpose, grant, person, archive, study, rows, now: this.#now() })
    this.#sessions.set(session.sessionId, session)
    this.#manifests.set(session.sessionId, rows)
    this.#parts.log.info({ asker, studyInstanceUid: study, purpose, instances: rows.length }, 'transfer opened')
    return session
  }

  #keysOf({ sessionId, keys }: OwnerSession): Pick<OpenedTransfer, 'sessionId' | 'encryptionKey' | 'macKey' | 'expires'> {
    return {
      sessionId,
      encryptionKey: Buffer.from(keys.encryptionKey).toString('base64'),
      macKey: Buffer.from(keys.macKey).toString('base64'),
      expires: this.#now() + this.#parts.sessionMs,
    }
  }

  #tellSent({ asker, grant: { grant }, person, study, owner, instancesTotal, bytesTotal }: OwnerSession, reason: string | undefined, facts: { mode: string } & Record<string, unknown>): void {
    const { grantId, taskId } = grant
    this.#parts.audit?.note({
      action: 'transfer.send', outcome: 'success', basis: 'grant', purpose: grant.purpose,
      actor: actorOf(asker, person),
      ...(reason !== undefined && { reason }),
      object: { type: 'study', id: study, owner },
      facts: { source: this.#parts.hospitalId, destination: asker, instances: instancesTotal, bytes: bytesTotal, authorisationId: grantId, ...(taskId !== undefined && { taskId }), ...facts },
    }) // prettier-ignore
  }

  /** Nothing of what was named is there: the attempt is kept all the same. */
  #tellRefused(asker: HospitalId, { studyInstanceUid, grant: { grant } }: RetrieveDocuments, { person, owner }: Admitted, failures: readonly Failure[]): void {
    this.#parts.audit?.note({
      action: 'transfer.send', outcome: 'failed', basis: 'grant', purpose: grant.purpose, code: failures[0]?.code ?? 'archive/unknown-instance',
      actor: actorOf(asker, person),
      object: { type: 'study', id: studyInstanceUid, owner },
      facts: { source: this.#parts.hospitalId, destination: asker, mode: 'documents', notGiven: failures.length, authorisationId: grant.grantId },
    }) // prettier-ignore
  }

  /** Everything up to the counter happens before the first await, so requests are judged in the order they arrived. */
  async #answer(frame: Uint8Array, from: PartyId, kind: 'piece' | 'metadata'): Promise<Uint8Array> {
    const request = parseWith(kind === 'piece' ? PieceRequest : MetadataRequest, clearPart(frame), `transfer.${kind}`)
    const session = this.#sessions.get(request.sessionId)
    if (!session || session.asker !== from || this.#isIdle(session)) return noSessionFrame()
    try {
      session.cipher.openFrame(`${kind}-request`, frame)
      session.checkCounter(request.counter, this.#now())
      await this.#admit(session)
      return 'sopInstanceUid' in request ? await this.#piece(session, request) : await this.#metadata(session, request, frame)
    } catch (error) {
      if (!isProblem(error)) this.#parts.log.error({ err: error, studyInstanceUid: session.study }, 'piece not given')
      return refusalFrame(session.cipher, error)
    }
  }

  async #piece(session: OwnerSession, request: PieceRequest): Promise<Uint8Array> {
    return this.#turnstile.pass(async () => {
      const bytes = await session.read(request.sopInstanceUid, request.offset, request.length)
      this.#sentBytes.inc(bytes.length)
      return this.#parts.coder.seal(session.keys, request, bytes)
    })
  }

  async #metadata(session: OwnerSession, request: MetadataRequest, frame: Uint8Array): Promise<Uint8Array> {
    const whole = await session.archive.seriesMetadata(session.study, request.seriesInstanceUid)
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(whole.length)
    const part = whole.subarray(request.offset, request.offset + PIECE_BYTES / 2)
    return metadataFrame(session.cipher.sealBlob(frame, Buffer.concat([length, part])))
  }

  /** Withdrawn, expired, taken by another hospital: asked again for every piece. */
  #admit(session: OwnerSession): Promise<void> {
    return this.#parts.access.admitHospital(
      session.asker,
      'view',
      { owner: session.owner, study: session.study, kept: session.archive.name },
      session.grant,
      true,
      session.person,
    )
  }

  /** The files of a study are others now: whoever fetches it opens it anew and gets the manifest of what there is. */
  contentChanged(study: string): void {
    for (const session of this.#sessions.values()) if (session.study === study) this.#end(session)
  }

  #sessionOf(sessionId: string, asker: HospitalId): OwnerSession {
    const session = this.#sessions.get(sessionId)
    if (!session || session.asker !== asker || this.#isIdle(session)) throw new Problem('transfer/unknown-session')
    return session
  }

  #isIdle(session: OwnerSession): boolean {
    return this.#now() - session.lastUsedAt > this.#parts.sessionMs
  }

  #endIdleSessions(): void {
    for (const session of this.#sessions.values()) if (this.#isIdle(session)) this.#end(session)
  }

  #end(session: OwnerSession): void {
    this.#sessions.delete(session.sessionId)
    this.#manifests.delete(session.sessionId)
  }
}
