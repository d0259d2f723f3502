import type { Database, HttpFace, SqlValue } from 'service-kit'
import { DestructionCandidate, ExamRetention, maskName, maskText, Page, RetentionJob, RetentionRules, RetentionRulesChange, RetentionYearRow, VisitEnd, type HospitalId } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { Retention } from './retention.ts'

const Reason = z.string().trim().min(2, '请填写理由').max(500)
const params = z.object({ examId: z.string().min(1).max(64) })
/** Whoever destroys sees what it hangs on; whoever configures sets the years. */
const readers = ['exam.delete', 'system.configure'] as const

export interface RetentionRoutes {
  readonly db: Database
  readonly retention: Retention
  readonly access: AccessControl
  readonly hospitalId: HospitalId
}

/** 保存年限 (LOC-06): rules, dates, what may be destroyed, and the figures by year. */
export function addRetentionRoutes(face: HttpFace, { db, retention, access, hospitalId }: RetentionRoutes): void {
  const own = (examId: string) => ({ owner: hospitalId, examId, kept: 'in-hospital' }) as const
  face.route({ method: 'GET', path: '/api/retention/rules', summary: 'For how many years exams are kept', allow: readers, answer: RetentionRules }, () => retention.rules())
  face.route(
    { method: 'PUT', path: '/api/retention/rules', summary: 'Change the years; every exam is dated anew', allow: ['system.configure'], body: RetentionRulesChange, answer: RetentionRules },
    async ({ user, body }) => ({ status: 202, body: await retention.changeRules(user, body.years, body.reason) }),
  )
  face.route({ method: 'GET', path: '/api/retention/job', summary: 'How far the dating anew is', allow: readers, answer: RetentionJob }, () => retention.job())
  face.route(
    { method: 'POST', path: '/api/retention/visits', summary: 'A visit or stay that ended, as HIS knows it', allow: ['exam.register'], body: VisitEnd },
    async ({ body }) => {
      await retention.visitEnded(body)
      return { status: 204 }
    },
  )
  face.route(
    { method: 'GET', path: '/api/exams/:examId/retention', summary: 'Until when this exam is kept, and why', allow: ['exam.read', 'exam.delete'], params, answer: ExamRetention },
    async ({ user, params: { examId } }) => {
      await access.admitUser(user, 'list', own(examId))
      return retention.of(examId)
    },
  )
  face.route(
    {
      method: 'PUT', path: '/api/exams/:examId/legal-hold', summary: 'Keep it whatever its date (封存), or no longer', allow: ['exam.delete'],
      params, body: z.object({ held: z.boolean(), reason: Reason }), answer: ExamRetention,
    },
    async ({ user, params: { examId }, body: { held, reason } }) => {
      await access.admitUser(user, 'delete', own(examId))
      return retention.hold(examId, held, reason)
    },
  ) // prettier-ignore
  face.route(
    { method: 'DELETE', path: '/api/exams/:examId', summary: 'Destroy an exam whose time is over, with its images', allow: ['exam.delete'], params, body: z.object({ reason: Reason }) },
    async ({ user, params: { examId }, body: { reason } }) => {
      await access.admitUser(user, 'delete', own(examId))
      await retention.destroy(user, examId, reason)
      return { status: 204 }
    },
  )
  const ReviewQuery = z.object({ until: z.iso.date().optional(), limit: z.coerce.number().int().min(1).max(200).default(50), after: z.string().regex(/^\d{4}-\d{2}-\d{2}_[\w-]{1,64}$/).optional() }) // prettier-ignore
  face.route(
    { method: 'GET', path: '/api/retention/review', summary: 'Exams whose time is over and that nothing holds, the oldest first', allow: ['exam.delete'], query: ReviewQuery, answer: Page(DestructionCandidate) },
    async ({ user, query: { until = retention.today(), limit, after } }) => {
      const bound: SqlValue[] = []
      const bind = (value: SqlValue) => `$${bound.push(value)}`
      // What the asker may not destroy is not on the list of what may be destroyed.
      const wanted = [`retain_until <> ''`, `retain_until < ${bind(until < retention.today() ? until : retention.today())}`, 'legal_hold = 0', access.conditionFor(user, 'delete')('e', bind)]
      const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM exam e WHERE ${wanted.join(' AND ')}`, [...bound])
      if (after) {
        const [day = '', id = ''] = [after.slice(0, 10), after.slice(11)]
        const at = bind(day)
        wanted.push(`(retain_until > ${at} OR (retain_until = ${at} AND exam_id > ${bind(id)}))`)
      }
      const rows = await db.all<DestructionCandidate>(
        `SELECT exam_id AS "examId", accession_number AS "accessionNumber", patient_name AS "patientName", patient_class AS "patientClass", modality, description,
          study_date AS "studyDate", study_instance_uid AS "studyInstanceUid", instance_count AS "instanceCount", size_bytes AS "sizeBytes", retain_until AS "retainUntil"
          FROM exam e WHERE ${wanted.join(' AND ')} ORDER BY retain_until, exam_id LIMIT ${bind(limit)}`,
        bound,
      )
      const last = rows.length === limit ? rows.at(-1) : undefined
      const masked = rows.map((row) => ({ ...row, patientName: maskName(row.patientName, 'L1'), description: maskText(row.description, 'L1', row.patientName) }))
      return { rows: masked, total: counted?.total ?? 0, next: last ? `${last.retainUntil}_${last.examId}` : null }
    },
  )
  face.route(
    { method: 'GET', path: '/api/retention/report', summary: 'What is kept, due and destroyed, by year of examination', allow: [...readers, 'statistics.read'], answer: z.array(RetentionYearRow) },
    () => reportByYear(db, retention.today()),
  )
}

/** Figures only, so no question about single exams. Exams without a date of examination count by the year of their arrival. */
async function reportByYear(db: Database, today: string): Promise<RetentionYearRow[]> {
  const kept = await db.all<Omit<RetentionYearRow, 'destroyed'>>(
    `SELECT SUBSTR(study_date, 1, 4) AS "year", COUNT(*) AS "exams", SUM(instance_count) AS "instances", SUM(size_bytes) AS "sizeBytes",
      SUM(CASE WHEN patient_class IN ('inpatient', '') THEN 1 ELSE 0 END) AS "inpatient", SUM(CASE WHEN retain_until <> '' AND retain_until < $1 AND legal_hold = 0 THEN 1 ELSE 0 END) AS "due",
      SUM(legal_hold) AS "held", MAX(retain_until) AS "retainUntil" FROM exam GROUP BY SUBSTR(study_date, 1, 4)`,
    [today],
  )
  const destroyed = await db.all<{ year: string; destroyed: number }>('SELECT exam_year AS "year", COUNT(*) AS "destroyed" FROM exam_destruction GROUP BY exam_year')
  const rows = new Map(kept.map((row) => [row.year, { ...row, destroyed: 0 }]))
  const none = { exams: 0, instances: 0, sizeBytes: 0, inpatient: 0, due: 0, held: 0, retainUntil: '' }
  for (const { year, destroyed: count } of destroyed) rows.set(year, { ...(rows.get(year) ?? { year, ...none }), destroyed: count })
  return [...rows.values()].sort((a, b) => b.year.localeCompare(a.year))
}
