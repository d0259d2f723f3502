import { Problem, type Actor, type Holder, type HospitalId } from 'specs'
import { whyNoProcessor, type Registry } from '../hospital/registry.ts'
import { isSamePerson, record, type Circumstances, type CommandOf, type Decision, type Task } from './task.ts'

/**
 * 接收. Exactly one person holds a task; the second is told who, at which hospital, since when (COR-14, COR-15).
 * The same person may ask again, from another desk or after a lost answer, and keeps the first time.
 *
 * @throws {Problem} region/not-a-processor, region/task-type-disabled, consult/not-offered-here, consult/not-open, consult/held, consult/stale-revision.
 */
export function decideClaim(task: Task, command: CommandOf<'claim'>, { sender, registry, now }: Circumstances): Decision {
  checkOffered(task, sender, registry)
  if (task.holder && isHeldState(task)) {
    if (!isSamePerson(task.holder, command.by)) throw heldBy(task.holder, registry)
    return { kind: 'repeated', revision: task.holderRevision }
  }
  if (task.state !== 'submitted') throw new Problem('consult/not-open', { state: task.state })
  // A claim that waited in an outbox while the task was taken and given back must not take effect unasked. Steps that
  // do not change who may take it, such as images arriving, do not count.
  if (command.expectedRevision < task.holderRevision || command.expectedRevision > task.revision) {
    throw new Problem('consult/stale-revision', { expectedRevision: command.expectedRevision, revision: task.revision })
  }
  const holder: Holder = { ...command.by, since: now }
  return record(task, command, { type: 'claimed', changes: { state: 'accepted', holder } }, now)
}

/** 退回占用: the task is open again to all it was offered to. */
export function decideRelease(task: Task, command: CommandOf<'release'>, { registry, now }: Circumstances): Decision {
  checkHolds(task, command.by, registry)
  const changes = { state: 'submitted', holder: undefined } as const
  return record(task, command, { type: 'released', changes, tells: { reason: command.reason } }, now)
}

/**
 * 拒绝. A named hospital's no ends the consultation; in the pool it only takes the task off that hospital's list.
 * Nobody declines over the head of a colleague who holds it.
 */
export function decideDecline(task: Task, command: CommandOf<'decline'>, { sender, registry, now }: Circumstances): Decision {
  if (!task.offeredTo.includes(sender)) throw new Problem('consult/not-offered-here', { taskId: task.id })
  if (task.declinedBy.includes(sender)) return { kind: 'repeated', revision: task.revision }
  if (task.state !== 'submitted' && !isHeldState(task)) throw new Problem('consult/not-open', { state: task.state })
  if (task.holder && !isSamePerson(task.holder, command.by)) throw heldBy(task.holder, registry)
  const state = task.facts.target.kind === 'hospital' ? 'declined' : 'submitted'
  const changes = { state, holder: undefined, declinedBy: [...task.declinedBy, sender] } as const
  return record(task, command, { type: 'declined', changes, tells: { reason: command.reason } }, now)
}

/** While accepted or started somebody works on it; afterwards the holder only stays as the one who signed. */
export function isHeldState(task: Task): boolean {
  return task.state === 'accepted' || task.state === 'started'
}

/** @throws {Problem} consult/not-open, consult/not-holder: with the holder's name, hospital and time if there is one. */
export function checkHolds(task: Task, by: Actor, registry: Registry): void {
  if (!isHeldState(task) && task.state !== 'submitted') throw new Problem('consult/not-open', { state: task.state })
  if (task.holder && isSamePerson(task.holder, by)) return
  throw new Problem('consult/not-holder', task.holder ? { by: nameHolder(task.holder, registry) } : {})
}

function checkOffered(task: Task, sender: HospitalId, registry: Registry): void {
  // Asked anew at every claim: a hospital may have lost the right since the task was submitted.
  const problem = whyNoProcessor(registry.read(sender), task.facts.taskType)
  if (problem) throw problem
  if (!task.offeredTo.includes(sender) || task.declinedBy.includes(sender)) {
    throw new Problem('consult/not-offered-here', { taskId: task.id })
  }
}

function heldBy(holder: Holder, registry: Registry): Problem {
  return new Problem('consult/held', { by: nameHolder(holder, registry) })
}

function nameHolder(holder: Holder, registry: Registry): Holder & { hospitalName: string } {
  return { ...holder, hospitalName: registry.find(holder.hospitalId)?.name ?? holder.hospitalId }
}
