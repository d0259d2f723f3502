import { Problem, type HospitalId } from 'specs'
import { checkHolds } from './hold.ts'
import { sealedAudience } from './sealed-content.ts'
import { record, type Circumstances, type CommandOf, type Decision, type Task } from './task.ts'

/** 处理中: the holder opened the case. Opening it again says nothing new. */
export function decideStart(task: Task, command: CommandOf<'start'>, { registry, now }: Circumstances): Decision {
  checkHolds(task, command.by, registry)
  if (task.state === 'started') return { kind: 'repeated', revision: task.revision }
  return record(task, command, { type: 'started', changes: { state: 'started' } }, now)
}

/** 签署. Only the holder signs, and the submitter must be able to open what was sealed. */
export function decideSign(task: Task, command: CommandOf<'sign'>, { registry, now }: Circumstances): Decision {
  checkHolds(task, command.by, registry)
  if (!sealedAudience(command.sealed).includes(task.submitter)) throw new Problem('envelope/wrong-audience', { submitter: task.submitter })
  return record(task, command, { type: 'signed', changes: { state: 'signed' }, tells: { sealed: command.sealed } }, now)
}

/** 返回: the opinion has reached the submitter's node. */
export function decideReturn(task: Task, command: CommandOf<'return'>, { sender, now }: Circumstances): Decision {
  checkSubmits(task, sender)
  if (task.state === 'returned' || task.state === 'read') return { kind: 'repeated', revision: task.revision }
  if (task.state !== 'signed') throw new Problem('consult/not-open', { state: task.state })
  return record(task, command, { type: 'returned', changes: { state: 'returned' } }, now)
}

/** 已阅: the first person of the submitter who opened the opinion; later readers are the submitter's own affair. */
export function decideRead(task: Task, command: CommandOf<'read'>, { sender, now }: Circumstances): Decision {
  checkSubmits(task, sender)
  if (task.state === 'read') return { kind: 'repeated', revision: task.revision }
  if (task.state !== 'signed' && task.state !== 'returned') throw new Problem('consult/not-open', { state: task.state })
  return record(task, command, { type: 'read', changes: { state: 'read' } }, now)
}

/**
 * 打印. By whoever holds the opinion: the submitter, and the hospital that signed it. Two printings are two copies in the
 * world, so each is an entry of the time line; the state of the consultation does not depend on it.
 */
export function decidePrint(task: Task, command: CommandOf<'print'>, { sender, now }: Circumstances): Decision {
  if (task.submitter !== sender && task.holder?.hospitalId !== sender) throw new Problem('consult/not-yours', { submitter: task.submitter })
  if (task.state !== 'signed' && task.state !== 'returned' && task.state !== 'read')
    throw new Problem('consult/not-open', { state: task.state })
  return record(task, command, { type: 'printed', changes: {} }, now)
}

/** 取消 (CON-20). Before the signature it withdraws the task from every list; a signed opinion stays. */
export function decideCancel(task: Task, command: CommandOf<'cancel'>, { sender, now }: Circumstances): Decision {
  checkSubmits(task, sender)
  switch (task.state) {
    case 'cancelled':
      return { kind: 'repeated', revision: task.revision }
    case 'signed':
    case 'returned':
    case 'read':
      throw new Problem('consult/already-signed', { state: task.state, signedBy: task.holder?.hospitalId })
    case 'declined':
      throw new Problem('consult/not-open', { state: task.state })
    default: {
      const changes = { state: 'cancelled', holder: undefined } as const
      return record(task, command, { type: 'cancelled', changes, tells: { reason: command.reason } }, now)
    }
  }
}

/** A receiver holds all images (CON-10). Said once per hospital; the state of the consultation does not depend on it. */
export function decideImagesArrived(task: Task, command: CommandOf<'images-arrived'>, { sender, now }: Circumstances): Decision {
  if (!task.offeredTo.includes(sender) && !task.dataCentres.includes(sender)) {
    throw new Problem('consult/not-offered-here', { taskId: task.id })
  }
  if (task.state === 'cancelled' || task.state === 'declined') throw new Problem('consult/not-open', { state: task.state })
  if (task.imagesArrivedAt.includes(sender)) return { kind: 'repeated', revision: task.revision }
  const { instanceCount, sizeBytes } = command
  const changes = { imagesArrivedAt: [...task.imagesArrivedAt, sender] }
  return record(task, command, { type: 'images-arrived', changes, tells: { instanceCount, sizeBytes } }, now)
}

function checkSubmits(task: Task, sender: HospitalId): void {
  if (task.submitter !== sender) throw new Problem('consult/not-yours', { submitter: task.submitter })
}
