import type {
  ConsultEvent,
  ConsultFacts,
  ConsultRequest,
  Directory,
  EpochMs,
  Holder,
  HospitalId,
  LocalConsultState,
  Opinion,
  ProblemNote,
  RegionId,
  TaskId,
} from 'specs'
import { isEntrustedTo, type AccessRequest } from '../access/decide-access.ts'
import type { TaskView } from '../access/task-view.ts'

/** submitter: our request; processor: offered to us or held by us; data-centre: its images pass through us. */
export type Side = 'submitter' | 'processor' | 'data-centre'

/** A consultation as this hospital knows it: the hub's events in their order, and what we could open of their content. */
export interface Consult {
  readonly taskId: TaskId
  readonly regionId: RegionId
  readonly side: Side
  readonly submitter: HospitalId
  readonly state: LocalConsultState
  /** Of the newest event seen; 0 while the hub has not answered our application. */
  readonly revision: number
  readonly holder: Holder | null
  readonly facts: ConsultFacts
  /** Hospitals that may take it; a pool member that declined is no longer one. */
  readonly offeredTo: readonly HospitalId[]
  readonly imagesArrivedAt: readonly HospitalId[]
  readonly examId: string | null
  readonly patientName: string
  readonly question: string
  readonly request: ConsultRequest | null
  readonly opinion: Omit<Opinion, 'keyObject'> | null
  /** null: nothing to judge yet. */
  readonly opinionValid: boolean | null
  readonly keyImageSeriesInstanceUid: string | null
  readonly appliedAt: EpochMs
  readonly updatedAt: EpochMs
  /** A person's command of this node that waits for the hub's answer. */
  readonly pending: { readonly commandId: string; readonly type: string; readonly userId: string } | null
  readonly problem: ProblemNote | null
}

/** What arrived with `submitted`, opened. `problem` says why it could not be. */
export type OpenedRequest = { readonly request: ConsultRequest } | { readonly problem: ProblemNote } | undefined

/** The row a hospital starts when it first hears of a task. */
export function beginConsult(event: ConsultEvent, facts: ConsultFacts, here: Here, opened: OpenedRequest): Consult {
  const offeredTo = offeredHospitals(facts, here.directory)
  const request = opened && 'request' in opened ? opened.request : null
  const began: Consult = {
    taskId: event.taskId,
    regionId: here.regionId,
    side: event.submitter === here.hospitalId ? 'submitter' : offeredTo.includes(here.hospitalId) ? 'processor' : 'data-centre',
    submitter: event.submitter,
    state: event.state,
    revision: 0,
    holder: null,
    facts,
    offeredTo,
    imagesArrivedAt: [],
    examId: null,
    patientName: request?.exam.patient.name ?? facts.patientLabel,
    question: request?.question ?? '',
    request,
    opinion: null,
    opinionValid: null,
    keyImageSeriesInstanceUid: null,
    appliedAt: event.at,
    updatedAt: event.sequencedAt,
    pending: null,
    problem: opened && 'problem' in opened ? opened.problem : null,
  }
  return followEvent(began, event)
}

/** Where a node stands: which hospital, in which region, who else is there. */
export interface Here {
  readonly hospitalId: HospitalId
  readonly regionId: RegionId
  readonly directory: Directory | undefined
}

/** The next state after an event. An event seen before changes nothing, so a repeated delivery has no effect. */
export function followEvent(consult: Consult, event: ConsultEvent): Consult {
  if (event.revision <= consult.revision) return consult
  const answersPending = consult.pending?.commandId === event.commandId
  return {
    ...consult,
    state: event.state,
    revision: event.revision,
    holder: event.holder ?? null,
    offeredTo: event.type === 'declined' ? consult.offeredTo.filter((id) => id !== event.by.hospitalId) : consult.offeredTo,
    imagesArrivedAt:
      event.type === 'images-arrived' && !consult.imagesArrivedAt.includes(event.by.hospitalId)
        ? [...consult.imagesArrivedAt, event.by.hospitalId]
        : consult.imagesArrivedAt,
    updatedAt: event.sequencedAt,
    pending: answersPending ? null : consult.pending,
    problem: answersPending ? null : consult.problem,
  }
}

/** The named hospital, or every processor the grant names; a data centre is named in it only to keep images. */
export function offeredHospitals(facts: ConsultFacts, directory: Directory | undefined): HospitalId[] {
  if (facts.target.kind === 'hospital') return [facts.target.hospitalId]
  return facts.grant.grant.grantees.filter((id) => {
    const entry = directory?.hospitals.find((hospital) => hospital.id === id)
    return entry === undefined || entry.kinds.includes('processor')
  })
}

export function taskViewOf(consult: Consult): TaskView {
  const { taskId, submitter, state, holder, offeredTo, facts } = consult
  return { taskId, submitter, state, holder, offeredTo, studyInstanceUids: facts.studyInstanceUids, modality: facts.modality, grantExpires: facts.grant.grant.expires }
}

/** Whether the row belongs on this hospital's lists: a case taken elsewhere, cancelled or declined leaves the processor's. */
export function isListed(consult: Consult, hospitalId: HospitalId): boolean {
  return consult.side === 'processor' ? isEntrustedTo(taskViewOf(consult), hospitalId) : true
}

/** The exam as this task shows it: what decideAccess is asked about. */
export function examOf(consult: Consult): AccessRequest['exam'] {
  const { submitter: owner, facts, taskId, side } = consult
  return { owner, study: facts.studyInstanceUids[0], taskId, kept: side === 'submitter' ? 'in-hospital' : 'regional' }
}
