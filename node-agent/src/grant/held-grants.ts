import type { AuditTrail, Database, Log } from 'service-kit'
import { GrantStandingAnswer, GrantsWithdrawn, HospitalId, isProblem, parseWith, services, type EpochMs, type Grant, type GrantId, type LiveEvent, type StudyInstanceUid, type WithdrawnGrant } from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { Line } from '../region/line.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { endedBetween, findHeld, forgetHeld, heldForStudy, keepWithdrawal, liveHeld, withdrawalOf } from './held-store.ts'

const ASK_MS = 5_000
const HOUR_MS = 3_600_000
/** A copy outlives its last grant by so much, for whoever opens the study again tomorrow. */
const KEPT_MS = 24 * HOUR_MS
/** Ends older than this have been looked at often enough. */
const LOOKED_BACK_MS = 14 * KEPT_MS
const ASKED_AT_ONCE = 500

/** A grant that came with a task, for studies kept here. */
export interface TaskGrant {
  readonly grantId: GrantId
  readonly owner: HospitalId
  readonly studies: readonly StudyInstanceUid[]
}

export interface HeldGrantsParts {
  readonly db: Database
  readonly log: Log
  readonly line: Line
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly regional: Archive
  readonly transfers: TransferEngine
  /** Grants of the tasks that are open here. */
  readonly taskGrants: () => Promise<readonly TaskGrant[]>
  /** @param person whom it concerns; everybody without one. */
  readonly announce: (event: LiveEvent, person?: string) => void
  readonly now: () => EpochMs
}

/**
 * What other hospitals have given to people here, and what they take back. A withdrawal is entered before it is confirmed; from then
 * on nothing of it is shown, its transfer ends and the copy leaves the regional archive, unless something else still entitles to it.
 */
export class HeldGrants {
  readonly #parts: HeldGrantsParts
  #removing: Promise<void> = Promise.resolve()
  readonly #sweeping: NodeJS.Timeout

  constructor(parts: HeldGrantsParts) {
    this.#parts = parts
    this.#sweeping = setInterval(() => void this.sweep(), HOUR_MS)
    this.#sweeping.unref()
    parts.line.serve(services.grantWithdrawn, async ({ from, body }) => {
      // The sender is who the seal says: nobody withdraws what another hospital has given.
      const owner = parseWith(HospitalId, from, 'sender')
      const { grants } = parseWith(GrantsWithdrawn, body, services.grantWithdrawn)
      await this.#enter(owner, grants)
      return {}
    })
  }

  /** The line is back, or the node has just started: what was withdrawn meanwhile? */
  async recheck(): Promise<void> {
    const { db, line, log, now, hospitalId } = this.#parts
    const byOwner = new Map<HospitalId, GrantId[]>()
    const note = ({ owner, grantId }: Pick<Grant, 'owner' | 'grantId'>) => byOwner.set(owner, [...(byOwner.get(owner) ?? []), grantId])
    for (const grant of [...(await liveHeld(db, now())), ...(await this.#parts.taskGrants())]) if (grant.owner !== hospitalId) note(grant)
    await Promise.all(
      [...byOwner].map(async ([owner, grantIds]) => {
        try {
          for (let from = 0; from < grantIds.length; from += ASKED_AT_ONCE) {
            const answer = await line.request(owner, services.grantStanding, { grantIds: grantIds.slice(from, from + ASKED_AT_ONCE) }, { timeoutMs: ASK_MS })
            await this.#enter(owner, parseWith(GrantStandingAnswer, answer, services.grantStanding).withdrawn)
          }
        } catch (error) {
          if (!isProblem(error)) throw error
          // They end by themselves; and the owner tells us when it can be reached.
          log.info({ owner, grants: grantIds.length, code: error.code }, 'grants not asked about')
        }
      }),
    )
  }

  async #enter(owner: HospitalId, withdrawn: readonly WithdrawnGrant[]): Promise<void> {
    const { db, announce, audit, now } = this.#parts
    const taskGrants = await this.#parts.taskGrants()
    for (const { grantId, withdrawnAt } of withdrawn) {
      const held = await findHeld(db, owner, grantId)
      const ofTask = taskGrants.find((grant) => grant.owner === owner && grant.grantId === grantId)
      const studies = held?.studyInstanceUids ?? ofTask?.studies ?? []
      const isNews = await db.write(async (tx) => {
        if (!(await keepWithdrawal(tx, owner, grantId, withdrawnAt, now()))) return false
        await audit.within(tx, { action: 'grant.withdraw', outcome: 'success', actor: { kind: 'hospital', id: owner, hospitalId: owner }, object: { type: 'grant', id: grantId, owner }, facts: { studyInstanceUid: studies[0] } })
        return true
      })
      if (!isNews) continue
      announce({ type: 'grant', grantId, studyInstanceUids: [...studies], state: 'withdrawn' }, held?.person)
      // Nothing of it is shown any more; what it takes to remove bytes need not be waited for.
      for (const study of studies) this.#remove(owner, study)
    }
  }

  /** What was given for an hour is not kept for ever: copies whose last grant ended a day ago leave. */
  async sweep(): Promise<void> {
    const { db, now } = this.#parts
    for (const { owner, study } of await endedBetween(db, now() - LOOKED_BACK_MS, now() - KEPT_MS)) this.#remove(owner, study)
    await this.#removing
  }

  #remove(owner: HospitalId, study: StudyInstanceUid): void {
    this.#removing = this.#removing
      .then(() => this.removeUnlessEntitled(owner, study))
      .catch((error: unknown) => this.#parts.log.error({ err: error, studyInstanceUid: study }, 'a withdrawn study has not been removed'))
  }

  /** Ends the transfer and removes the copy, if nothing entitles anybody here to it any more. */
  async removeUnlessEntitled(owner: HospitalId, study: StudyInstanceUid): Promise<void> {
    const { db, transfers, now } = this.#parts
    const held = (await heldForStudy(db, study)).some((grant) => grant.owner === owner && grant.withdrawnAt === null && now() < grant.expires)
    if (held) return
    for (const grant of await this.#parts.taskGrants()) {
      const isAnother = grant.owner === owner && grant.studies.includes(study) && (await withdrawalOf(db, owner, grant.grantId)) === undefined
      if (isAnother) return
    }
    const job = await transfers.jobOfStudy(study, owner)
    if (job && (job.state === 'waiting' || job.state === 'running')) await transfers.cancel(job.transferId, 'grant').catch(ignoreEnded)
    if (job) await transfers.forget(job.transferId)
    await this.#deleteCopy(owner, study, 'grant withdrawn')
  }

  /** The owner has destroyed the exam: whatever still names it, the copy leaves now. Resolves when it is gone. */
  async removeErased(owner: HospitalId, study: StudyInstanceUid): Promise<void> {
    const { db, transfers } = this.#parts
    const job = await transfers.jobOfStudy(study, owner)
    if (job && (job.state === 'waiting' || job.state === 'running')) await transfers.cancel(job.transferId, 'grant').catch(ignoreEnded)
    if (job) await transfers.forget(job.transferId)
    await forgetHeld(db, owner, study) // with the texts of the exam that came with each grant
    await this.#deleteCopy(owner, study, 'destroyed by its owner')
  }

  /** Only the owner's own: a grant may name any number, and nobody ends what another hospital has entrusted to us. */
  async #deleteCopy(owner: HospitalId, study: StudyInstanceUid, reason: string): Promise<void> {
    const { regional, audit, hospitalId } = this.#parts
    const kept = await regional.study(study)
    if (kept?.hospitalId !== owner) return
    await regional.delete(study)
    audit.note({ action: 'study.delete', outcome: 'success', actor: { kind: 'system', id: hospitalId }, object: { type: 'study', id: study, owner }, reason, facts: { sizeBytes: kept.sizeBytes, source: `${hospitalId}/regional` } })
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeping)
    await this.#removing
  }
}

/** It ended by itself in the same moment. */
function ignoreEnded(error: unknown): void {
  if (!isProblem(error) || error.code !== 'request/conflict') throw error
}
