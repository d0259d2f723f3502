import type { Actor, ConsultCommand, ConsultEvent, ConsultFacts, ConsultState, EpochMs, Holder, HospitalId, RegionId, TaskId } from 'specs'
import type { Registry } from '../hospital/registry.ts'

/**
 * A consultation as the hub knows it: the sum of its events. The hub never sees the patient or the opinion, only
 * facts without identity and content that others sealed for each other.
 */
export interface Task {
  readonly id: TaskId
  readonly regionId: RegionId
  readonly submitter: HospitalId
  readonly facts: ConsultFacts
  readonly state: ConsultState
  /** Number of events so far. Every change is saved against the revision it was decided on. */
  readonly revision: number
  readonly holder?: Holder
  /** Revision of the last event that changed who may take the task; while held, the fencing token of the claim. */
  readonly holderRevision: number
  /** Processors that were offered the task when it was submitted and that its grant names. */
  readonly offeredTo: readonly HospitalId[]
  /** Pool processors that do not want it. */
  readonly declinedBy: readonly HospitalId[]
  /** Where images go ahead to, if to the data centre. */
  readonly dataCentres: readonly HospitalId[]
  readonly imagesArrivedAt: readonly HospitalId[]
  readonly createdAt: EpochMs
  readonly updatedAt: EpochMs
}

/** What a decision may look at besides task and command. `sender` is who the envelope proved, never what the body says. */
export interface Circumstances {
  readonly sender: HospitalId
  readonly registry: Registry
  readonly regionId: RegionId
  readonly now: EpochMs
}

/**
 * A refusal is thrown as a Problem. `repeated` means that what the command asks for has already been done by the same
 * hand, so the answer is yes and nothing changes.
 */
export type Decision = { kind: 'recorded'; task: Task; event: ConsultEvent } | { kind: 'repeated'; revision: number }

export type CommandOf<Type extends ConsultCommand['type']> = Extract<ConsultCommand, { type: Type }>

interface Step {
  readonly type: ConsultEvent['type']
  readonly changes: Partial<Pick<Task, 'state' | 'holder' | 'declinedBy' | 'imagesArrivedAt'>>
  /** Further members of the event: sealed content, reason, counts. */
  readonly tells?: Partial<Pick<ConsultEvent, 'facts' | 'sealed' | 'reason' | 'instanceCount' | 'sizeBytes'>>
}

const changesWhoMayTake = new Set<ConsultEvent['type']>(['submitted', 'claimed', 'released', 'declined', 'cancelled'])

/** Gives the step the task's next revision. The event carries state and holder, so that a reader needs no other event to show it. */
export function record(task: Task, command: ConsultCommand, step: Step, now: EpochMs): Decision {
  const revision = task.revision + 1
  const next: Task = {
    ...task,
    ...step.changes,
    revision,
    holderRevision: changesWhoMayTake.has(step.type) ? revision : task.holderRevision,
    updatedAt: now,
  }
  const event: ConsultEvent = {
    taskId: task.id,
    revision,
    type: step.type,
    commandId: command.commandId,
    by: command.by,
    at: command.at,
    sequencedAt: now,
    submitter: task.submitter,
    state: next.state,
    ...(next.holder ? { holder: next.holder } : {}),
    ...step.tells,
  }
  return { kind: 'recorded', task: next, event }
}

export function isSamePerson(a: Actor, b: Actor): boolean {
  return a.hospitalId === b.hospitalId && a.userId === b.userId
}

/** Everybody who saw `submitted` keeps hearing of the task, so that lists shrink as well as grow. */
export function concerned(task: Task): HospitalId[] {
  return [...new Set([task.submitter, ...task.offeredTo, ...task.dataCentres])]
}
