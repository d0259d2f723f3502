import type { AssertedPerson, Authorisation, CarePurpose, EpochMs, Grant, GrantId, HospitalId, HospitalKind, ProblemCode, ProblemFacts, Right, Scope, StudyInstanceUid, TaskId } from 'specs'
import { decideGrant, type GrantStanding } from './grant.ts'
import { decideExam, type Because, type BreakGlass, type ExamDecision, type RelationPolicy, type Step, type Subject } from './policy/decide-exam.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import { momentAt } from './policy/rule.ts'
import type { RuleBook } from './policy/rule-book.ts'
import { decideSharing, type HeldGrant } from './shared.ts'
import type { TaskView } from './task-view.ts'

/** Who asks: one of our people or interfaces, another hospital's agent, a DICOM node of the house (by AE title), a patient. */
export type Asker =
  | { readonly kind: 'user'; readonly subject: Subject }
  | HospitalAsker
  /** Without a subject: the AE title is not registered. */
  | { readonly kind: 'dicom-node'; readonly aeTitle: string; readonly subject: Subject | undefined }
  | { readonly kind: 'patient'; readonly patientId: string }

/** Another hospital's agent: with a grant, or asking whether one of our authorisations lets it have one. */
export interface HospitalAsker {
  readonly kind: 'hospital'
  readonly hospitalId: HospitalId
  /** For whom it asks, on that hospital's word (docs/adr/0014). */
  readonly person?: AssertedPerson | undefined
  readonly grant?: PresentedGrant
  readonly authorisations?: readonly Authorisation[]
}

/** A grant as it came with a request; `genuine` is the result of checking the owner's signature. */
export interface PresentedGrant {
  readonly grant: Grant
  readonly genuine: boolean
}

/**
 * `list`: a row in a list; `read`: texts of the exam; `view`: images on a screen; `export`: images as files (docs/adr/0011);
 * `register` (登记), `change`, `apply` (会诊申请), `store` and `delete` need the exam to be ours.
 */
export type Doing = 'list' | 'read' | 'view' | 'export' | 'register' | 'change' | 'apply' | 'store' | 'unmask' | 'delete'

/** Why the asker wants it; a hospital's purpose must be the one its grant was given for. */
export type Purpose = CarePurpose

/** What the hospital has laid down beyond roles, as it stands now. */
export interface Policy {
  readonly relation: RelationPolicy
  readonly rules: RuleBook
  readonly breakGlass: readonly BreakGlass[]
}

export interface AccessRequest {
  readonly asker: Asker
  readonly here: { readonly hospitalId: HospitalId; readonly kinds: readonly HospitalKind[] }
  readonly doing: Doing
  readonly purpose: Purpose
  readonly exam: {
    readonly owner: HospitalId
    /** Neither study nor examId: the question is about the kind of thing in general (may this person list at all?). */
    readonly study?: StudyInstanceUid | undefined
    readonly examId?: string | undefined
    /** What the register says of an exam of ours; an exam that is named and not known there is nobody's. */
    readonly facts?: ExamFacts | undefined
    /** Of an exam of ours that another hospital asks for: authorisations may be for a period. */
    readonly studyDate?: string | undefined
    /** The question is about what one task says of it: then no other task entitles. */
    readonly taskId?: TaskId | undefined
    /** The archive that keeps or would keep it. */
    readonly kept: 'in-hospital' | 'regional'
  }
  /** Consultations known here that name the study. */
  readonly tasks: readonly TaskView[]
  /** What our own table says of the presented grant; elsewhere: what its owner has told of it. */
  readonly standing?: GrantStanding | undefined
  /** Grants of other hospitals that our people hold for the study. */
  readonly held?: readonly HeldGrant[]
  readonly policy: Policy
  readonly now: EpochMs
}

export type AccessDecision =
  | { readonly allowed: true; readonly because: Because | 'task' | 'grant' | 'policy' | 'consent' | 'dicom-node' | 'patient'; readonly ruleId?: string; readonly breakGlassId?: string; readonly grantId?: GrantId; readonly authorisation?: Authorisation }
  | { readonly allowed: false; readonly code: ProblemCode; readonly facts: ProblemFacts }

/** The right that each needs with exams of the own hospital. */
export const rightFor: Readonly<Record<Doing, Right>> = {
  list: 'exam.list',
  read: 'exam.read',
  view: 'image.view',
  export: 'image.export',
  register: 'exam.register',
  change: 'exam.change',
  apply: 'consult.apply',
  store: 'image.store',
  unmask: 'patient.unmask',
  delete: 'exam.delete',
}

/** What each needs with another hospital's exam while a task entitles the house to it. */
const withEntrustedExams: Readonly<Partial<Record<Doing, Right>>> = { list: 'consult.process', read: 'consult.process', view: 'consult.process' }

const refused = (code: ProblemCode, facts: ProblemFacts = {}): AccessDecision => ({ allowed: false, code, facts })

/**
 * The one place that decides access (rule 9): who, doing what, to which exam, for which purpose. Every list, route,
 * DICOMweb and WADO answer, DIMSE query and transfer piece asks here. Deny by default: what no rule allows is refused.
 *
 * @param trace collects the steps of a decision about an exam of ours, for "why was I refused".
 */
export function decideAccess(request: AccessRequest, trace?: Step[]): AccessDecision {
  const { asker } = request
  switch (asker.kind) {
    case 'user':
      return decideForUser(request, asker.subject, trace)
    case 'hospital':
      return decideForHospital(request, asker)
    case 'dicom-node':
      return decideForDicomNode(request, asker.subject, trace)
    case 'patient':
      return decideForPatient(request, asker.patientId)
  }
}

function decideForUser(request: AccessRequest, subject: Subject, trace: Step[] | undefined): AccessDecision {
  const { exam, here, doing } = request
  if (exam.owner === here.hospitalId) return decideOwn(request, subject, request.policy.relation, trace)
  const byTask = decideEntrusted(request, subject, withEntrustedExams[doing])
  return byTask.allowed ? byTask : (decideHeld(request, subject) ?? byTask)
}

/** An exam of ours, or, where none is named, whether such a thing may be done at all. */
function decideOwn(request: AccessRequest, subject: Subject, relation: RelationPolicy, trace?: Step[]): AccessDecision {
  const { exam, doing, now } = request
  const { rules, breakGlass } = request.policy
  const right = rightFor[doing]
  const moment = momentAt(now)
  if (exam.facts) return answerOf(decideExam({ subject, doing, right, exam: exam.facts, relation, rules, breakGlass, moment }, trace), request, subject)
  if (exam.study !== undefined || exam.examId !== undefined) return refused('exam/unknown')
  if (!subject.scopes.has(right)) return refused('access/forbidden', { doing })
  return deniedAltogether(request, subject.keys) ?? { allowed: true, because: 'own-exam' }
}

const codes = {
  right: 'access/forbidden',
  scope: 'access/out-of-scope',
  deny: 'access/rule-denied',
  only: 'access/rule-denied',
  relation: 'access/no-relation',
  clearance: 'access/not-cleared',
} as const satisfies Record<Step['step'], ProblemCode>

function answerOf(decision: ExamDecision, { doing }: AccessRequest, subject: Subject): AccessDecision {
  if (decision.allowed) return decision
  const { failed, ruleId } = decision
  const mayBreakGlass = (failed === 'relation' || failed === 'clearance') && subject.scopes.has('exam.break-glass')
  return refused(codes[failed], { doing, ...(ruleId !== undefined && { ruleId }), ...(mayBreakGlass && { breakGlass: true }) })
}

/** Without an exam of ours to look at, only rules about everything, or about a modality, can refuse. */
function deniedAltogether({ doing, policy, now }: AccessRequest, keys: ReadonlySet<string>, modality?: string): AccessDecision | undefined {
  const { deniedBy, reservedBy } = policy.rules.askInGeneral(keys, doing, momentAt(now), modality)
  const rule = deniedBy ?? reservedBy
  return rule && refused('access/rule-denied', { doing, ruleId: rule.ruleId })
}

function decideEntrusted(request: AccessRequest, subject: Subject, right: Right | undefined): AccessDecision {
  const { exam, here, doing } = request
  const scopes = right && subject.scopes.get(right)
  if (!scopes) return refused('access/forbidden', { doing })
  const study = exam.study
  // A list of entrusted exams holds only rows that were each asked for by study.
  if (study === undefined) return doing === 'list' ? (deniedAltogether(request, subject.keys) ?? { allowed: true, because: 'task' }) : refused('access/forbidden', { doing })
  const isMeant = (task: TaskView) => exam.taskId === undefined || task.taskId === exam.taskId
  const named = request.tasks.filter((task) => task.studyInstanceUids.includes(study) && task.submitter === exam.owner && isMeant(task))
  const entrusted = named.find((task) => isEntrustedTo(task, here.hospitalId))
  if (entrusted) {
    // What the owner has taken back, or given until then only, is no longer read here either.
    const { grantWithdrawnAt, grantExpires, taskId } = entrusted
    if (grantWithdrawnAt !== undefined) return refused('access/grant-withdrawn', { taskId, withdrawnAt: grantWithdrawnAt })
    if (grantExpires !== undefined && request.now >= grantExpires) return refused('access/grant-expired', { taskId, expires: grantExpires })
    if (!coversModality(scopes, entrusted.modality)) return refused('access/out-of-scope', { doing })
    return deniedAltogether(request, subject.keys, entrusted.modality) ?? { allowed: true, because: 'task' }
  }
  const elsewhere = named.find((task) => task.holder !== null && task.holder.hospitalId !== here.hospitalId)
  if (elsewhere?.holder)
    return refused('access/no-grant', { taskId: elsewhere.taskId, heldBy: elsewhere.holder.hospitalId, since: elsewhere.holder.since })
  return refused('access/no-grant')
}

/**
 * Whether somebody may have a task of another hospital as such: on a list, by its number, to take it or to give it back. That its grant
 * still holds is asked of the exam itself; who may not see the exam any more must still be able to hand the task back.
 *
 * @param modality as the submitter named it; the only thing of a foreign task that a scope can mean.
 */
export function decideTask({ subject, modality, policy, now }: { subject: Subject; modality: string; policy: Policy; now: EpochMs }): AccessDecision {
  const scopes = subject.scopes.get('consult.process')
  if (!scopes) return refused('access/forbidden', { doing: 'list' })
  if (!coversModality(scopes, modality)) return refused('access/out-of-scope', { doing: 'list' })
  const { deniedBy, reservedBy } = policy.rules.askInGeneral(subject.keys, 'list', momentAt(now), modality)
  const rule = deniedBy ?? reservedBy
  return rule ? refused('access/rule-denied', { doing: 'list', ruleId: rule.ruleId }) : { allowed: true, because: 'task' }
}

/** Campus, department and area are places of this house; of another hospital's exam a scope can only mean the modality. */
const coversModality = (scopes: readonly Scope[], modality: string | undefined): boolean =>
  scopes.some(({ modalities }) => modalities === undefined || (modality !== undefined && modalities.includes(modality)))

/** Another hospital's exam by a grant that was given to this very person; undefined when there never was one. */
function decideHeld(request: AccessRequest, subject: Subject): AccessDecision | undefined {
  const { exam, doing, now, held = [] } = request
  const study = exam.study
  if (study === undefined || exam.taskId !== undefined) return undefined
  const given = held.filter(({ owner, person, studyInstanceUids }) => owner === exam.owner && person === subject.id && studyInstanceUids.includes(study))
  const last = given.at(-1)
  if (!last) return undefined
  if (!(doing === 'list' || doing === 'read' || doing === 'view') || !subject.scopes.has('region.search')) return refused('access/forbidden', { doing })
  const valid = given.find(({ expires, withdrawnAt }) => withdrawnAt === null && now < expires)
  if (valid) return deniedAltogether(request, subject.keys) ?? { allowed: true, because: valid.kind === 'task' ? 'grant' : valid.kind, grantId: valid.grantId }
  const { grantId, withdrawnAt, expires } = last
  return withdrawnAt === null ? refused('access/grant-expired', { grantId, expires }) : refused('access/grant-withdrawn', { grantId, withdrawnAt })
}

/** Offered to us and still free, or held by one of us; a colleague of the holder may look on (COR-15: read only). */
export function isEntrustedTo(task: TaskView, hospitalId: HospitalId): boolean {
  if (task.state === 'cancelled' || task.state === 'declined') return false
  if (task.holder !== null) return task.holder.hospitalId === hospitalId
  return task.offeredTo.includes(hospitalId)
}

function decideForHospital(request: AccessRequest, asker: HospitalAsker): AccessDecision {
  const { exam, here, doing, now, policy } = request
  if (asker.grant === undefined && asker.authorisations !== undefined) return decideShared(request, asker, asker.authorisations)
  // Agents read and fetch; nothing lets another hospital change or store here.
  if (doing !== 'read' && doing !== 'view') return refused('access/forbidden', { doing })
  const study = exam.study
  if (asker.grant === undefined || study === undefined) return refused('access/no-grant')
  const isOwner = exam.owner === here.hospitalId
  if (!isOwner && !(here.kinds.includes('data-centre') && exam.kept === 'regional')) return refused('access/no-grant')
  const refusal = decideGrant({
    ...asker.grant,
    owner: exam.owner,
    asker: asker.hospitalId,
    study,
    purpose: request.purpose,
    person: asker.person?.userId,
    standing: isOwner ? (request.standing ?? { issued: false }) : request.standing,
    tasks: request.tasks,
    now,
  })
  if (refusal) return refusal
  // A grant names its hospital, so that it is an exception to whatever is reserved for others; a denial holds all the same.
  const keys = new Set(['everybody', `hospital:${asker.hospitalId}`])
  const deniedBy = exam.facts && policy.rules.ask(keys, doing, exam.facts, momentAt(now)).deniedBy
  return deniedBy ? refused('access/rule-denied', { doing, ruleId: deniedBy.ruleId }) : { allowed: true, because: 'grant' }
}

/** Whether a person of another hospital finds an exam of ours, or is given a grant for it. */
function decideShared({ exam, here, doing, purpose, policy, now }: AccessRequest, asker: HospitalAsker, authorisations: readonly Authorisation[]): AccessDecision {
  const { study, facts, studyDate = '' } = exam
  if (!asker.person) return refused('access/assertion-needed')
  const isSeeing = doing === 'list' || doing === 'read' || doing === 'view'
  // What is not known here is answered like what is not shared: who asks learns nothing from the difference.
  if (!isSeeing || exam.owner !== here.hospitalId || study === undefined || facts === undefined) return refused('access/no-authorisation')
  const { patientId, modality, label } = facts
  const found = decideSharing({ authorisations, exam: { patientId, study, modality, studyDate, label }, hospital: asker.hospitalId, purpose, now })
  if (!found) return refused('access/no-authorisation')
  const { deniedBy } = policy.rules.ask(new Set(['everybody', `hospital:${asker.hospitalId}`]), doing, facts, momentAt(now))
  return deniedBy ? refused('access/no-authorisation', { ruleId: deniedBy.ruleId }) : { allowed: true, because: found.kind, authorisation: found }
}

function decideForDicomNode(request: AccessRequest, subject: Subject | undefined, trace: Step[] | undefined): AccessDecision {
  const { exam, here, doing } = request
  if (!subject) return refused('dimse/unknown-ae')
  // `register`: a modality is told which patients to expect, and tells what it has done with them.
  if (doing !== 'list' && doing !== 'view' && doing !== 'store' && doing !== 'register') return refused('access/forbidden', { doing })
  if (exam.kept === 'in-hospital') {
    // A device treats nobody: its scope is what limits it, whatever relation people need.
    const decision = decideOwn(request, subject, 'hospital', trace)
    return decision.allowed ? { ...decision, because: 'dicom-node' } : decision
  }
  const scopes = subject.scopes.get(rightFor[doing])
  if (!scopes) return refused('access/forbidden', { doing })
  // The regional archive of a hospital is a cache of other people's exams: no equipment of the house reads it. A data
  // centre's regional archive is its stock, and the nodes registered there are the region's own (FED-21).
  const isReading = doing === 'list' || doing === 'view'
  const isUnlimited = scopes.some((scope) => Object.values(scope).every((values) => values === undefined))
  if (!isReading || !here.kinds.includes('data-centre') || !isUnlimited) return refused('access/no-grant')
  return deniedAltogether(request, subject.keys) ?? { allowed: true, because: 'dicom-node' }
}

/** A patient sees what is the patient's own, unless a rule closes it to everybody. */
function decideForPatient({ exam, here, doing, policy, now }: AccessRequest, patientId: string): AccessDecision {
  const isSeeing = doing === 'list' || doing === 'read' || doing === 'view'
  if (!isSeeing || patientId === '' || exam.owner !== here.hospitalId || exam.facts?.patientId !== patientId) return refused('access/forbidden', { doing })
  const { deniedBy, reservedBy } = policy.rules.ask(new Set(['everybody']), doing, exam.facts, momentAt(now))
  const rule = deniedBy ?? reservedBy
  return rule ? refused('access/rule-denied', { doing, ruleId: rule.ruleId }) : { allowed: true, because: 'patient' }
}
