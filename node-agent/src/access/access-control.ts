import { rightsOf, type Database, type Log, type User } from 'service-kit'
import { Problem, type EpochMs, type HospitalId, type HospitalKind, type SignedGrant, type StudyInstanceUid } from 'specs'
import type { AccessEvents } from '../audit/access-events.ts'
import { decideAccess, type AccessDecision, type AccessRequest, type Asker, type Doing, type Purpose } from './decide-access.ts'
import { standingOf } from './grant-store.ts'
import type { TaskView } from './task-view.ts'

export interface AccessParts {
  readonly db: Database
  readonly log: Log
  readonly hospitalId: HospitalId
  /** What the region says we are; nothing before we have joined. */
  readonly kinds: () => readonly HospitalKind[]
  readonly tasksOfStudy: (study: StudyInstanceUid) => Promise<readonly TaskView[]>
  /** Hears of every decision that was kept to. */
  readonly events?: AccessEvents
  readonly now?: () => EpochMs
}

export type AskedExam = AccessRequest['exam']

/** As much of a signed-in user as access depends on. */
export type Person = Pick<User, 'id' | 'entitlements'>

/**
 * Gathers what decideAccess needs and keeps to its answer. Who was shown which study, and who was refused, goes into the
 * log with ids only.
 */
export class AccessControl {
  readonly #parts: AccessParts
  readonly #now: () => EpochMs

  constructor(parts: AccessParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  get hospitalId(): HospitalId {
    return this.#parts.hospitalId
  }

  /** @throws {Problem} access/… */
  async admitUser(user: Person, doing: Doing, exam: AskedExam): Promise<void> {
    const asker: Asker = { kind: 'user', userId: user.id, rights: rightsOf(user) }
    const purpose: Purpose = exam.owner === this.#parts.hospitalId ? 'treatment' : 'consultation'
    const decision = await this.#decide(asker, doing, purpose, exam)
    await this.#parts.events?.tell({ asker, doing, purpose, exam, decision })
    this.#keepTo(decision, { userId: user.id, doing, exam })
  }

  async mayUser(user: Person, doing: Doing, exam: AskedExam): Promise<boolean> {
    const asker: Asker = { kind: 'user', userId: user.id, rights: rightsOf(user) }
    const purpose: Purpose = exam.owner === this.#parts.hospitalId ? 'treatment' : 'consultation'
    return (await this.#decide(asker, doing, purpose, exam)).allowed
  }

  /**
   * A request of another hospital's agent. Asked at every piece, so that a grant withdrawn in the middle ends the transfer.
   * @param genuine whether the owner's signature under the grant was found good (see verify-grant.ts).
   * @throws {Problem} access/…
   */
  async admitHospital(hospitalId: HospitalId, doing: Doing, exam: AskedExam, signed: SignedGrant, genuine: boolean): Promise<void> {
    const asker: Asker = { kind: 'hospital', hospitalId, grant: { grant: signed.grant, genuine } }
    const decision = await this.#decide(asker, doing, signed.grant.purpose, exam, signed)
    await this.#parts.events?.tell({ asker, doing, purpose: signed.grant.purpose, exam, decision, authorisationId: signed.grant.grantId })
    if (!decision.allowed) this.#keepTo(decision, { hospitalId, doing, exam })
  }

  /** @throws {Problem} dimse/unknown-ae, access/… */
  async admitDicomNode(aeTitle: string, allowed: boolean, doing: Doing, exam: AskedExam): Promise<void> {
    const asker: Asker = { kind: 'dicom-node', aeTitle, allowed }
    const decision = await this.#decide(asker, doing, 'treatment', exam)
    await this.#parts.events?.tell({ asker, doing, purpose: 'treatment', exam, decision })
    this.#keepTo(decision, { aeTitle, doing, exam })
  }

  async #decide(asker: Asker, doing: Doing, purpose: Purpose, exam: AskedExam, signed?: SignedGrant): Promise<AccessDecision> {
    const { db, hospitalId, kinds, tasksOfStudy } = this.#parts
    const needsTasks = exam.study !== undefined && (asker.kind === 'hospital' || exam.owner !== hospitalId)
    return decideAccess({
      asker,
      here: { hospitalId, kinds: kinds() },
      doing,
      purpose,
      exam,
      tasks: needsTasks && exam.study !== undefined ? await tasksOfStudy(exam.study) : [],
      standing: signed && exam.owner === hospitalId ? await standingOf(db, signed.grant.grantId) : undefined,
      now: this.#now(),
    })
  }

  #keepTo(
    decision: AccessDecision,
    what: { doing: Doing; exam: AskedExam; userId?: string; hospitalId?: HospitalId; aeTitle?: string },
  ): void {
    const { exam, ...who } = what
    const about = { ...who, owner: exam.owner, studyInstanceUid: exam.study }
    if (!decision.allowed) {
      this.#parts.log.warn({ ...about, code: decision.code }, 'access refused')
      throw new Problem(decision.code, decision.facts)
    }
    if (exam.study !== undefined) this.#parts.log.debug({ ...about, because: decision.because }, 'access')
  }
}
