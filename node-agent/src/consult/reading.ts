import { hasRight, type Database, type User } from 'service-kit'
import {
  isProblem,
  Problem,
  services,
  type ConsultDetail,
  type ConsultRow,
  type EpochMs,
  type HospitalId,
  type LiveExam,
  type SignedAssertion,
  type SignedDocumentFile,
  type TaskId,
} from 'specs'
import type { AccessControl, Person } from '../access/access-control.ts'
import { assertedPersonOf, type Assert } from '../assertion/assert.ts'
import { snapshotOf } from '../exam/exam.ts'
import { findExam } from '../exam/store.ts'
import { maskConsultDetail, maskConsultRow, maskSnapshot } from '../patient/masked.ts'
import type { Region } from '../region/region.ts'
import { signedDocumentOf } from '../signing/signed-document.ts'
import { examOf, isListed, type Consult } from './consult.ts'
import { imagesOf } from './images.ts'
import { readLiveExam } from './live-exam.ts'
import { findConsult, listConsults, type ConsultFilter } from './store.ts'
import { detailOf, rowOf, type ViewParts } from './view.ts'

export interface ConsultReadingParts {
  readonly db: Database
  readonly region: Region
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  /** This hospital's word for its people, to whom keeps the exam. */
  readonly assert: Assert
  readonly now: () => EpochMs
}

/** What people of this hospital see of consultations: lists, the case, the exam as it stands now, the signed opinion. */
export class ConsultReading {
  readonly #parts: ConsultReadingParts
  readonly #view: ViewParts

  constructor(parts: ConsultReadingParts) {
    this.#parts = parts
    const { db, region, access, hospitalId } = parts
    this.#view = { db, region, access, hospitalId, imagesOf: (consult) => imagesOf(db, consult) }
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
    const consult = await this.read(taskId)
    await this.admitLister(user, consult)
    return maskConsultDetail(await detailOf(this.#view, user, taskId), 'L1', consult.patientName)
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

  admitReader(user: Person, consult: Consult): Promise<void> {
    return this.#parts.access.admitUser(user, 'read', examOf(consult))
  }

  /** Who may not have a task on a list learns nothing of it by its number either. @throws {Problem} access/… */
  async admitLister(user: Person, consult: Consult): Promise<void> {
    const { access } = this.#parts
    if (consult.side === 'submitter') return access.admitUser(user, 'list', examOf(consult))
    // What passes through a data centre shows no patient to its people.
    if (consult.side === 'data-centre' && hasRight(user, 'image.view')) return
    return access.admitToTask(user, consult.facts.modality, examOf(consult))
  }

  /** Withdrawing an application asks for what making it did. @throws {Problem} access/… */
  async admitApplicant(user: Person, consult: Consult): Promise<void> {
    await this.admitLister(user, consult)
    if (consult.side === 'submitter') await this.#parts.access.admitUser(user, 'apply', examOf(consult))
  }

  /**
   * Whoever takes a case or writes its opinion must be one of those who may read it. A case that has left our lists, because another house holds
   * it or it was withdrawn, the command itself refuses, and says why. @throws {Problem} access/…
   */
  async admitExpert(user: Person, consult: Consult): Promise<void> {
    await this.admitLister(user, consult)
    const isOurs = (now: Consult) => now.side === 'processor' && isListed(now, this.#parts.hospitalId)
    if (!isOurs(consult)) return
    await this.admitReader(user, consult).catch(async (refusal: unknown) => {
      // Another house may have taken it while we asked: then that is the answer.
      if (isOurs(await this.read(consult.taskId))) throw refusal
    })
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
    return signedDocumentOf(opinion, this.#parts.region, this.#parts.now())
  }

  async liveExam(user: User, taskId: TaskId): Promise<LiveExam> {
    const live = await this.#liveExam(user, taskId)
    return { ...live, exam: maskSnapshot(live.exam, 'L1') }
  }

  async #liveExam(user: User, taskId: TaskId): Promise<LiveExam> {
    const { db, region, access, hospitalId } = this.#parts
    const consult = await this.read(taskId)
    await this.admitReader(user, consult)
    if (consult.side !== 'submitter') return readLiveExam(region.line, consult, this.#parts.now(), this.#assertReading(user, consult))
    const exam = consult.examId === null ? undefined : await findExam(db, consult.examId)
    if (!exam) throw new Problem('exam/unknown', { taskId })
    return { exam: snapshotOf(exam, access.hospitalId ?? hospitalId), source: 'live', at: this.#parts.now() }
  }

  #assertReading(user: User, { submitter: audience, taskId, facts }: Consult): SignedAssertion | undefined {
    const { region, assert } = this.#parts
    // Without a region nobody is asked anyway, and the copy is shown.
    if (region.membership === undefined) return undefined
    const [studyInstanceUid] = facts.studyInstanceUids
    return assert(assertedPersonOf(user), { audience, service: services.examRead, purpose: facts.grant.grant.purpose, studyInstanceUid, taskId })
  }
}

function absent(error: unknown): null {
  if (isProblem(error)) return null
  throw error
}
