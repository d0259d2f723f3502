import { Buffer } from 'node:buffer'
import { sm3Hex } from 'pki'
import type { Database, Log } from 'service-kit'
import {
  isProblem,
  noteOf,
  Problem,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type Opinion,
  type RegionId,
  type SeriesInstanceUid,
  type TaskId,
} from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { Region } from '../region/region.ts'
import { stampedSignature, timeStampOf } from '../signing/time-stamps.ts'
import { judgeOpinion } from '../signing/verify-opinion.ts'
import type { CommandDesk } from './command-desk.ts'
import type { Consult } from './consult.ts'
import { findConsult, markSettled, saveConsult, tasksWithUnsettledOpinion, timelineOf, unsettledOpinion } from './store.ts'

export interface SettleParts {
  readonly db: Database
  readonly log: Log
  readonly region: Region
  readonly desk: CommandDesk
  readonly hospitalId: HospitalId
  readonly inHospital: Archive
  readonly regional: Archive
  readonly announce: (event: LiveEvent) => void
  readonly now: () => EpochMs
}

/**
 * What follows a signature, at both ends: the key object goes into an archive; at the submitter the signature is checked
 * first and the return is told afterwards. Every step may be done twice, so a kill in between only means doing it again.
 */
export class OpinionSettling {
  readonly #parts: SettleParts
  #turn: Promise<void> = Promise.resolve()

  constructor(parts: SettleParts) {
    this.#parts = parts
  }

  /** Settles whatever an earlier process left, and what could not be done then. */
  async resume(): Promise<void> {
    for (const taskId of await tasksWithUnsettledOpinion(this.#parts.db)) void this.settle(taskId)
    await this.#turn
  }

  settle(taskId: TaskId): Promise<void> {
    this.#turn = this.#turn
      .then(() => this.#settle(taskId))
      .catch((error: unknown) => this.#parts.log.error({ err: error, taskId }, 'opinion not settled yet'))
    return this.#turn
  }

  async #settle(taskId: TaskId): Promise<void> {
    const { db } = this.#parts
    const [consult, opinion] = [await findConsult(db, taskId), await unsettledOpinion(db, taskId)]
    const isSigned = consult && (consult.state === 'signed' || consult.state === 'returned' || consult.state === 'read')
    if (!opinion || !isSigned) return
    if (consult.side === 'submitter') await this.#receive(consult, opinion)
    else await this.#keepOwn(consult, opinion)
  }

  /** At the submitter. An opinion that is not genuine stays visible as such and is not acknowledged. */
  async #receive(consult: Consult, opinion: Opinion): Promise<void> {
    const { db, inHospital, desk, hospitalId, log } = this.#parts
    const refusal = await this.#whyInvalid(consult, opinion)
    if (refusal) {
      log.warn({ taskId: consult.taskId, ...refusal.facts }, 'opinion is not valid')
      await this.#save(consult.taskId, (current) => ({ ...current, opinionValid: false, problem: noteOf(refusal) }))
      return
    }
    const series = await this.#storeKeyObject(inHospital, opinion, {
      peer: opinion.text.signer.hospitalId,
      owner: hospitalId,
      regionId: consult.regionId,
    })
    const timeStamp = await this.#stampOf(opinion)
    await db.write(async (tx) => {
      const current = await findConsult(tx, consult.taskId)
      if (!current) return
      const shown = current.opinion && timeStamp !== undefined ? { ...current.opinion, timeStamp } : current.opinion
      const next = { ...current, opinion: shown, opinionValid: true, keyImageSeriesInstanceUid: series ?? null }
      await saveConsult(tx, next, hospitalId)
      await markSettled(tx, consult.taskId)
      // The return tells the signer and everybody else that the opinion is in the patient's hospital now.
      if (current.state === 'signed') await desk.post(tx, next, desk.agent, { type: 'return' })
      tx.afterCommit(() => this.#announce(next))
    })
  }

  async #keepOwn(consult: Consult, opinion: Opinion): Promise<void> {
    // The hub may have accepted somebody else's signature: then this one was never given.
    const signed = (await timelineOf(this.#parts.db, consult.taskId)).findLast((event) => event.type === 'signed')
    const { signer } = opinion.text
    if (signed?.by.hospitalId !== signer.hospitalId || signed.by.userId !== signer.userId) return
    const series = await this.#storeKeyObject(this.#parts.regional, opinion, {
      peer: this.#parts.hospitalId,
      owner: consult.submitter,
      regionId: consult.regionId,
    })
    const { keyObject: _keyObject, ...bare } = opinion
    const timeStamp = await this.#stampOf(opinion)
    const shown = { ...bare, ...(timeStamp !== undefined && { timeStamp }) }
    await this.#save(consult.taskId, (current) => ({
      ...current,
      opinion: shown,
      opinionValid: true,
      keyImageSeriesInstanceUid: series ?? null,
    }))
  }

  async #save(taskId: TaskId, change: (current: Consult) => Consult): Promise<void> {
    const { db, hospitalId } = this.#parts
    await db.write(async (tx) => {
      const current = await findConsult(tx, taskId)
      if (!current) return
      const next = change(current)
      await saveConsult(tx, next, hospitalId)
      await markSettled(tx, taskId)
      tx.afterCommit(() => this.#announce(next))
    })
  }

  /** Signed offline, an opinion gets its time stamp now; it says that the signature existed by then. */
  async #stampOf(opinion: Opinion): Promise<string | undefined> {
    const { region, log } = this.#parts
    return opinion.timeStamp ?? timeStampOf(region, log, stampedSignature(opinion))
  }

  #announce({ taskId, state, revision }: Consult): void {
    this.#parts.announce({ type: 'consult', taskId, state, revision })
    this.#parts.desk.answers.changed(taskId)
  }

  /** Signed by the hospital that signed the task, over exactly this text, together with this key object. */
  async #whyInvalid(consult: Consult, opinion: Opinion): Promise<Problem | undefined> {
    const { region, db } = this.#parts
    const { text, keyObject } = opinion
    const invalid = (reason: string) => new Problem('consult/opinion-invalid', { taskId: consult.taskId, reason })
    const signed = (await timelineOf(db, consult.taskId)).findLast((event) => event.type === 'signed')
    if (!region.trust || !signed) throw new Problem('region/not-joined')
    try {
      // Judged for the moment at which the hub took the signature, so a later revocation does not undo it.
      const { hospital, author, stampedAt } = judgeOpinion(region.trust, opinion, signed.sequencedAt)
      if (hospital.party !== signed.by.hospitalId) return invalid('signer')
      if (author && author.person?.userId !== signed.by.userId) return invalid('signer')
      if (opinion.timeStamp !== undefined && stampedAt === undefined) return invalid('time stamp')
    } catch (error) {
      if (isProblem(error)) return invalid(error.code)
      throw error
    }
    if ((keyObject === undefined) !== (text.keyObjectSm3 === undefined)) return invalid('key object')
    if (keyObject !== undefined && sm3Hex(Buffer.from(keyObject, 'base64')) !== text.keyObjectSm3) return invalid('key object')
    return undefined
  }

  /** A new series of the study, whose owner stays who it is. Storing it again changes nothing. */
  async #storeKeyObject(
    archive: Archive,
    { text, keyObject }: Opinion,
    from: { peer: HospitalId; owner: HospitalId; regionId: RegionId },
  ): Promise<SeriesInstanceUid | undefined> {
    if (keyObject === undefined || text.keyObjectSm3 === undefined) return undefined
    const incoming = await archive.receive({ kind: 'own', ...from }, { part10: true })
    try {
      const bytes = Buffer.from(keyObject, 'base64')
      await incoming.write(bytes)
      const receipt = await incoming.commit({ sm3: text.keyObjectSm3, sizeBytes: bytes.length })
      return receipt.seriesInstanceUid
    } catch (error) {
      await incoming.abort()
      throw error
    }
  }
}
