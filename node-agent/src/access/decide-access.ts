import type { EpochMs, Grant, HospitalId, HospitalKind, ProblemCode, ProblemFacts, Right, StudyInstanceUid, TaskId } from 'specs'
import { decideGrant, type GrantStanding } from './grant.ts'
import type { TaskView } from './task-view.ts'

/** Who asks: one of our users, another hospital's agent, or a DICOM node of the house (known by AE title). */
export type Asker =
  | { readonly kind: 'user'; readonly userId: string; readonly rights: readonly Right[] }
  | { readonly kind: 'hospital'; readonly hospitalId: HospitalId; readonly grant?: PresentedGrant }
  | { readonly kind: 'dicom-node'; readonly aeTitle: string; readonly allowed: boolean }

/** A grant as it came with a request; `genuine` is the result of checking the owner's signature. */
export interface PresentedGrant {
  readonly grant: Grant
  readonly genuine: boolean
}

/** `list`: a row in a list; `read`: texts of the exam; `view`: images; `register` (登记), `change`, `apply` (会诊申请) and `store` need the exam to be ours. */
export type Doing = 'list' | 'read' | 'view' | 'export' | 'register' | 'change' | 'apply' | 'store' | 'unmask' | 'delete'

/** Why the asker wants it; a hospital's purpose must be the one its grant was given for. */
export type Purpose = 'treatment' | 'referral' | 'consultation' | 'coread'

export interface AccessRequest {
  readonly asker: Asker
  readonly here: { readonly hospitalId: HospitalId; readonly kinds: readonly HospitalKind[] }
  readonly doing: Doing
  readonly purpose: Purpose
  readonly exam: {
    readonly owner: HospitalId
    /** Undefined: the question is about the kind of thing in general (may this person list at all?). */
    readonly study?: StudyInstanceUid | undefined
    /** The question is about what one task says of it: then no other task entitles. */
    readonly taskId?: TaskId | undefined
    /** The archive that keeps or would keep it. */
    readonly kept: 'in-hospital' | 'regional'
  }
  /** Consultations known here that name the study. */
  readonly tasks: readonly TaskView[]
  /** What our own table says of the presented grant; only the owner has one. */
  readonly standing?: GrantStanding | undefined
  readonly now: EpochMs
}

export type AccessDecision =
  | { readonly allowed: true; readonly because: 'own-exam' | 'task' | 'grant' | 'dicom-node' }
  | { readonly allowed: false; readonly code: ProblemCode; readonly facts: ProblemFacts }

/** The right that each needs with exams of the own hospital. */
const withOwnExams: Readonly<Record<Doing, readonly Right[]>> = {
  list: ['exam.list'],
  read: ['exam.read'],
  view: ['image.view'],
  export: ['image.export'],
  register: ['exam.register'],
  change: ['exam.change'],
  apply: ['consult.apply'],
  store: ['image.store'],
  unmask: ['patient.unmask'],
  delete: ['exam.delete'],
}

/** What each needs with another hospital's exam while a task entitles the house to it. */
const withEntrustedExams: Readonly<Record<Doing, readonly Right[]>> = {
  list: ['consult.process'],
  read: ['consult.process'],
  view: ['consult.process'],
  export: [],
  register: [],
  change: [],
  apply: [],
  store: [],
  unmask: [],
  delete: [],
}

const refused = (code: ProblemCode, facts: ProblemFacts = {}): AccessDecision => ({ allowed: false, code, facts })
const includesAny = <T>(held: readonly T[], wanted: readonly T[]): boolean => held.some((item) => wanted.includes(item))

/**
 * The one place that decides access (rule 9): who, doing what, to which exam, for which purpose. Every list, route,
 * DICOMweb and WADO answer, DIMSE query and transfer piece asks here. Deny by default: what no rule allows is refused.
 */
export function decideAccess(request: AccessRequest): AccessDecision {
  switch (request.asker.kind) {
    case 'user':
      return decideForUser(request, request.asker.rights)
    case 'hospital':
      return decideForHospital(request, request.asker)
    case 'dicom-node':
      return decideForDicomNode(request, request.asker.allowed)
  }
}

function decideForUser(request: AccessRequest, rights: readonly Right[]): AccessDecision {
  const { exam, here, doing } = request
  if (exam.owner === here.hospitalId) {
    return includesAny(rights, withOwnExams[doing]) ? { allowed: true, because: 'own-exam' } : refused('access/forbidden', { doing })
  }
  if (!includesAny(rights, withEntrustedExams[doing])) return refused('access/forbidden', { doing })
  const study = exam.study
  // A list of entrusted exams holds only rows that were each asked for by study.
  if (study === undefined) return doing === 'list' ? { allowed: true, because: 'task' } : refused('access/forbidden', { doing })
  const isMeant = (task: TaskView) => exam.taskId === undefined || task.taskId === exam.taskId
  const named = request.tasks.filter((task) => task.studyInstanceUids.includes(study) && task.submitter === exam.owner && isMeant(task))
  if (named.some((task) => isEntrustedTo(task, here.hospitalId))) return { allowed: true, because: 'task' }
  const elsewhere = named.find((task) => task.holder !== null && task.holder.hospitalId !== here.hospitalId)
  if (elsewhere?.holder)
    return refused('access/no-grant', { taskId: elsewhere.taskId, heldBy: elsewhere.holder.hospitalId, since: elsewhere.holder.since })
  return refused('access/no-grant')
}

/** Offered to us and still free, or held by one of us; a colleague of the holder may look on (COR-15: read only). */
export function isEntrustedTo(task: TaskView, hospitalId: HospitalId): boolean {
  if (task.state === 'cancelled' || task.state === 'declined') return false
  if (task.holder !== null) return task.holder.hospitalId === hospitalId
  return task.offeredTo.includes(hospitalId)
}

function decideForHospital(request: AccessRequest, asker: { hospitalId: HospitalId; grant?: PresentedGrant }): AccessDecision {
  const { exam, here, doing, now } = request
  // Agents read and fetch; nothing lets another hospital list, change or store here.
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
    standing: isOwner ? (request.standing ?? { issued: false }) : undefined,
    tasks: request.tasks,
    now,
  })
  return refusal ?? { allowed: true, because: 'grant' }
}

function decideForDicomNode(request: AccessRequest, allowed: boolean): AccessDecision {
  const { exam, here, doing } = request
  if (!allowed) return refused('dimse/unknown-ae')
  if (doing !== 'list' && doing !== 'view' && doing !== 'store') return refused('access/forbidden', { doing })
  if (exam.kept === 'in-hospital') return { allowed: true, because: 'dicom-node' }
  // The regional archive of a hospital is a cache of other people's exams: no equipment of the house reads it. A data
  // centre's regional archive is its stock, and the nodes registered there are the region's own (FED-21).
  const isReading = doing === 'list' || doing === 'view'
  return isReading && here.kinds.includes('data-centre') ? { allowed: true, because: 'dicom-node' } : refused('access/no-grant')
}
