import type { Database, Log } from 'service-kit'
import { Problem, type AssertedPerson, type Authorisation, type CarePurpose, type EpochMs, type GrantId, type HospitalId, type HospitalKind, type SignedGrant, type StudyInstanceUid } from 'specs'
import type { AccessEvents, Searched } from '../audit/access-events.ts'
import { decideAccess, decideTask, rightFor, type AccessDecision, type AccessRequest, type Asker, type Doing, type Policy, type Purpose } from './decide-access.ts'
import { standingOf } from './grant-store.ts'
import type { RelationPolicy, Step, Subject } from './policy/decide-exam.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import { momentAt } from './policy/rule.ts'
import { examCondition, type Bind } from './policy/sql-condition.ts'
import { deviceSubject, subjectOf, type DeviceRights, type Person } from './policy/subject.ts'
import type { ExamKey } from './register-facts.ts'
import type { HeldGrant } from './shared.ts'
import type { TaskView } from './task-view.ts'

export interface AccessParts {
  readonly db: Database
  readonly log: Log
  readonly hospitalId: HospitalId
  /** What the region says we are; nothing before we have joined. */
  readonly kinds: () => readonly HospitalKind[]
  readonly tasksOfStudy: (study: StudyInstanceUid) => Promise<readonly TaskView[]>
  /** Rules, emergency accesses and the relation that is asked for, as they stand. */
  readonly policy: Policy
  /** What our register says of an exam; undefined when it knows none. */
  readonly factsOf: (exam: ExamKey) => Promise<ExamFacts | undefined>
  /** Grants of other hospitals that people of ours hold for a study. */
  readonly heldGrants?: (study: StudyInstanceUid) => Promise<readonly HeldGrant[]>
  /** When another hospital told us that it has taken a grant back. */
  readonly withdrawalOf?: (owner: HospitalId, grantId: GrantId) => Promise<EpochMs | undefined>
  /** Hears of every decision that was kept to. */
  readonly events?: AccessEvents
  readonly now?: () => EpochMs
}

export type AskedExam = AccessRequest['exam']
export type { Person } from './policy/subject.ts'

/** `within`: every modality, or these; an empty list is none. `without`: rules close these. */
export interface EntrustedModalities {
  readonly within: 'all' | readonly string[]
  readonly without: readonly string[]
}

/** SQL on rows of the exam register, for exactly the exams that may be listed, read, … */
export type ExamsCondition = (exam: string, bind: Bind) => string

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

  /** Whose exams staff see without an explicit rule. */
  get relation(): RelationPolicy {
    return this.#parts.policy.relation
  }

  /** @param search by which words a list is asked for. @throws {Problem} access/…, exam/unknown for an exam of ours that the register does not know. */
  async admitUser(user: Person, doing: Doing, exam: AskedExam, search?: Searched): Promise<void> {
    await this.#admitUser({ kind: 'user', subject: subjectOf(user) }, doing, exam, search)
  }

  /** An exam that a person is about to enter: refused where the own scope does not reach. @throws {Problem} access/… */
  async admitNewExam(user: Person, doing: Doing, facts: ExamFacts): Promise<void> {
    await this.#admitUser({ kind: 'user', subject: subjectOf(user) }, doing, { owner: facts.owner, examId: facts.examId, facts, kept: 'in-hospital' })
  }

  /**
   * Images for a study of ours: whoever works in one queue adds none to an exam of another (SEC-02). Images that come before their exam
   * is registered belong to no queue yet. @throws {Problem} access/…
   */
  async admitStoring(user: Person, study: StudyInstanceUid): Promise<void> {
    const { hospitalId, factsOf } = this.#parts
    const facts = await factsOf({ study })
    if (facts) await this.admitUser(user, 'store', { owner: hospitalId, study, facts, kept: 'in-hospital' })
  }

  async #admitUser(asker: Asker & { kind: 'user' }, doing: Doing, asked: AskedExam, search?: Searched): Promise<void> {
    const purpose: Purpose = asked.owner === this.#parts.hospitalId ? 'treatment' : 'consultation'
    const exam = await this.#known(asked)
    const decision = await this.#decide(asker, doing, purpose, exam)
    await this.#parts.events?.tell({ asker, doing, purpose, exam, decision, search })
    this.#keepTo(decision, { userId: asker.subject.id, doing, exam })
  }

  async mayUser(user: Person, doing: Doing, exam: AskedExam): Promise<boolean> {
    return this.maySubject(subjectOf(user), doing, await this.#known(exam))
  }

  /** The same question about somebody known only by rights, with what the register says already at hand. */
  async maySubject(subject: Subject, doing: Doing, exam: AskedExam): Promise<boolean> {
    const purpose: Purpose = exam.owner === this.#parts.hospitalId ? 'treatment' : 'consultation'
    return (await this.#decide({ kind: 'user', subject }, doing, purpose, exam)).allowed
  }

  /** Of an exam of ours whose facts are at hand; at once, for whoever has many to ask. */
  maySee(user: Person, doing: Doing, facts: ExamFacts): boolean {
    const { hospitalId, kinds, policy } = this.#parts
    const exam = { owner: facts.owner, examId: facts.examId, facts, kept: 'in-hospital' } as const
    return decideAccess({ asker: { kind: 'user', subject: subjectOf(user) }, here: { hospitalId, kinds: kinds() }, doing, purpose: 'treatment', exam, tasks: [], policy, now: this.#now() }).allowed
  }

  /** Which tasks of other hospitals a person may have on a list, as decideTask would say of each: those of modalities `within`, `without` some. */
  entrustedModalities(user: Person): EntrustedModalities {
    const { rules } = this.#parts.policy
    const subject = subjectOf(user)
    const scopes = subject.scopes.get('consult.process') ?? []
    const moment = momentAt(this.#now())
    const closed = rules.askInGeneral(subject.keys, 'list', moment)
    if (scopes.length === 0 || closed.deniedBy || closed.reservedBy) return { within: [], without: [] }
    const within = scopes.some(({ modalities }) => modalities === undefined) ? 'all' : [...new Set(scopes.flatMap(({ modalities }) => modalities ?? []))]
    const named = rules.classRules(subject.keys, 'list', moment).flatMap(({ rule: { object } }) => (object.kind === 'modality' ? [object.id] : []))
    return { within, without: [...new Set(named)].filter((modality) => !this.#decideTask(subject, modality).allowed) }
  }

  /** At once, for whoever has many to ask. */
  mayListTask(user: Person, modality: string): boolean {
    return this.#decideTask(subjectOf(user), modality).allowed
  }

  /** A task of another hospital as such, whether or not its grant still holds. @throws {Problem} access/… */
  async admitToTask(user: Person, modality: string, exam: AskedExam): Promise<void> {
    const subject = subjectOf(user)
    const decision = this.#decideTask(subject, modality)
    if (!decision.allowed) await this.#parts.events?.tell({ asker: { kind: 'user', subject }, doing: 'list', purpose: 'consultation', exam, decision })
    this.#keepTo(decision, { userId: subject.id, doing: 'list', exam })
  }

  #decideTask(subject: Subject, modality: string): AccessDecision {
    return decideTask({ subject, modality, policy: this.#parts.policy, now: this.#now() })
  }

  /** A patient, known by a token that staff have issued, and one exam. */
  async mayPatient(patientId: string, doing: Doing, exam: AskedExam): Promise<boolean> {
    return (await this.#decide({ kind: 'patient', patientId }, doing, 'treatment', await this.#known(exam))).allowed
  }

  /** How the decision comes about, step by step: for administrators, never told to whoever was refused. */
  async explain(subject: Subject, doing: Doing, exam: AskedExam, { asDevice = false } = {}): Promise<{ decision: AccessDecision; steps: Step[] }> {
    const steps: Step[] = []
    const asker: Asker = asDevice ? { kind: 'dicom-node', aeTitle: subject.id, subject } : { kind: 'user', subject }
    return { decision: await this.#decide(asker, doing, 'treatment', await this.#known(exam), undefined, steps), steps }
  }

  /** For lists of our own exams, their pages and counts. */
  conditionFor(user: Person, doing: Doing): ExamsCondition {
    return this.#condition(subjectOf(user), doing, this.#parts.policy.relation)
  }

  /** For C-FIND: a device needs no relation to the patient. */
  conditionForDevice(aeTitle: string, device: DeviceRights, doing: Doing): ExamsCondition {
    return this.#condition(deviceSubject(aeTitle, device), doing, 'hospital')
  }

  #condition(subject: Subject, doing: Doing, relation: RelationPolicy): ExamsCondition {
    const { rules, breakGlass } = this.#parts.policy
    const question = { subject, doing, right: rightFor[doing], relation, rules, breakGlass, moment: momentAt(this.#now()) }
    return (exam, bind) => examCondition(question, exam, bind)
  }

  /**
   * A request of another hospital's agent. Asked at every piece, so that a grant withdrawn in the middle ends the transfer.
   * @param genuine whether the owner's signature under the grant was found good (see verify-grant.ts).
   * @param person for whom it asks, if its assertion was found good (see assertion/admit.ts).
   * @throws {Problem} access/…
   */
  async admitHospital(hospitalId: HospitalId, doing: Doing, asked: AskedExam, signed: SignedGrant, genuine: boolean, person?: AssertedPerson): Promise<void> {
    const asker: Asker = { kind: 'hospital', hospitalId, person, grant: { grant: signed.grant, genuine } }
    const exam = await this.#known(asked)
    const decision = await this.#decide(asker, doing, signed.grant.purpose, exam, signed)
    await this.#parts.events?.tell({ asker, doing, purpose: signed.grant.purpose, exam, decision, authorisationId: signed.grant.grantId })
    if (!decision.allowed) this.#keepTo(decision, { hospitalId, doing, exam })
  }

  /**
   * Whether a person of another hospital may see an exam of ours under one of these authorisations. What is refused in a list is not
   * told by itself: whoever answers the search tells the trail how many were kept back.
   */
  async decideShared(
    { hospitalId, person, purpose, authorisations }: { hospitalId: HospitalId; person: AssertedPerson; purpose: CarePurpose; authorisations: readonly Authorisation[] },
    doing: 'list' | 'read' | 'view',
    asked: AskedExam,
  ): Promise<AccessDecision> {
    const asker: Asker = { kind: 'hospital', hospitalId, person, authorisations }
    const exam = await this.#known(asked)
    const decision = await this.#decide(asker, doing, purpose, exam)
    if (doing === 'list') return decision
    const authorisationId = decision.allowed ? decision.authorisation?.authorisationId : undefined
    await this.#parts.events?.tell({ asker, doing, purpose, exam, decision, authorisationId })
    return decision
  }

  /** @param device what the AE title is registered for; undefined: it is not. @throws {Problem} dimse/unknown-ae, access/… */
  async admitDicomNode(aeTitle: string, device: DeviceRights | undefined, doing: Doing, asked: AskedExam, search?: Searched): Promise<void> {
    const asker: Asker = { kind: 'dicom-node', aeTitle, subject: device && deviceSubject(aeTitle, device) }
    const exam = await this.#known(asked)
    const decision = await this.#decide(asker, doing, 'treatment', exam)
    await this.#parts.events?.tell({ asker, doing, purpose: 'treatment', exam, decision, search })
    this.#keepTo(decision, { aeTitle, doing, exam })
  }

  /** At once, of an exam of ours whose facts are at hand: for whoever has many to ask. */
  mayDevice(aeTitle: string, device: DeviceRights, doing: Doing, facts: ExamFacts): boolean {
    const { hospitalId, kinds, policy } = this.#parts
    const asker: Asker = { kind: 'dicom-node', aeTitle, subject: deviceSubject(aeTitle, device) }
    const exam = { owner: facts.owner, examId: facts.examId, facts, kept: 'in-hospital' } as const
    return decideAccess({ asker, here: { hospitalId, kinds: kinds() }, doing, purpose: 'treatment', exam, tasks: [], policy, now: this.#now() }).allowed
  }

  /** With what the register says of it, if it is ours and named. */
  async #known(exam: AskedExam): Promise<AskedExam> {
    const { owner, study, examId, facts } = exam
    if (facts !== undefined || owner !== this.#parts.hospitalId || (study === undefined && examId === undefined)) return exam
    return { ...exam, facts: await this.#parts.factsOf({ study, examId }) }
  }

  async #decide(asker: Asker, doing: Doing, purpose: Purpose, exam: AskedExam, signed?: SignedGrant, trace?: Step[]): Promise<AccessDecision> {
    const { db, hospitalId, kinds, tasksOfStudy, heldGrants, policy } = this.#parts
    const needsTasks = exam.study !== undefined && (asker.kind === 'hospital' || exam.owner !== hospitalId)
    const request: AccessRequest = {
      asker,
      here: { hospitalId, kinds: kinds() },
      doing,
      purpose,
      exam,
      tasks: needsTasks && exam.study !== undefined ? await tasksOfStudy(exam.study) : [],
      standing: signed && (exam.owner === hospitalId ? await standingOf(db, signed.grant.grantId) : await this.#toldOf(exam.owner, signed.grant.grantId)),
      held: asker.kind === 'user' && exam.owner !== hospitalId && exam.study !== undefined ? ((await heldGrants?.(exam.study)) ?? []) : [],
      policy,
      now: this.#now(),
    }
    return decideAccess(request, trace)
  }

  async #toldOf(owner: HospitalId, grantId: GrantId): Promise<{ issued: true; withdrawnAt: EpochMs } | undefined> {
    const withdrawnAt = await this.#parts.withdrawalOf?.(owner, grantId)
    return withdrawnAt === undefined ? undefined : { issued: true, withdrawnAt }
  }

  #keepTo(
    decision: AccessDecision,
    what: { doing: Doing; exam: AskedExam; userId?: string; hospitalId?: HospitalId; aeTitle?: string },
  ): void {
    const { exam, ...who } = what
    const about = { ...who, owner: exam.owner, studyInstanceUid: exam.study, examId: exam.examId }
    if (!decision.allowed) {
      this.#parts.log.warn({ ...about, code: decision.code }, 'access refused')
      throw new Problem(decision.code, decision.facts)
    }
    if (exam.study !== undefined || exam.examId !== undefined) this.#parts.log.debug({ ...about, because: decision.because }, 'access')
  }
}
