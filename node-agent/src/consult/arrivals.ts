import type { Database, Log, Transaction } from 'service-kit'
import {
  ConsultAnswer,
  ConsultEvent,
  ConsultOrderQuery,
  ConsultRequest,
  HUB,
  kinds,
  noteOf,
  Opinion,
  parseWith,
  Problem,
  services,
  type ConsultOrder,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type PartyId,
} from 'specs'
import { withdrawGrants } from '../access/grant-store.ts'
import type { Region } from '../region/region.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import type { AnswerDesk } from './answers.ts'
import { beginConsult, followEvent, type Consult, type Here, type OpenedRequest } from './consult.ts'
import { decideFetch } from './decide-fetch.ts'
import { answerCommand, findCommand, findConsult, keepOpinion, rememberEvent, saveConsult, stepsSince } from './store.ts'

export interface ArrivalParts {
  readonly db: Database
  readonly log: Log
  readonly region: Region
  readonly hospitalId: HospitalId
  readonly answers: AnswerDesk
  readonly transfers: TransferEngine
  readonly announce: (event: LiveEvent) => void
  /** After the commit of an event: opinions to settle, fetches to stop. */
  readonly onEvent: (consult: Consult, event: ConsultEvent) => void
  readonly now: () => EpochMs
}

/** What the hub tells us of consultations, entered in the transaction that records the message. */
export class ConsultArrivals {
  readonly #parts: ArrivalParts

  constructor(parts: ArrivalParts) {
    this.#parts = parts
    parts.region.line.onMessage(kinds.consultEvent, (tx, { from, body }) => this.#takeEvent(tx, from, body))
    parts.region.line.onMessage(kinds.consultAnswer, (tx, { from, body }) => this.#takeAnswer(tx, from, body))
    // A hub that came back from a backup puts its ledger in the order that we heard.
    parts.region.line.serve(services.consultOrder, async ({ from, body }) => {
      if (from !== HUB) throw new Problem('access/forbidden', { from })
      const { since } = parseWith(ConsultOrderQuery, body, services.consultOrder)
      return { steps: await stepsSince(parts.db, parts.region.regionId, since) } satisfies ConsultOrder
    })
  }

  async #takeEvent(tx: Transaction, from: PartyId, body: unknown): Promise<void> {
    if (from !== HUB) throw new Problem('access/forbidden', { from })
    const event = parseWith(ConsultEvent, body, kinds.consultEvent)
    const before = await findConsult(tx, event.taskId)
    if (before && event.revision <= before.revision) return
    const { hospitalId, announce, answers, onEvent } = this.#parts
    const followed = before ? followEvent(before, event) : this.#begin(event)
    const consult = event.type === 'signed' ? await this.#takeOpinion(tx, followed, event) : followed
    await rememberEvent(tx, event)
    await saveConsult(tx, consult, hospitalId)
    if (event.type === 'cancelled' || event.type === 'declined') await this.#closeGrants(tx, consult, event)
    await this.#fetch(tx, consult, event)
    tx.afterCommit(() => {
      announce({ type: 'consult', taskId: consult.taskId, state: consult.state, revision: consult.revision })
      answers.changed(consult.taskId)
      onEvent(consult, event)
    })
  }

  /** First news of a task: only `submitted` tells enough; anything else comes again after it, because the hub keeps the order. */
  #begin(event: ConsultEvent): Consult {
    if (event.type !== 'submitted' || !event.facts)
      throw new Problem('consult/unknown-task', { taskId: event.taskId, revision: event.revision })
    return beginConsult(event, event.facts, this.#here(), this.#openRequest(event))
  }

  #here(): Here {
    const { region, hospitalId } = this.#parts
    if (region.regionId === undefined) throw new Problem('region/not-joined')
    return { hospitalId, regionId: region.regionId, directory: region.directory }
  }

  /** Opened on arrival and kept; a request that cannot be opened stays visible with its reason. */
  #openRequest(event: ConsultEvent): OpenedRequest {
    if (event.sealed === undefined) return undefined
    try {
      const request = parseWith(
        ConsultRequest,
        this.#parts.region.line.openSealed(event.sealed, { from: event.submitter }),
        'consult request',
      )
      if (request.taskId !== event.taskId) throw new Problem('envelope/wrong-audience', { reason: 'content of another task' })
      return { request }
    } catch (error) {
      return { problem: this.#noteOf(error, event) }
    }
  }

  async #takeOpinion(tx: Transaction, consult: Consult, event: ConsultEvent): Promise<Consult> {
    if (consult.side !== 'submitter' || event.sealed === undefined) return consult
    try {
      const opinion = parseWith(Opinion, this.#parts.region.line.openSealed(event.sealed, { from: event.by.hospitalId }), 'opinion')
      const { taskId, signer } = opinion.text
      if (taskId !== event.taskId || signer.hospitalId !== event.by.hospitalId || signer.userId !== event.by.userId) {
        throw new Problem('consult/opinion-invalid', { reason: 'content of another task or signer' })
      }
      await keepOpinion(tx, event.taskId, opinion)
      const { keyObject: _keyObject, ...shown } = opinion
      return { ...consult, opinion: shown, opinionValid: null }
    } catch (error) {
      return { ...consult, opinionValid: false, problem: this.#noteOf(error, event) }
    }
  }

  #noteOf(error: unknown, event: ConsultEvent) {
    const note = noteOf(error)
    this.#parts.log.warn({ taskId: event.taskId, type: event.type, code: note.code, err: error }, 'sealed content not opened')
    return note
  }

  async #closeGrants(tx: Transaction, consult: Consult, event: ConsultEvent): Promise<void> {
    const isOver = consult.state === 'cancelled' || consult.state === 'declined'
    if (consult.side === 'submitter' && isOver) await withdrawGrants(tx, consult.taskId, event.type, this.#parts.now())
  }

  async #fetch(tx: Transaction, consult: Consult, event: ConsultEvent): Promise<void> {
    const decision = decideFetch(consult, event, this.#parts.hospitalId)
    if (decision.kind !== 'fetch') return
    const { taskId, regionId, submitter, facts } = consult
    const sources = [...new Set([decision.from, submitter])]
    for (const studyInstanceUid of facts.studyInstanceUids) {
      await this.#parts.transfers.wish(tx, {
        regionId,
        studyInstanceUid,
        owner: submitter,
        sources,
        grant: facts.grant,
        purpose: 'push',
        taskId,
      })
    }
  }

  /** Accepted or refused, with the id of the command (AGT-07). */
  async #takeAnswer(tx: Transaction, from: PartyId, body: unknown): Promise<void> {
    if (from !== HUB) throw new Problem('access/forbidden', { from })
    const answer = parseWith(ConsultAnswer, body, kinds.consultAnswer)
    const command = await findCommand(tx, answer.commandId)
    if (!command || !(await answerCommand(tx, answer, this.#parts.now()))) return
    const consult = await findConsult(tx, command.taskId)
    if (consult && !command.byAgent) await saveConsult(tx, afterAnswer(consult, answer, command.type), this.#parts.hospitalId)
    if (answer.outcome === 'refused') {
      this.#parts.log.warn(
        { taskId: command.taskId, type: command.type, byAgent: command.byAgent, code: answer.problem.code },
        'command refused',
      )
      if (command.type === 'submit') await withdrawGrants(tx, command.taskId, 'refused', this.#parts.now())
    }
    tx.afterCommit(() => {
      const problem = answer.outcome === 'refused' ? { problem: answer.problem.code } : {}
      this.#parts.announce({
        type: 'consult',
        taskId: command.taskId,
        state: consult?.state ?? '',
        revision: consult?.revision ?? 0,
        ...problem,
      })
      this.#parts.answers.changed(command.taskId)
    })
  }
}

/** A refused application never became a task; a refused command leaves the task where it is and is shown. */
export function afterAnswer(consult: Consult, answer: ConsultAnswer, type: string): Consult {
  const pending = consult.pending?.commandId === answer.commandId ? null : consult.pending
  if (answer.outcome === 'accepted') return { ...consult, pending }
  const isFirst = type === 'submit' && consult.state === 'queued'
  // Who was quicker is told to the one who pressed, and the holder stands on the page; it is no problem of the task.
  const problem = answer.problem.code === 'consult/held' ? consult.problem : answer.problem
  return { ...consult, pending, problem, ...(isFirst && { state: 'refused' }) }
}
