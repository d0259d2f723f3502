import type { AuditTrail, Database, Log, Transaction, User } from 'service-kit'
import { Problem, StudyInstanceUid, type EpochMs, type ExamRetention, type HospitalId, type RetentionJob, type RetentionRules, type RetentionYears, type VisitEnd } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { studiesOfOpenConsults } from '../consult/store.ts'
import { findExam } from '../exam/store.ts'
import { forgetContact } from '../patient/contact.ts'
import { decideDestruction, retentionOf } from './retain-until.ts'
import { changeRule, countDated, currentRule, imagesToDestroy, rememberVisit, retentionMigrations, undated, visitsOf, visitsOfExam } from './store.ts'

export interface RetentionParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  readonly archive: Archive
  readonly hospitalId: HospitalId
  /** Part of the transaction of a destruction: what else held of the exam goes with it. @returns what the trail is told of that. */
  readonly onDestroy?: (tx: Transaction, exam: { examId: string; patientId: string; study: StudyInstanceUid | null; reason: string }) => Promise<Record<string, unknown>>
  readonly now?: () => EpochMs
}

const BATCH = 200
const ROUND_MS = 5_000

/** 保存年限 (LOC-06): every exam has a last day; before it nothing destroys the exam, after it only a person does. */
export class Retention {
  readonly #parts: RetentionParts
  readonly #now: () => EpochMs
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #stopped = false

  private constructor(parts: RetentionParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  static async open(parts: RetentionParts): Promise<Retention> {
    await parts.db.migrate('retention', retentionMigrations)
    return new Retention(parts)
  }

  /** Before exams are compared with the archive: what was destroyed and is still there would become an exam again. */
  async start(): Promise<void> {
    for (const { examId, studyInstanceUid } of await imagesToDestroy(this.#parts.db)) await this.#destroyImages(examId, studyInstanceUid)
    this.#timer = setInterval(() => void this.settle(), ROUND_MS)
    this.#timer.unref()
    void this.settle()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#running
  }

  /** ISO date in the hospital's time. */
  today(): string {
    return new Date(this.#now() + 8 * 3_600_000).toISOString().slice(0, 10)
  }

  /** Gives a date to every exam that has none by the rule of today. Goes on where another process, or an earlier one, was. */
  settle(): Promise<void> {
    this.#running = this.#running.then(() => this.#settle()).catch((error: unknown) => this.#parts.log.error({ err: error }, 'dates of retention left for later'))
    return this.#running
  }

  async #settle(): Promise<void> {
    const { db } = this.#parts
    for (;;) {
      const rule = await currentRule(db)
      const waiting = await undated(db, rule.revision, BATCH)
      if (this.#stopped) return
      if (waiting.length === 0) {
        if (rule.completedAt === null) await db.run('UPDATE retention_rule SET completed_at = $2 WHERE revision = $1 AND completed_at IS NULL', [rule.revision, this.#now()])
        return
      }
      await db.write(async (tx) => {
        const patients = [...new Set(waiting.map(({ patientId }) => patientId))].filter((id) => id !== '')
        for (const [patientId, visits] of await visitsOf(tx, patients)) {
          const until = retentionOf(visits, rule.years)[0]?.until ?? ''
          await tx.run('UPDATE exam SET retain_until = $2, retention_revision = $3 WHERE patient_id = $1', [patientId, until, rule.revision])
        }
        for (const { examId, patientId } of waiting) {
          if (patientId !== '') continue
          const until = retentionOf(await visitsOfExam(tx, examId), rule.years)[0]?.until ?? ''
          await tx.run('UPDATE exam SET retain_until = $2, retention_revision = $3 WHERE exam_id = $1', [examId, until, rule.revision])
        }
      })
    }
  }

  async rules(): Promise<RetentionRules> {
    const { years, changedAt, changedBy, reason } = await currentRule(this.#parts.db)
    return { years, changedAt, changedBy, reason, job: await this.job() }
  }

  async job(): Promise<RetentionJob> {
    const { revision, changedAt, completedAt } = await currentRule(this.#parts.db)
    const { done, total } = await countDated(this.#parts.db, revision)
    const state = completedAt === null ? 'running' : changedAt === null ? 'none' : 'done'
    return { state, done, total, startedAt: changedAt, endedAt: completedAt }
  }

  /** Every exam is dated anew, in the background. */
  async changeRules(user: User, years: RetentionYears, reason: string): Promise<RetentionRules> {
    const { db, audit } = this.#parts
    await db.write(async (tx) => {
      const { before } = await changeRule(tx, years, { name: user.name, reason }, this.#now())
      await audit.within(tx, { action: 'config.change', outcome: 'success', object: { type: 'config', id: 'retention' }, reason, before: before.years, after: years })
    })
    void this.settle()
    return this.rules()
  }

  async visitEnded(visit: VisitEnd): Promise<void> {
    await this.#parts.db.write((tx) => rememberVisit(tx, visit))
    void this.settle()
  }

  /** Worked out at this moment, whatever the list still says. @throws {Problem} exam/unknown */
  async of(examId: string): Promise<ExamRetention> {
    const { db } = this.#parts
    const exam = await findExam(db, examId)
    if (!exam) throw new Problem('exam/unknown', { examId })
    const because = retentionOf(await visitsOfExam(db, examId), (await currentRule(db)).years)
    const retainUntil = because[0]?.until ?? ''
    const legalHold = await isHeld(db, examId)
    const { allowed } = decideDestruction({ retainUntil, legalHold, isRecord: isRecord(exam), openConsults: 0 }, this.today())
    return { examId, retainUntil, legalHold, mayBeDestroyed: allowed, because }
  }

  /** 封存: stops every destruction. @throws {Problem} exam/unknown */
  async hold(examId: string, held: boolean, reason: string): Promise<ExamRetention> {
    const { db, audit, hospitalId } = this.#parts
    await db.write(async (tx) => {
      const before = await isHeld(tx, examId)
      if ((await tx.run('UPDATE exam SET legal_hold = $2 WHERE exam_id = $1', [examId, held ? 1 : 0])) === 0) throw new Problem('exam/unknown', { examId })
      await audit.within(tx, { action: 'exam.change', outcome: 'success', object: { type: 'exam', id: examId, owner: hospitalId }, reason, before: { legalHold: before }, after: { legalHold: held } })
    })
    return this.of(examId)
  }

  /**
   * 销毁: the exam, what is sealed with it, what its consultations say, its images here and their copies elsewhere. The record of the destruction stays.
   * @throws {Problem} exam/unknown, retention/not-yet, retention/legal-hold, retention/in-use
   */
  async destroy(user: User, examId: string, reason: string): Promise<void> {
    const { db, audit, hospitalId } = this.#parts
    const studyInstanceUid = await db.write(async (tx) => {
      const exam = await findExam(tx, examId)
      if (!exam) throw new Problem('exam/unknown', { examId })
      const [because] = retentionOf(await visitsOfExam(tx, examId), (await currentRule(tx)).years)
      const retainUntil = because?.until ?? ''
      const openConsults = exam.studyInstanceUid !== null && (await studiesOfOpenConsults(tx)).has(exam.studyInstanceUid) ? 1 : 0
      const decision = decideDestruction({ retainUntil, legalHold: await isHeld(tx, examId), isRecord: isRecord(exam), openConsults }, this.today())
      if (!decision.allowed) throw new Problem(decision.code, { examId, retainUntil, because })
      const { accessionNumber, patientId, patientClass, modality, instanceCount, sizeBytes, studyDate, receivedAt } = exam
      const year = studyDate.slice(0, 4) || String(new Date(receivedAt).getUTCFullYear())
      await tx.run(
        `INSERT INTO exam_destruction (exam_id, accession_number, study_instance_uid, exam_year, patient_class, modality, instance_count, size_bytes, retain_until, reason, destroyed_by, destroyed_at)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
        [examId, accessionNumber, exam.studyInstanceUid, year, patientClass, modality, instanceCount, sizeBytes, retainUntil, reason, user.name, this.#now()],
      )
      await tx.run('DELETE FROM exam WHERE exam_id = $1', [examId])
      await tx.run('DELETE FROM patient_token WHERE exam_id = $1', [examId])
      await forgetContact(tx, examId)
      const alsoGone = await this.#parts.onDestroy?.(tx, { examId, patientId, study: StudyInstanceUid.nullable().catch(null).parse(exam.studyInstanceUid), reason })
      const object = { type: 'exam', id: examId, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) } as const
      await audit.within(tx, { action: 'exam.delete', outcome: 'success', object, reason, basis: 'retention', facts: { accessionNumber, studyInstanceUid: exam.studyInstanceUid, instanceCount, sizeBytes, retainUntil, ...alsoGone } })
      return exam.studyInstanceUid
    })
    await this.#destroyImages(examId, studyInstanceUid)
  }

  /** Repeated at the next start when it fails: the exam is gone by then. */
  async #destroyImages(examId: string, studyInstanceUid: string | null): Promise<void> {
    const { db, archive, audit, hospitalId } = this.#parts
    if (studyInstanceUid !== null) {
      await archive.delete(studyInstanceUid)
      await audit.record({ action: 'study.delete', outcome: 'success', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, basis: 'retention', facts: { examId, source: `${hospitalId}/in-hospital` } })
    }
    await db.run('UPDATE exam_destruction SET images_gone_at = $2 WHERE exam_id = $1', [examId, this.#now()])
  }
}

/** Something that the law wants kept: images, or what was written about them. */
const isRecord = (exam: { instanceCount: number; reportFindings: string; reportImpression: string }) => exam.instanceCount > 0 || exam.reportFindings !== '' || exam.reportImpression !== ''

async function isHeld(db: Pick<Database, 'get'>, examId: string): Promise<boolean> {
  return (await db.get<{ held: number }>('SELECT legal_hold AS "held" FROM exam WHERE exam_id = $1', [examId]))?.held === 1
}
