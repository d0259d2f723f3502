import type { AuditTrail, Database, Log, User } from 'service-kit'
import {
  Problem,
  type ConsultApplication,
  type ConsultEvent,
  type ConsultRow,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type OpinionDraft,
  type TaskId,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { Archive } from '../archive/archive.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import type { Assert, Asserted } from '../assertion/assert.ts'
import type { Region } from '../region/region.ts'
import type { DocumentSigner, SigningPerson } from '../signing/signer.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { applyForConsult } from './apply.ts'
import { ConsultArrivals } from './arrivals.ts'
import { CommandDesk } from './command-desk.ts'
import type { Consult } from './consult.ts'
import { ConsultImages } from './fetching.ts'
import { serveExams } from './live-exam.ts'
import { recordPrinting } from './printing.ts'
import { ConsultReading } from './reading.ts'
import { OpinionSettling } from './settle.ts'
import { signOpinion, type MakeKeyObject } from './sign.ts'
import { consultMigrations } from './store.ts'
import { UnansweredCommands } from './unanswered.ts'

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
  readonly #images: ConsultImages
  /** What people here see of consultations. */
  readonly reading: ConsultReading
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
    this.reading = new ConsultReading({ ...parts, now })
    this.#images = new ConsultImages({ ...parts, desk: this.#desk })
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
      await this.#images.announce()
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
    return this.reading.row(user, application.taskId)
  }

  claim(user: User, taskId: TaskId): Promise<ConsultRow> {
    const said = (consult: Consult) => {
      const { holder, revision } = consult
      if (holder && (holder.hospitalId !== this.#parts.hospitalId || holder.userId !== user.id)) {
        // Said by our own list already; the hub would say the same (COR-15).
        throw new Problem('consult/held', { by: { ...holder, hospitalName: this.#parts.region.nameOf(holder.hospitalId) } })
      }
      return holder ? undefined : ({ type: 'claim', expectedRevision: revision } as const)
    }
    return this.#command(user, taskId, 'processor', said, (consult) => this.reading.admitExpert(user, consult))
  }

  release(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', () => ({ type: 'release', reason }))
  }

  decline(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', () => ({ type: 'decline', reason }))
  }

  start(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#command(user, taskId, 'processor', ({ state }) => (state === 'started' ? undefined : { type: 'start' }), (consult) => this.reading.admitExpert(user, consult))
  }

  cancel(user: User, taskId: TaskId, reason: string): Promise<ConsultRow> {
    return this.#command(user, taskId, 'submitter', ({ state }) => (state === 'cancelled' ? undefined : { type: 'cancel', reason }), (consult) => this.reading.admitApplicant(user, consult))
  }

  markRead(user: User, taskId: TaskId): Promise<ConsultRow> {
    return this.#command(user, taskId, 'submitter', ({ state }) => (state === 'read' ? undefined : { type: 'read' }))
  }

  /** Whoever may read the opinion may print it; both is noted. */
  async markPrinted(user: User, taskId: TaskId): Promise<ConsultRow> {
    const { db, announce } = this.#parts
    await this.reading.admitReader(user, await this.reading.read(taskId))
    await recordPrinting({ db, desk: this.#desk, announce }, user, taskId)
    return this.reading.row(user, taskId)
  }

  /** @param person with the session in which their key is unlocked. */
  async sign(person: SigningPerson, taskId: TaskId, draft: OpinionDraft, draftRevision: number | undefined): Promise<ConsultRow> {
    const { db, region, hospitalId, makeKeyObject, signer, log } = this.#parts
    await this.reading.admitExpert(person.user, await this.reading.read(taskId))
    await signOpinion({ db, region, desk: this.#desk, hospitalId, makeKeyObject, signer, log, now: this.#now }, person, taskId, draft, draftRevision)
    return this.reading.row(person.user, taskId)
  }

  /** Brings the images here ahead of reading. @throws {Problem} access/… */
  async fetchImages(user: User, taskId: TaskId): Promise<ConsultRow> {
    const consult = await this.reading.read(taskId)
    await this.reading.admitReader(user, consult)
    if (consult.side !== 'submitter') await this.wantImages(consult, 'prefetch', user)
    return this.reading.row(user, taskId)
  }

  /** Asks for every study of the task; what is here already is not fetched again. */
  wantImages(consult: Consult, purpose: 'pull' | 'prefetch', user: Asserted): Promise<void> {
    return this.#images.want(consult, purpose, user)
  }

  async #command(
    user: User,
    taskId: TaskId,
    side: Consult['side'],
    content: (consult: Consult) => Parameters<CommandDesk['post']>[3] | undefined,
    admit: (consult: Consult) => Promise<void> = (consult) => this.reading.admitLister(user, consult),
  ): Promise<ConsultRow> {
    await admit(await this.reading.read(taskId))
    await this.#desk.command(taskId, this.#desk.personOf(user), async (consult) => {
      if (consult.side !== side) throw new Problem(side === 'submitter' ? 'consult/not-yours' : 'consult/not-offered-here', { taskId })
      const said = content(consult)
      return said && { next: consult, content: said }
    })
    return this.reading.row(user, taskId)
  }

  #follow(consult: Consult, event: ConsultEvent): void {
    if (event.type === 'signed') void this.#settling.settle(consult.taskId)
    const isLost =
      consult.state === 'cancelled' ||
      consult.state === 'declined' ||
      (event.type === 'claimed' && event.by.hospitalId !== this.#parts.hospitalId)
    if (consult.side !== 'submitter' && isLost && !(consult.side === 'data-centre' && event.type === 'claimed'))
      void this.#inBackground(() => this.#images.stopFor(consult))
  }

  /** A transfer is complete: whoever asked for it in the region's name tells the region. */
  imagesComplete(): void {
    void this.#inBackground(() => this.#images.announce())
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
