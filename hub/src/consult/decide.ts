import { Problem, type ConsultCommand } from 'specs'
import { decideClaim, decideDecline, decideRelease } from './hold.ts'
import { decideCancel, decideImagesArrived, decidePrint, decideRead, decideReturn, decideSign, decideStart } from './progress.ts'
import { decideSubmit } from './submit.ts'
import { concerned, type Circumstances, type Decision, type Task } from './task.ts'

/**
 * What becomes of a command: the task's next event, "already done", or a refusal. Pure; the same arguments always
 * decide the same, so that a decision lost to a faster one is simply made again on the newer task.
 *
 * @param task As last saved, undefined if there is none of this id.
 * @throws {Problem} The refusal: region/…, consult/…, access/…, envelope/wrong-sender.
 */
export function decide(task: Task | undefined, command: ConsultCommand, circumstances: Circumstances): Decision {
  const { sender, registry } = circumstances
  // The envelope proves the hospital; a node may not let somebody of another hospital act.
  if (command.by.hospitalId !== sender) throw new Problem('envelope/wrong-sender', { sender, claimed: command.by.hospitalId })
  const member = registry.read(sender)
  if (member.revoked || !member.joined) throw new Problem('certificate/revoked', { hospitalId: sender })

  if (command.type === 'submit') {
    if (task) throw new Problem('consult/exists', { taskId: command.taskId })
    return decideSubmit(command, circumstances)
  }
  // A stranger learns no more than that there is nothing for it here.
  if (!task || !concerned(task).includes(sender)) return refuseStranger(task, command, circumstances)
  switch (command.type) {
    case 'claim':
      return decideClaim(task, command, circumstances)
    case 'release':
      return decideRelease(task, command, circumstances)
    case 'decline':
      return decideDecline(task, command, circumstances)
    case 'start':
      return decideStart(task, command, circumstances)
    case 'sign':
      return decideSign(task, command, circumstances)
    case 'return':
      return decideReturn(task, command, circumstances)
    case 'read':
      return decideRead(task, command, circumstances)
    case 'print':
      return decidePrint(task, command, circumstances)
    case 'cancel':
      return decideCancel(task, command, circumstances)
    case 'images-arrived':
      return decideImagesArrived(task, command, circumstances)
  }
}

function refuseStranger(task: Task | undefined, command: ConsultCommand, { sender, registry }: Circumstances): never {
  if (!task) throw new Problem('consult/unknown-task', { taskId: command.taskId })
  if (command.type === 'claim' && !registry.read(sender).kinds.includes('processor')) {
    throw new Problem('region/not-a-processor', { hospitalId: sender, reason: 'kind' })
  }
  const submittersOwn = command.type === 'cancel' || command.type === 'return' || command.type === 'read'
  throw new Problem(submittersOwn ? 'consult/not-yours' : 'consult/not-offered-here', { taskId: command.taskId })
}
