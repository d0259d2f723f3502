import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import { GrantStandingAsk, HospitalId, isProblem, parseWith, Problem, services, type EpochMs, type GrantId, type LiveEvent } from 'specs'
import type { Line } from '../region/line.ts'
import { findAuthorisation, markWithdrawn } from './authorisation-store.ts'
import { endGrant, findGiven, givenUnder, withdrawnAmong, type GivenGrant } from './given-grants.ts'
import { confirmNotice, hastenNotices, nextNoticeAt, owedNotices, owNotices, postponeNotice, type Notice } from './notices.ts'
import { pauseAfter, tellEach, Telling } from './telling.ts'

/** A grantee that was away asks by itself, too; with the line back, it is told at once. */
const LONGEST_PAUSE_MS = 30_000
/** Shorter than the five seconds that are promised, so that a lost question is asked twice within them. */
const ANSWER_MS = 2_000

export interface WithdrawalParts {
  readonly db: Database
  readonly log: Log
  readonly line: Line
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly announce: (event: LiveEvent) => void
  readonly now: () => EpochMs
}

/**
 * Taking back what was given. The grant is worthless at this node with the commit; those who hold it are told until they confirm,
 * and a grantee that was away asks by itself when it is back.
 */
export class Withdrawals {
  readonly #parts: WithdrawalParts
  readonly #telling: Telling

  constructor(parts: WithdrawalParts) {
    this.#parts = parts
    this.#telling = new Telling({ log: parts.log, now: parts.now, what: 'withdrawals', round: (atOnce) => this.#round(atOnce) })
    parts.line.serve(services.grantStanding, async ({ from, body }) => {
      const grantee = parseWith(HospitalId, from, 'sender')
      const { grantIds } = parseWith(GrantStandingAsk, body, services.grantStanding)
      return { withdrawn: await withdrawnAmong(parts.db, grantee, grantIds, parts.now()) }
    })
  }

  /** @throws {Problem} access/authorisation-unknown, access/authorisation-withdrawn */
  async withdrawAuthorisation(authorisationId: string, by: { id: string; name: string }, reason: string): Promise<void> {
    await this.#parts.db.write((tx) => this.endAuthorisation(tx, authorisationId, by, reason))
  }

  /** Together with whatever makes it necessary. */
  async endAuthorisation(tx: Transaction, authorisationId: string, by: { name: string }, reason: string): Promise<void> {
    const { audit, now, hospitalId } = this.#parts
    const authorisation = await findAuthorisation(tx, authorisationId)
    if (!authorisation) throw new Problem('access/authorisation-unknown', { authorisationId })
    if (!(await markWithdrawn(tx, authorisationId, by.name, reason, now()))) throw new Problem('access/authorisation-withdrawn', { authorisationId })
    const given = (await givenUnder(tx, authorisationId)).filter(({ withdrawnAt, signed }) => withdrawnAt === null && signed.grant.expires > now())
    for (const grant of given) await this.#end(tx, grant, reason)
    const { patientId } = authorisation.scope
    await audit.within(tx, {
      action: 'grant.withdraw', outcome: 'success', reason,
      object: { type: 'grant', id: authorisationId, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) },
      facts: { kind: authorisation.kind, grants: given.length },
    }) // prettier-ignore
  }

  /** @throws {Problem} request/not-found, access/grant-withdrawn */
  async withdrawGrant(grantId: GrantId, reason: string): Promise<void> {
    const { db, audit, hospitalId } = this.#parts
    await db.write(async (tx) => {
      const given = await findGiven(tx, grantId)
      if (!given) throw new Problem('request/not-found', { grantId })
      if (!(await this.#end(tx, given, reason))) throw new Problem('access/grant-withdrawn', { grantId })
      const [study] = given.signed.grant.studyInstanceUids
      await audit.within(tx, { action: 'grant.withdraw', outcome: 'success', reason, object: { type: 'grant', id: grantId, owner: hospitalId }, facts: { kind: given.kind, studyInstanceUid: study } })
    })
  }

  async #end(tx: Transaction, { signed: { grant } }: GivenGrant, reason: string): Promise<boolean> {
    const now = this.#parts.now()
    if (!(await endGrant(tx, grant.grantId, reason, now))) return false
    await owNotices(tx, grant, now)
    tx.afterCommit(() => {
      this.#parts.announce({ type: 'grant', grantId: grant.grantId, studyInstanceUids: grant.studyInstanceUids, state: 'withdrawn' })
      this.tell()
    })
    return true
  }

  /** Tells whoever does not know yet. Called after a withdrawal, at the start and whenever the line is back. */
  tell(how?: { atOnce?: boolean }): void {
    this.#telling.tell(how)
  }

  async #round(atOnce: boolean): Promise<EpochMs | null> {
    const { db, now } = this.#parts
    if (atOnce) await hastenNotices(db, now())
    await tellEach(await owedNotices(db, now(), true), ({ grantee }) => grantee, (grantee, notices) => this.#tellOne(grantee, notices))
    return nextNoticeAt(db, now())
  }

  async #tellOne(grantee: HospitalId, notices: readonly Notice[]): Promise<void> {
    const { db, line, log, now, announce } = this.#parts
    const grants = notices.map(({ grantId, withdrawnAt }) => ({ grantId, withdrawnAt }))
    try {
      await line.request(grantee, services.grantWithdrawn, { grants }, { timeoutMs: ANSWER_MS })
    } catch (error) {
      if (!isProblem(error)) throw error
      log.warn({ grantee, grants: grants.length, code: error.code }, 'a withdrawal has not reached the grantee yet')
      for (const notice of notices) await postponeNotice(db, notice, now() + pauseAfter(notice.attempts, LONGEST_PAUSE_MS))
      return
    }
    for (const { grantId } of grants) {
      await confirmNotice(db, grantId, grantee, now())
      announce({ type: 'grant', grantId, studyInstanceUids: [], state: 'confirmed' })
    }
  }

  stop(): Promise<void> {
    return this.#telling.stop()
  }
}
