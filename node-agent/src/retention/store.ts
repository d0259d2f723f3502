import type { Database, Migration, Queries, Transaction } from 'service-kit'
import { RetentionYears, type EpochMs, type PatientClass, type VisitEnd } from 'specs'
import { defaultYears, type Visit } from './retain-until.ts'

/** The dates themselves stand with the exams (exam/store.ts, 0004-retention). */
export const retentionMigrations: readonly Migration[] = [
  {
    name: '0001-retention',
    up: [
      `CREATE TABLE retention_rule (revision INTEGER PRIMARY KEY, years TEXT NOT NULL, reason TEXT NOT NULL, changed_by TEXT NOT NULL,
        changed_at BIGINT, completed_at BIGINT)`,
      `INSERT INTO retention_rule (revision, years, reason, changed_by) VALUES (1, '${JSON.stringify(defaultYears)}', '', '')`,
      `CREATE TABLE patient_visit (patient_id TEXT NOT NULL, patient_class TEXT NOT NULL, ended_on TEXT NOT NULL, PRIMARY KEY (patient_id, patient_class))`,
      `CREATE TABLE exam_destruction (exam_id TEXT PRIMARY KEY, accession_number TEXT NOT NULL, study_instance_uid TEXT, exam_year TEXT NOT NULL,
        patient_class TEXT NOT NULL, modality TEXT NOT NULL, instance_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, retain_until TEXT NOT NULL,
        reason TEXT NOT NULL, destroyed_by TEXT NOT NULL, destroyed_at BIGINT NOT NULL, images_gone_at BIGINT)`,
    ],
  },
]

export interface RetentionRule {
  readonly revision: number
  readonly years: RetentionYears
  readonly reason: string
  readonly changedBy: string
  readonly changedAt: EpochMs | null
  /** When every exam went by it; null while that is under way. */
  readonly completedAt: EpochMs | null
}

export async function currentRule(db: Queries): Promise<RetentionRule> {
  const row = await db.get<Omit<RetentionRule, 'years'> & { years: string }>(
    `SELECT revision, years, reason, changed_by AS "changedBy", changed_at AS "changedAt", completed_at AS "completedAt" FROM retention_rule ORDER BY revision DESC LIMIT 1`,
  )
  if (!row) throw new Error('there is no retention rule')
  return { ...row, years: RetentionYears.parse(JSON.parse(row.years)) }
}

export async function changeRule(tx: Transaction, years: RetentionYears, by: { name: string; reason: string }, now: EpochMs): Promise<{ before: RetentionRule }> {
  const before = await currentRule(tx)
  await tx.run('INSERT INTO retention_rule (revision, years, reason, changed_by, changed_at) VALUES ($1, $2, $3, $4, $5)', [before.revision + 1, JSON.stringify(years), by.reason, by.name, now])
  return { before }
}

const marks = (values: readonly unknown[], from = 1) => values.map((_value, at) => `$${at + from}`).join(', ')
const localDay = (at: number) => new Date(at + 8 * 3_600_000).toISOString().slice(0, 10) // China keeps one time

/** Every visit that is known of these patients, one per class and source. */
export async function visitsOf(db: Queries, patientIds: readonly string[]): Promise<Map<string, Visit[]>> {
  const visits = new Map<string, Visit[]>(patientIds.map((id) => [id, []]))
  if (patientIds.length === 0) return visits
  const exams = await db.all<{ patientId: string; patientClass: PatientClass; studied: string | null; received: number | null }>(
    `SELECT patient_id AS "patientId", patient_class AS "patientClass", MAX(study_date) AS "studied", MAX(CASE WHEN study_date = '' THEN received_at ELSE NULL END) AS "received"
      FROM exam WHERE patient_id IN (${marks(patientIds)}) GROUP BY patient_id, patient_class`,
    patientIds,
  )
  for (const { patientId, patientClass, studied, received } of exams) visits.get(patientId)?.push(...daysOf(studied, received).map((on) => ({ patientClass, on })))
  const told = await db.all<{ patientId: string; patientClass: PatientClass; on: string }>(
    `SELECT patient_id AS "patientId", patient_class AS "patientClass", ended_on AS "on" FROM patient_visit WHERE patient_id IN (${marks(patientIds)})`,
    patientIds,
  )
  for (const { patientId, ...visit } of told) visits.get(patientId)?.push(visit)
  return visits
}

/** An exam of nobody known stands for itself. */
export async function visitsOfExam(db: Queries, examId: string): Promise<Visit[]> {
  const exam = await db.get<{ patientId: string; patientClass: PatientClass; studied: string; received: number }>(
    `SELECT patient_id AS "patientId", patient_class AS "patientClass", study_date AS "studied", received_at AS "received" FROM exam WHERE exam_id = $1`,
    [examId],
  )
  if (!exam) return []
  if (exam.patientId !== '') return (await visitsOf(db, [exam.patientId])).get(exam.patientId) ?? []
  return daysOf(exam.studied, exam.studied === '' ? exam.received : null).map((on) => ({ patientClass: exam.patientClass, on }))
}

const daysOf = (studied: string | null, received: number | null) => [...(studied ? [studied] : []), ...(received === null ? [] : [localDay(received)])]

/** Later ends count; an earlier one told late changes nothing. */
export async function rememberVisit(tx: Transaction, { patientId, patientClass, endedOn }: VisitEnd): Promise<void> {
  const known = await tx.get<{ endedOn: string }>('SELECT ended_on AS "endedOn" FROM patient_visit WHERE patient_id = $1 AND patient_class = $2', [patientId, patientClass])
  if (known && known.endedOn >= endedOn) return
  await tx.run('DELETE FROM patient_visit WHERE patient_id = $1 AND patient_class = $2', [patientId, patientClass])
  await tx.run('INSERT INTO patient_visit (patient_id, patient_class, ended_on) VALUES ($1, $2, $3)', [patientId, patientClass, endedOn])
  await tx.run('UPDATE exam SET retention_revision = 0 WHERE patient_id = $1', [patientId])
}

/** Some exams whose date does not follow the rule of today. */
export function undated(db: Queries, revision: number, limit: number): Promise<{ examId: string; patientId: string }[]> {
  return db.all('SELECT exam_id AS "examId", patient_id AS "patientId" FROM exam WHERE retention_revision < $1 LIMIT $2', [revision, limit])
}

export async function countDated(db: Queries, revision: number): Promise<{ done: number; total: number }> {
  const counted = await db.get<{ done: number | null; total: number }>('SELECT SUM(CASE WHEN retention_revision >= $1 THEN 1 ELSE 0 END) AS "done", COUNT(*) AS "total" FROM exam', [revision])
  return { done: counted?.done ?? 0, total: counted?.total ?? 0 }
}

export interface Destruction {
  readonly examId: string
  readonly studyInstanceUid: string | null
}

/** Destroyed exams whose images the archive may still hold: after a crash in between. */
export function imagesToDestroy(db: Database): Promise<Destruction[]> {
  return db.all('SELECT exam_id AS "examId", study_instance_uid AS "studyInstanceUid" FROM exam_destruction WHERE images_gone_at IS NULL AND study_instance_uid IS NOT NULL')
}
