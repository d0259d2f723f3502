import type { Database, Transaction } from 'service-kit'
import {
  ConsultCommand,
  isProblem,
  kinds,
  MessageId,
  noteOf,
  parseWith,
  Problem,
  TaskId,
  type ConsultAnswer,
  type ConsultEvent,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type RegionId,
  type SignedGrant,
} from 'specs'
import { z } from 'zod'
import type { Outbox } from '../directory/directory.ts'
import type { RegistryCache } from '../hospital/registry-cache.ts'
import { recordRefusal } from '../refusal/store.ts'
import { decide } from './decide.ts'
import { forgetOrder, keepEarly, takeEarly, tasksWaitingSince, turnOf } from './recollection.ts'
import { sealedAudience } from './sealed-content.ts'
import { readAnswer, readTask, saveAnswer, saveTask } from './store.ts'
import { concerned, type Circumstances, type Decision, type Task } from './task.ts'

export interface ConsultServiceParts {
  readonly regionId: RegionId
  readonly registry: RegistryCache
  readonly outbox: Outbox
  /** @throws {Problem} when the grant was not signed by the hospital that it names as owner. */
  readonly verifyGrant: (grant: SignedGrant) => void
  readonly announce: (event: LiveEvent) => void
  /** Epoch ms. */
  readonly now: () => EpochMs
}

/** Enough of a command to answer it, however wrong the rest is. */
const CommandNumber = z.object({ commandId: MessageId, taskId: TaskId })

/** A decision is made again on a task that another process changed meanwhile; more rounds than this mean a fault. */
const MAX_ROUNDS = 5

/**
 * Takes the commands of the nodes, one transaction each: ledger, answer and messages are saved together or not at all.
 * Every command is answered exactly once with the same answer, however often it comes (AGT-07).
 */
export class ConsultService {
  readonly #parts: ConsultServiceParts

  constructor(parts: ConsultServiceParts) {
    this.#parts = parts
  }

  /**
   * @param sender Who the envelope proved.
   * @param body A consult.command as received.
   * @throws {Problem} request/invalid only when the body does not even say which command it is; anything else is answered.
   */
  async handle(tx: Transaction, sender: HospitalId, body: unknown): Promise<void> {
    const parsed = ConsultCommand.safeParse(body)
    const { commandId, taskId } = parsed.success ? parsed.data : parseWith(CommandNumber, body, 'consult.command')
    const earlier = await readAnswer(tx, sender, commandId)
    const answer =
      earlier ??
      (parsed.success ? await this.#answer(tx, sender, parsed.data) : await this.#refuseMalformed(tx, sender, body, parsed.error))
    if (answer === 'early') return
    if (!earlier) await saveAnswer(tx, sender, answer, this.#parts.now())
    await this.#parts.outbox.post(tx, sender, kinds.consultAnswer, answer)
    if (!earlier) await this.#goOn(tx, taskId)
  }

  /** Nobody waits any longer for steps of which a restored hub was told and which nobody sends again. @returns how many tasks go on without. */
  async giveUpWaiting(db: Database, before: EpochMs): Promise<number> {
    const tasks = await tasksWaitingSince(db, before)
    for (const taskId of tasks) {
      await db.write(async (tx) => {
        await forgetOrder(tx, taskId)
        await this.#goOn(tx, taskId)
      })
    }
    return tasks.length
  }

  /** Commands that came before their turn. */
  async #goOn(tx: Transaction, taskId: TaskId): Promise<void> {
    for (const { hospitalId, command } of await takeEarly(tx, taskId)) await this.handle(tx, hospitalId, command)
  }

  /** @returns `early` when a restored hub waits for what had come before it (see recollection.ts). */
  async #answer(tx: Transaction, sender: HospitalId, command: ConsultCommand): Promise<ConsultAnswer | 'early'> {
    const { commandId, taskId, type } = command
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const task = await readTask(tx, taskId)
      const turn = await turnOf(tx, taskId, commandId, task?.revision ?? 0)
      if (turn.kind === 'early') {
        await keepEarly(tx, sender, command, this.#parts.now())
        return 'early'
      }
      const circumstances = await this.#circumstances(tx, sender)
      const decision = this.#decide(task, command, { ...circumstances, now: turn.sequencedAt ?? circumstances.now })
      if (turn.kind === 'now') await forgetOrder(tx, taskId, isProblem(decision) ? undefined : (task?.revision ?? 0) + 1)
      if (isProblem(decision)) return this.#refuse(tx, sender, { commandId, taskId, type }, decision)
      if (decision.kind === 'repeated') return { outcome: 'accepted', commandId, taskId, revision: decision.revision }
      if (!(await saveTask(tx, decision.task, decision.event))) continue
      await this.#tell(tx, decision.task, decision.event)
      return { outcome: 'accepted', commandId, taskId, revision: decision.event.revision }
    }
    throw new Error(`task ${taskId} changed ${MAX_ROUNDS} times while ${type} was decided`)
  }

  /** Only what the rules refuse becomes an answer; a Problem of storing or sending must undo the transaction instead. */
  #decide(task: Task | undefined, command: ConsultCommand, circumstances: Circumstances): Decision | Problem {
    try {
      if (command.type === 'submit') this.#parts.verifyGrant(command.facts.grant)
      return decide(task, command, circumstances)
    } catch (error) {
      if (isProblem(error)) return error
      throw error
    }
  }

  async #refuseMalformed(tx: Transaction, sender: HospitalId, body: unknown, { issues }: z.ZodError): Promise<ConsultAnswer> {
    const number = parseWith(CommandNumber, body, 'consult.command')
    const named = issues.slice(0, 5).map(({ path, message }) => ({ path: path.map(String).join('.'), message }))
    return this.#refuse(tx, sender, number, new Problem('request/invalid', { what: 'consult.command', issues: named }))
  }

  async #refuse(
    tx: Transaction,
    sender: HospitalId,
    { commandId, taskId, type }: z.infer<typeof CommandNumber> & { type?: string },
    problem: Problem,
  ): Promise<ConsultAnswer> {
    const note = noteOf(problem)
    await recordRefusal(tx, sender, { code: note.code, facts: { ...note.facts, taskId, command: type } }, this.#parts.now())
    tx.afterCommit(() => this.#parts.announce({ type: 'refusal', code: note.code }))
    return { outcome: 'refused', commandId, taskId, problem: { code: note.code, facts: note.facts } }
  }

  async #circumstances(tx: Transaction, sender: HospitalId): Promise<Circumstances> {
    const { regionId, registry, now } = this.#parts
    return { sender, registry: await registry.read(tx), regionId, now: now() }
  }

  /** To everybody concerned; sealed content only to those who can open it. */
  async #tell(tx: Transaction, task: Task, event: ConsultEvent): Promise<void> {
    const { sealed, ...withoutSealed } = event
    const readers = sealed === undefined ? [] : sealedAudience(sealed)
    for (const hospitalId of concerned(task)) {
      await this.#parts.outbox.post(tx, hospitalId, kinds.consultEvent, readers.includes(hospitalId) ? event : withoutSealed)
    }
    const { id: taskId, state, revision } = task
    tx.afterCommit(() => this.#parts.announce({ type: 'consult', taskId, state, revision }))
  }
}
