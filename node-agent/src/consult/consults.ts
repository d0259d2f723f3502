import { hasRight, type AuditTrail, type Database, type Log, type User } from 'service-kit'
import {
  isProblem,
  Problem,
  type SignedAssertion,
  type ConsultApplication,
  type ConsultDetail,
  type ConsultEvent,
  type ConsultRow,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type LiveExam,
  services,
  type OpinionDraft,
  type SignedDocumentFile,
  type TaskId,
} from 'specs'
import type { AccessControl, Person } from '../access/access-control.ts'
import type { Archive } from '../archive/archive.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import { assertedPersonOf, type Assert, type Asserted } from '../assertion/assert.ts'
import { snapshotOf } from '../exam/exam.ts'
import { maskConsultDetail, maskConsultRow, maskSnapshot } from '../patient/masked.ts'
import { findExam } from '../exam/store.ts'
import type { Region } from '../region/region.ts'
import { signedDocumentOf } from '../signing/signed-document.ts'
import type { DocumentSigner, SigningPerson } from '../signing/signer.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { markAnnounced, unannouncedTasks } from '../transfer/store.ts'
import { applyForConsult } from './apply.ts'
import { ConsultArrivals } from './arrivals.ts'
import { CommandDesk } from './command-desk.ts'
import { examOf, taskViewOf, type Consult } from './consult.ts'
import { imagesOf } from './images.ts'
import { readLiveExam, serveExams } from './live-exam.ts'
import { recordPrinting } from './printing.ts'
import { OpinionSettling } from './settle.ts'
import { UnansweredCommands } from './unanswered.ts'
import { signOpinion, type MakeKeyObject } from './sign.ts'
import { consultMigrations, consultsOfStudy, findConsult, listConsults, type ConsultFilter } from './store.ts'
import { detailOf, rowOf, type ViewParts } from './view.ts'

export interface ConsultsParts {
  readonly db: Database
  readonly log: Log
  readonly region: Region
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly inHospital: Archive
  readonly regional: Archive
  readonly transfers: TransferEngine
  readonly makeKeyObject: MakeKeyObject
  readonly signer: DocumentSigner
  readonly announce: (event: LiveEvent) => void
  readonly audit?: AuditTrail
  /** This hospital's word for its people, and its check of others'. */
  readonly assert: Assert
  readonly assertions: AssertionDesk
  readonly settings: { readonly grantDays: number; readonly answerWaitMs: number; readonly repeatAfterMs: number }
  readonly now?: () => EpochMs
}

/** 会诊 at this hospital: what its people do, what the region tells, and what follows by itself. */
export class Consults {
  readonly #parts: ConsultsParts
  readonly #now: () => EpochMs
  readonly #desk: CommandDesk
  readonly #settling: OpinionSettling
  readonly #view: ViewParts
  /** What we have said to the platform and have no answer to. */
  readonly unanswered: UnansweredCommands
  readonly #looking: ReturnType<typeof setInterval>
  #background: Promise<unknown> = Promise.resolve()

  private constructor(parts: ConsultsParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    const { db, region, hospitalId, announce, access } = parts
    const now = this.#now
    this.#desk = new CommandDesk({ db, region, hospitalId, announce, answerWaitMs: parts.settings.answerWaitMs, audit: parts.audit, now })
    this.#settling = new OpinionSettling({ ...parts, desk: this.#desk, now })
    this.#view = { db, region, access, hospitalId, imagesOf: (consult) => imagesOf(db, consult) }
    new ConsultArrivals({ ...parts, answers: this.#desk.answers, onEvent: (consult, event) => this.#follow(consult, event), now })
    serveExams({ db, line: region.line, access, hospitalId, trust: () => region.trust, assertions: parts.assertions, now })
    const { repeatAfterMs } = parts.settings
    this.unanswered = new UnansweredCommands({ db, region, log: parts.log, repeatAfterMs, now })
    this.#looking = setInterval(() => void this.#inBackground(() => this.unanswered.repeat()), repeatAfterMs)
    this.#looking.unref()
    region.onConnected(() => void this.resume())
  }

  static async open(parts: ConsultsParts): Promise<Consults> {
    await parts.db.migrate('consult', consultMigrations)
    return new Consults(parts)
  }

  /** Does what an earlier process left, or what had to wait for the line. */
  resume(): Promise<void> {
    return this.#inBackground(async () => {
      await this.#settling.resume()
      await this.#announceImages()
      await this.unanswered.repeat()
    })
  }

  async stop(): Promise<void> {
    clearInterval(this.#looking)
    await this.#background
  }

  async apply(user: User, application: ConsultApplication): Promise<ConsultRow> {
    const { db, region, access, inHospital, hospitalId, settings } = this.#parts
    await applyForConsult(
      { db, region, access, archive: inHospital, desk: this.#desk, hospitalId, grantDays: settings.grantDays, now: this.#now },
      user,
      application,
    )
    return this.row(user, application.taskId)
  }

  async list(user: User, filter: ConsultFilter): Promise<{ rows: ConsultRow[]; total: number; next: string | null }> {
    const { access } = this.#parts
    const permitted = { exams: access.conditionFor(user, 'list'), entrusted: access.entrustedModalities(user), passing: hasRight(user, 'image.view') }
    const { rows, total } = await listConsults(this.#parts.db, { ...filter, permitted })
    const last = rows.length === filter.limit ? rows.at(-1) : undefined
    return {
      rows: await Promise.all(rows.map((consult) => this.#maskedRow(user, consult))),
      total,
      next: last ? `${last.appliedAt}_${last.taskId}` : null,
    }
  }

  async row(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#maskedRow(user, await this.read(taskId))
  }

  async #maskedRow(user: User, consult: Consult): Promise<ConsultRow> {
    return maskConsultRow(await rowOf(this.#view, user, consult), 'L1', consult.patientName)
  }

  /** With names and numbers masked, as everywhere (SEC-06). */
  async detail(user: User, taskId: TaskId): Promise<ConsultDetail> {
    return maskConsultDetail(await detailOf(this.#view, user, taskId), 'L1', (await this.read(taskId)).patientName)
  }

  /** In full. Whoever asks has shown the right and has told the trail. An exam that cannot be reached now is left out. */
  async unmasked(user: User, taskId: TaskId): Promise<{ consult: ConsultDetail; exam: LiveExam | null }> {
    return { consult: await detailOf(this.#view, user, taskId), exam: await this.#liveExam(user, taskId).catch(absent) }
  }

  /** @throws {Problem} consult/unknown-task */
  async read(taskId: TaskId): Promise<Consult> {
    const consult = await findConsult(this.#parts.db, taskId)
    if (!consult) throw new Problem('consult/unknown-task', { taskId })
    return consult
  }

  claim(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', (consult) => {
      const { holder, revision } = consult
      if (holder && (holder.hospitalId !== this.#parts.hospitalId || holder.userId !== user.id)) {
        // Said by our own list already; the hub would say the same (COR-15).
        throw new Problem('consult/held', { by: { ...holder, hospitalName: this.#parts.region.nameOf(holder.hospitalId) } })
      }
      return holder ? undefined : { type: 'claim', expectedRevision: revision }
    })
  }

  release(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', () => ({ type: 'release', reason }))
  }

  decline(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', () => ({ type: 'decline', reason }))
  }

  start(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', ({ state }) => (state === 'started' ? undefined : { type: 'start' }))
  }

  cancel(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'submitter', ({ state }) => (state === 'cancelled' ? undefined : { type: 'cancel', reason }))
  }

  markRead(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#command(user, taskId, 'submitter', ({ state }) => (state === 'read' ? undefined : { type: 'read' }))
  }

  /** Whoever may read the opinion may print it; both is noted. */
  async markPrinted(user: User, taskId: TaskId): Promise<ConsultRow> {
    const { db, announce } = this.#parts
    await this.admitReader(user, await this.read(taskId))
    await recordPrinting({ db, desk: this.#desk, announce }, user, taskId)
    return this.row(user, taskId)
  }

  /** @param person with the session in which their key is unlocked. */
  async sign(person: SigningPerson, taskId: TaskId, draft: OpinionDraft, draftRevision: number | undefined): Promise<ConsultRow> {
    const { db, region, hospitalId, makeKeyObject, signer, log } = this.#parts
    await signOpinion({ db, region, desk: this.#desk, hospitalId, makeKeyObject, signer, log, now: this.#now }, person, taskId, draft, draftRevision)
    return this.row(person.user, taskId)
  }

  /**
   * The opinion with both signatures, time stamp and the revocation list of today: enough to be judged anywhere, by anybody who has
   * the region's root. @throws {Problem} request/not-found while there is none, consult/opinion-invalid for one that is not genuine.
   */
  async signedOpinion(user: User, taskId: TaskId): Promise<SignedDocumentFile> {
    const consult = await this.read(taskId)
    await this.admitReader(user, consult)
    const { opinion, opinionValid } = consult
    if (!opinion) throw new Problem('request/not-found', { taskId })
    if (opinionValid === false) throw new Problem('consult/opinion-invalid', { taskId })
    return signedDocumentOf(opinion, this.#parts.region, this.#now())
  }

  async liveExam(user: User, taskId: TaskId): Promise<LiveExam> {
    const live = await this.#liveExam(user, taskId)
    return { ...live, exam: maskSnapshot(live.exam, 'L1') }
  }

  async #liveExam(user: User, taskId: TaskId): Promise<LiveExam> {
    const { db, region, access, hospitalId } = this.#parts
    const consult = await this.read(taskId)
    await this.admitReader(user, consult)
    if (consult.side !== 'submitter') return readLiveExam(region.line, consult, this.#now(), this.#assertReading(user, consult))
    const exam = consult.examId === null ? undefined : await findExam(db, consult.examId)
    if (!exam) throw new Problem('exam/unknown', { taskId })
    return { exam: snapshotOf(exam, access.hospitalId ?? hospitalId), source: 'live', at: this.#now() }
  }

  #assertReading(user: User, { submitter: audience, taskId, facts }: Consult): SignedAssertion | undefined {
    const { region, assert } = this.#parts
    // Without a region nobody is asked anyway, and the copy is shown.
    if (region.membership === undefined) return undefined
    const [studyInstanceUid] = facts.studyInstanceUids
    return assert(assertedPersonOf(user), { audience, service: services.examRead, purpose: facts.grant.grant.purpose, studyInstanceUid, taskId })
  }

  /** Brings the images here ahead of reading. @throws {Problem} access/… */
  async fetchImages(user: User, taskId: TaskId): Promise<ConsultRow> {
    const consult = await this.read(taskId)
    await this.admitReader(user, consult)
    if (consult.side !== 'submitter') await this.wantImages(consult, 'prefetch', user)
    return this.row(user, taskId)
  }

  /** Asks for every study of the task; what is here already is not fetched again. */
  async wantImages(consult: Consult, purpose: 'pull' | 'prefetch', user: Asserted): Promise<void> {
    const { db, transfers } = this.#parts
    await db.write(async (tx) => {
      for (const studyInstanceUid of consult.facts.studyInstanceUids) {
        await transfers.wish(tx, { ...wishOf(consult), studyInstanceUid, purpose, requester: { person: assertedPersonOf(user) } })
      }
    })
  }

  admitReader(user: Person, consult: Consult): Promise<void> {
    return this.#parts.access.admitUser(user, 'read', examOf(consult))
  }

  /** Who may not have a task of ours on a list learns nothing of it by its number either; of others' tasks everybody who works with them sees the masked row. */
  async #admitLister(user: Person, consult: Consult): Promise<void> {
    if (consult.side === 'submitter') await this.#parts.access.admitUser(user, 'list', examOf(consult))
  }

  async #command(
    user: User,
    taskId: TaskId,
    side: Consult['side'],
    content: (consult: Consult) => Parameters<CommandDesk['post']>[3] | undefined,
  ): Promise<ConsultRow> {
    if (side === 'submitter') await this.#admitLister(user, await this.read(taskId))
    await this.#desk.command(taskId, this.#desk.personOf(user), async (consult) => {
      if (consult.side !== side) throw new Problem(side === 'submitter' ? 'consult/not-yours' : 'consult/not-offered-here', { taskId })
      const said = content(consult)
      return said && { next: consult, content: said }
    })
    return this.row(user, taskId)
  }

  #follow(consult: Consult, event: ConsultEvent): void {
    if (event.type === 'signed') void this.#settling.settle(consult.taskId)
    const isLost =
      consult.state === 'cancelled' ||
      consult.state === 'declined' ||
      (event.type === 'claimed' && event.by.hospitalId !== this.#parts.hospitalId)
    if (consult.side !== 'submitter' && isLost && !(consult.side === 'data-centre' && event.type === 'claimed'))
      void this.#stopFetching(consult)
  }

  #stopFetching(consult: Consult): Promise<void> {
    const { db, transfers, hospitalId } = this.#parts
    return this.#inBackground(() =>
      transfers.cancelForTask(consult.taskId, async (job) => {
        const others = await consultsOfStudy(db, job.studyInstanceUid)
        return others.some((other) => other.taskId !== consult.taskId && other.submitter === job.owner && isOpenHere(other, hospitalId))
      }),
    )
  }

  /** A transfer is complete: whoever asked for it in the region's name tells the region. */
  imagesComplete(): void {
    void this.#inBackground(() => this.#announceImages())
  }

  async #announceImages(): Promise<void> {
    const { db } = this.#parts
    for (const { transferId, taskId, instanceCount, sizeBytes } of await unannouncedTasks(db)) {
      await db.write(async (tx) => {
        const consult = await findConsult(tx, taskId)
        await markAnnounced(tx, transferId, taskId)
        if (!consult || consult.side === 'submitter' || consult.state === 'cancelled' || consult.state === 'declined') return
        await this.#desk.post(tx, consult, this.#desk.agent, { type: 'images-arrived', instanceCount, sizeBytes })
      })
    }
  }

  /** One after the other; a failure is logged and tried again with the next connection. */
  #inBackground(work: () => Promise<unknown>): Promise<void> {
    const done = this.#background.then(work).then(
      () => undefined,
      (error: unknown) => this.#parts.log.warn({ err: error }, 'left for later'),
    )
    this.#background = done
    return done
  }
}

function absent(error: unknown): null {
  if (isProblem(error)) return null
  throw error
}

/** A data centre that has the images is as good as their owner, and nearer. */
export function wishOf(consult: Consult) {
  const { taskId, regionId, submitter, facts, imagesArrivedAt } = consult
  const centres = facts.imagesTo === 'data-centre' ? imagesArrivedAt.filter((id) => !consult.offeredTo.includes(id)) : []
  return { taskId, regionId, owner: submitter, sources: [...centres, submitter], grant: facts.grant }
}

function isOpenHere(consult: Consult, hospitalId: HospitalId): boolean {
  const { state, holder, offeredTo } = taskViewOf(consult)
  if (state === 'cancelled' || state === 'declined') return false
  return consult.side === 'data-centre' || (holder === null ? offeredTo.includes(hospitalId) : holder.hospitalId === hospitalId)
}
