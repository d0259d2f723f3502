import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Queries, User } from 'service-kit'
import { Problem, type BreakGlassRequest, type BreakGlassReview, type BreakGlassRow, type EpochMs, type HospitalId } from 'specs'
import { decideExam } from './policy/decide-exam.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import type { PolicyBook } from './policy/policy-book.ts'
import { momentAt } from './policy/rule.ts'
import { subjectOf } from './policy/subject.ts'
import { factsWhere } from './register-facts.ts'

export interface BreakGlassParts {
  readonly db: Database
  readonly book: PolicyBook
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly settings: { readonly minutes: number; readonly reviewDays: number }
  readonly onChange: (breakGlassId: string, state: 'open' | 'ended' | 'reviewed') => void
  readonly now?: () => EpochMs
}

interface KeptRow {
  readonly breakGlassId: string
  readonly accountId: string
  readonly accountName: string
  readonly department: string
  readonly patientId: string
  readonly examId: string
  readonly reason: string
  readonly openedAt: EpochMs
  readonly until: EpochMs
  readonly endedAt: EpochMs | null
  readonly reviewDue: EpochMs
  readonly reviewedAt: EpochMs | null
  readonly reviewerName: string | null
  readonly verdict: 'justified' | 'unjustified' | null
  readonly reviewNote: string | null
}

const columns = `break_glass_id AS "breakGlassId", account_id AS "accountId", account_name AS "accountName", department, patient_id AS "patientId", exam_id AS "examId",
  reason, opened_at AS "openedAt", until, ended_at AS "endedAt", review_due AS "reviewDue", reviewed_at AS "reviewedAt", reviewer_name AS "reviewerName", verdict,
  review_note AS "reviewNote"`

const DAY_MS = 86_400_000

/**
 * 紧急调阅: sees a patient to whom one has no relation, or whose label one is not cleared for, at once and with a reason; the security
 * administrators hear of it at once and review it. Never round a rule that denies, nor round a right or scope that is missing.
 */
export class BreakGlassDesk {
  readonly #parts: BreakGlassParts
  readonly #now: () => EpochMs

  constructor(parts: BreakGlassParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  /** @throws {Problem} exam/unknown; access/… when it would not help: what a rule denies stays denied. */
  async open(user: User, { patient, reason }: BreakGlassRequest): Promise<BreakGlassRow> {
    const { db, book, audit, hospitalId, settings, onChange } = this.#parts
    const now = this.#now()
    const exams = await factsWhere(db, hospitalId, patient)
    const row = { breakGlassId: randomUUID(), openedAt: now, until: now + settings.minutes * 60_000, reviewDue: now + settings.reviewDays * DAY_MS }
    const exam = this.#reachable(user, exams, row.until)
    await db.write(async (tx) => {
      await tx.run(
        `INSERT INTO break_glass (break_glass_id, account_id, account_name, department, patient_id, exam_id, reason, opened_at, until, review_due)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
        [row.breakGlassId, user.id, user.name, user.department ?? '', exam.patientId, 'examId' in patient ? exam.examId : '', reason, now, row.until, row.reviewDue],
      )
      await book.bump(tx)
      const object = { type: 'patient', id: row.breakGlassId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, exam.patientId), label: exam.label } as const
      await audit.within(tx, { action: 'break-glass.open', outcome: 'success', object, reason, basis: 'break-glass', facts: { breakGlassId: row.breakGlassId, until: row.until } })
    })
    await book.refresh()
    onChange(row.breakGlassId, 'open')
    return this.#rowOf(await this.#kept(row.breakGlassId))
  }

  /** An exam of the patient that could be read by it. */
  #reachable(user: User, exams: readonly ExamFacts[], until: EpochMs): ExamFacts {
    const { book } = this.#parts
    const subject = subjectOf(user)
    let refusal: Problem | undefined
    for (const exam of exams) {
      const breakGlass = [{ breakGlassId: 'asked-for', subjectId: user.id, patientId: exam.patientId, until }]
      const moment = momentAt(this.#now())
      const decision = decideExam({ subject, doing: 'read', right: 'exam.read', exam, relation: book.relation, rules: book.rules, breakGlass, moment })
      if (decision.allowed) return exam
      refusal ??= new Problem(decision.failed === 'scope' ? 'access/out-of-scope' : decision.failed === 'right' ? 'access/forbidden' : 'access/rule-denied', { doing: 'read' })
    }
    throw refusal ?? new Problem('exam/unknown')
  }

  /** By whoever opened it. */
  async end(user: User, breakGlassId: string): Promise<void> {
    const { db, book, onChange } = this.#parts
    await db.write(async (tx) => {
      const changed = await tx.run('UPDATE break_glass SET ended_at = $3 WHERE break_glass_id = $1 AND account_id = $2 AND ended_at IS NULL', [breakGlassId, user.id, this.#now()])
      if (changed !== 1) throw new Problem('access/break-glass-unknown', { breakGlassId })
      await book.bump(tx)
    })
    await book.refresh()
    onChange(breakGlassId, 'ended')
  }

  /** @throws {Problem} access/own-account for one's own, access/break-glass-unknown, access/break-glass-reviewed */
  async review(user: User, breakGlassId: string, { verdict, note }: BreakGlassReview): Promise<BreakGlassRow> {
    const { db, audit, hospitalId, onChange } = this.#parts
    const kept = await this.#kept(breakGlassId)
    if (kept.accountId === user.id) throw new Problem('access/own-account')
    await db.write(async (tx) => {
      const changed = await tx.run(
        'UPDATE break_glass SET reviewed_at = $2, reviewer_id = $3, reviewer_name = $4, verdict = $5, review_note = $6 WHERE break_glass_id = $1 AND reviewed_at IS NULL',
        [breakGlassId, this.#now(), user.id, user.name, verdict, note],
      )
      if (changed !== 1) throw new Problem('access/break-glass-reviewed', { breakGlassId })
      const object = { type: 'patient', id: breakGlassId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, kept.patientId) } as const
      await audit.within(tx, { action: 'break-glass.review', outcome: 'success', object, reason: note, facts: { breakGlassId, verdict, accountId: kept.accountId } })
    })
    onChange(breakGlassId, 'reviewed')
    return this.#rowOf(await this.#kept(breakGlassId))
  }

  /** Newest first. @param of only of this account. */
  async list(filter: { state?: BreakGlassRow['state'] | undefined; of?: string; limit: number }): Promise<{ rows: BreakGlassRow[]; total: number }> {
    const now = this.#now()
    const states = {
      open: 'until > $1 AND ended_at IS NULL',
      unreviewed: 'reviewed_at IS NULL AND review_due >= $1 AND NOT (until > $1 AND ended_at IS NULL)',
      overdue: 'reviewed_at IS NULL AND review_due < $1',
      reviewed: 'reviewed_at IS NOT NULL AND $1 > 0',
    } as const
    const where = `${filter.state ? states[filter.state] : '$1 > 0'} AND ($2 = '' OR account_id = $2)`
    const params = [now, filter.of ?? '']
    const counted = await this.#parts.db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM break_glass WHERE ${where}`, params)
    const rows = await this.#parts.db.all<KeptRow>(`SELECT ${columns} FROM break_glass WHERE ${where} ORDER BY opened_at DESC, break_glass_id LIMIT $3`, [...params, filter.limit])
    return { rows: rows.map((row) => this.#rowOf(row)), total: counted?.total ?? 0 }
  }

  async #kept(breakGlassId: string): Promise<KeptRow> {
    const row = await (this.#parts.db as Queries).get<KeptRow>(`SELECT ${columns} FROM break_glass WHERE break_glass_id = $1`, [breakGlassId])
    if (!row) throw new Problem('access/break-glass-unknown', { breakGlassId })
    return row
  }

  #rowOf({ patientId, reviewedAt, reviewerName, verdict, reviewNote, ...row }: KeptRow): BreakGlassRow {
    const { audit, hospitalId } = this.#parts
    const now = this.#now()
    const isOpen = row.endedAt === null && now < row.until
    const state = reviewedAt !== null ? 'reviewed' : row.reviewDue < now ? 'overdue' : isOpen ? 'open' : 'unreviewed'
    const review = reviewedAt === null || verdict === null ? null : { at: reviewedAt, by: reviewerName ?? '', verdict, note: reviewNote ?? '' }
    return { ...row, patientKey: audit.patientKey(hospitalId, patientId), state, review }
  }
}
