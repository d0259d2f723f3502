import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import { GrantStandingAsk, HospitalId, isProblem, parseWith, Problem, services, type EpochMs, type GrantId, type LiveEvent } from 'specs'
import type { Line } from '../region/line.ts'
import { findAuthorisation, markWithdrawn } from './authorisation-store.ts'
import { endGrant, findGiven, givenUnder, withdrawnAmong, type GivenGrant } from './given-grants.ts'
import { confirmNotice, hastenNotices, nextNoticeAt, owedNotices, owNotices, postponeNotice, type Notice } from './notices.ts'

/** A grantee that does not answer is asked again after 1, 2, 4 … seconds; with the line back, at once. */
const FIRST_PAUSE_MS = 1_000
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
  #timer: NodeJS.Timeout | undefined
  #telling: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: WithdrawalParts) {
    this.#parts = parts
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
  tell({ atOnce = false } = {}): void {
    clearTimeout(this.#timer)
    this.#telling = this.#telling
      .then(() => (this.#stopped ? undefined : this.#tell(atOnce)))
      .catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'withdrawals not told')
        this.#sleep(FIRST_PAUSE_MS)
      })
  }

  async #tell(atOnce: boolean): Promise<void> {
    const { db, now } = this.#parts
    if (atOnce) await hastenNotices(db, now())
    const byGrantee = new Map<HospitalId, Notice[]>()
    for (const notice of await owedNotices(db, now(), true)) byGrantee.set(notice.grantee, [...(byGrantee.get(notice.grantee) ?? []), notice])
    // Side by side: a hospital that is away must not keep the others waiting.
    await Promise.all([...byGrantee].map(([grantee, notices]) => this.#tellOne(grantee, notices)))
    const at = await nextNoticeAt(db, now())
    if (at !== null) this.#sleep(at - now())
  }

  async #tellOne(grantee: HospitalId, notices: readonly Notice[]): Promise<void> {
    const { db, line, log, now, announce } = this.#parts
    const grants = notices.map(({ grantId, withdrawnAt }) => ({ grantId, withdrawnAt }))
    try {
      await line.request(grantee, services.grantWithdrawn, { grants }, { timeoutMs: ANSWER_MS })
    } catch (error) {
      if (!isProblem(error)) throw error
      log.warn({ grantee, grants: grants.length, code: error.code }, 'a withdrawal has not reached the grantee yet')
      for (const notice of notices) await postponeNotice(db, notice, now() + Math.min(FIRST_PAUSE_MS * 2 ** Math.min(notice.attempts, 10), LONGEST_PAUSE_MS))
      return
    }
    for (const { grantId } of grants) {
      await confirmNotice(db, grantId, grantee, now())
      announce({ type: 'grant', grantId, studyInstanceUids: [], state: 'confirmed' })
    }
  }

  #sleep(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => this.tell(), Math.max(50, milliseconds))
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#telling
  }
}
