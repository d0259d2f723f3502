import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Transaction, User } from 'service-kit'
import {
  type Actor,
  type AuditEvent,
  ConsultCommand,
  HUB,
  kinds,
  MessageId,
  parseWith,
  Problem,
  UserId,
  type ConsultCommandType,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
} from 'specs'
import type { Region } from '../region/region.ts'
import { AnswerDesk } from './answers.ts'
import type { Consult } from './consult.ts'
import { findCommand, findConsult, rememberCommand, saveConsult } from './store.ts'

export interface CommandDeskParts {
  readonly db: Database
  readonly region: Region
  readonly hospitalId: HospitalId
  readonly announce: (event: LiveEvent) => void
  readonly answerWaitMs: number
  readonly audit?: AuditTrail | undefined
  readonly now: () => EpochMs
}

/** What a command says besides who, when and about which task. */
export type CommandContent = Record<string, unknown> & { readonly type: ConsultCommandType }

/** Sends commands to the hub: saved together with what the node itself notes, delivered when there is a line. */
export class CommandDesk {
  readonly answers = new AnswerDesk()
  readonly #parts: CommandDeskParts

  constructor(parts: CommandDeskParts) {
    this.#parts = parts
  }

  personOf(user: Pick<User, 'id' | 'name' | 'title'>): Actor {
    return {
      hospitalId: this.#parts.hospitalId,
      userId: parseWith(UserId, user.id, 'user'),
      name: user.name,
      ...(user.title && { title: user.title }),
    }
  }

  /** The node itself, for what happens without anybody pressing a button. */
  get agent(): Actor {
    const { hospitalId, region } = this.#parts
    return { hospitalId, userId: UserId.parse('agent'), name: region.nameOf(hospitalId).slice(0, 60), agent: true }
  }

  /**
   * Saves the consultation as `next` and sends the command, in one transaction. A person's command is shown as pending
   * until the hub answers; the agent's are not.
   * @throws {Problem} region/not-joined: also when the task belongs to a region other than the present one.
   */
  async post(tx: Transaction, next: Consult, by: Actor, content: CommandContent): Promise<string> {
    const { region, hospitalId, now } = this.#parts
    if (region.regionId !== next.regionId) throw new Problem('region/not-joined', { regionId: next.regionId })
    const at = now()
    const commandId = parseWith(MessageId, randomUUID(), 'commandId')
    const command = parseWith(ConsultCommand, { ...content, commandId, taskId: next.taskId, by, at }, 'consult command')
    const { id: messageId } = await region.line.post(tx, HUB, kinds.consultCommand, command)
    const { type, taskId } = command
    await this.#parts.audit?.within(tx, stepEvent(command, next))
    await rememberCommand(tx, { commandId, taskId, type, byAgent: by.agent === true, byName: by.name, messageId, at })
    await saveConsult(tx, by.agent ? next : { ...next, pending: { commandId, type: command.type, userId: by.userId }, problem: null }, hospitalId)
    return commandId
  }

  /**
   * A person's command: decided by the hub, waited for a moment.
   * @param prepare looks at the newest state inside the transaction; returns what to save and say, or undefined when it is done already.
   * @throws {Problem} the hub's refusal, when it comes in time; what `prepare` throws.
   */
  async command(
    taskId: Consult['taskId'],
    by: Actor,
    prepare: (consult: Consult, tx: Transaction) => Promise<{ next: Consult; content: CommandContent } | undefined>,
  ): Promise<void> {
    const { db, announce } = this.#parts
    const commandId = await db.write(async (tx) => {
      const consult = await findConsult(tx, taskId)
      if (!consult) throw new Problem('consult/unknown-task', { taskId })
      const prepared = await prepare(consult, tx)
      if (!prepared) return undefined
      // A second press of the same person while the first is on its way is the same wish; a colleague's is another one,
      // and the hub tells them apart (COR-15).
      if (consult.pending?.type === prepared.content.type && consult.pending.userId === by.userId) return consult.pending.commandId
      const id = await this.post(tx, prepared.next, by, prepared.content)
      tx.afterCommit(() => announce({ type: 'consult', taskId, state: consult.state, revision: consult.revision }))
      return id
    })
    if (commandId !== undefined) await this.outcome(taskId, commandId)
  }

  /** @throws {Problem} the refusal, if it comes in time. */
  async outcome(taskId: Consult['taskId'], commandId: string): Promise<void> {
    const { db, region, answerWaitMs } = this.#parts
    const answered = await this.answers.until(taskId, region.isConnected ? answerWaitMs : 0, async () => {
      const command = await findCommand(db, commandId)
      if (!command || command.state === 'queued') return undefined
      if (command.state === 'refused') return command
      // Accepted: the page should also see what came of it.
      const consult = await findConsult(db, taskId)
      return consult && consult.revision >= (command.revision ?? 0) ? command : undefined
    })
    if (answered?.problem) throw answered.problem
  }
}

/** A step of a consultation as the trail keeps it; content stays sealed where it is. */
function stepEvent(command: ConsultCommand, { submitter, facts }: Consult): AuditEvent {
  const { type, taskId, by } = command
  const [studyInstanceUid] = facts.studyInstanceUids
  return {
    action: type === 'submit' ? 'consult.apply' : type === 'sign' ? 'consult.sign' : type === 'print' ? 'consult.print' : 'consult.step',
    outcome: 'success',
    actor: { kind: by.agent === true ? 'system' : 'user', id: by.userId, name: by.name },
    object: { type: 'task', id: taskId, owner: submitter },
    ...('reason' in command && { reason: command.reason }),
    facts: { step: type, taskId, ...(studyInstanceUid !== undefined && { studyInstanceUid }) },
  }
}
