import { randomUUID } from 'node:crypto'
import type { Queries, Transaction } from 'service-kit'
import { CompressionRule, Problem, type CompressionResult, type CompressionRuleInput, type EpochMs, type StudyInstanceUid } from 'specs'

interface StoredRule {
  readonly id: string
  readonly body: string
  readonly revision: number
  readonly updatedAt: EpochMs
  readonly updatedBy: string
}

const ruleColumns = 'rule_id AS "id", body, revision, updated_at AS "updatedAt", updated_by AS "updatedBy"'
const nothingYet = { studies: 0, instances: 0, beforeBytes: 0, afterBytes: 0, failed: 0 }

/** In the order in which they were made: the first that fits an instance decides. */
export async function listRules(db: Queries): Promise<CompressionRule[]> {
  const rules = await db.all<StoredRule>(`SELECT ${ruleColumns} FROM compression_rule ORDER BY created_at, rule_id`)
  const sums = await db.all<{ id: string; state: string; studies: number; instances: number; beforeBytes: number; afterBytes: number }>(
    `SELECT rule_id AS "id", state, count(*) AS "studies", sum(instances) AS "instances", sum(before_bytes) AS "beforeBytes", sum(after_bytes) AS "afterBytes"
     FROM compression_result GROUP BY rule_id, state`,
  )
  return rules.map(({ body, ...rule }) => {
    const done = sums.find(({ id, state }) => id === rule.id && state === 'done')
    const failed = sums.find(({ id, state }) => id === rule.id && state === 'failed')
    const figures = done ? { studies: Number(done.studies), instances: Number(done.instances), beforeBytes: Number(done.beforeBytes), afterBytes: Number(done.afterBytes) } : {}
    return CompressionRule.parse({ ...(JSON.parse(body) as object), ...rule, ...nothingYet, ...figures, failed: Number(failed?.studies ?? 0) })
  })
}

/** @throws {Problem} request/not-found */
export async function readRule(db: Queries, ruleId: string): Promise<CompressionRule> {
  const rule = (await listRules(db)).find(({ id }) => id === ruleId)
  if (!rule) throw new Problem('request/not-found', { ruleId })
  return rule
}

export async function addRule(tx: Transaction, rule: CompressionRuleInput, by: string, now: EpochMs): Promise<string> {
  const ruleId = randomUUID()
  await tx.run('INSERT INTO compression_rule (rule_id, body, revision, created_at, updated_at, updated_by) VALUES ($1, $2, 1, $3, $3, $4)', [ruleId, JSON.stringify(rule), now, by])
  return ruleId
}

/** A changed rule looks at everything once more. @throws {Problem} request/not-found; request/conflict when somebody else has changed it since. */
export async function changeRule(tx: Transaction, ruleId: string, rule: CompressionRuleInput, revision: number, by: string, now: EpochMs): Promise<void> {
  const changed = await tx.run(
    `UPDATE compression_rule SET body = $3, revision = revision + 1, updated_at = $4, updated_by = $5, rested_at = 0, rested_exam = '' WHERE rule_id = $1 AND revision = $2`,
    [ruleId, revision, JSON.stringify(rule), now, by],
  )
  if (changed > 0) return
  await readRule(tx, ruleId)
  throw new Problem('request/conflict')
}

/** What it has compressed stays as it is. @throws {Problem} request/not-found */
export async function removeRule(tx: Transaction, ruleId: string): Promise<void> {
  if ((await tx.run('DELETE FROM compression_rule WHERE rule_id = $1', [ruleId])) === 0) throw new Problem('request/not-found', { ruleId })
  await tx.run('DELETE FROM compression_result WHERE rule_id = $1', [ruleId])
}

export interface RestedExam {
  readonly examId: string
  readonly studyInstanceUid: StudyInstanceUid
  readonly updatedAt: EpochMs
}

/** Exams with images that have rested since `before`, those first that rest longest, behind the ones this rule has seen. */
export function restedExams(db: Queries, { id, campus }: Pick<CompressionRule, 'id' | 'campus'>, before: EpochMs, limit: number): Promise<RestedExam[]> {
  return db.all<RestedExam>(
    `SELECT e.exam_id AS "examId", e.study_instance_uid AS "studyInstanceUid", e.updated_at AS "updatedAt"
     FROM exam e JOIN compression_rule r ON r.rule_id = $1
     WHERE e.updated_at <= $2 AND (e.updated_at > r.rested_at OR (e.updated_at = r.rested_at AND e.exam_id > r.rested_exam))
       AND e.study_instance_uid IS NOT NULL AND ($3 = '' OR e.campus = $3)
     ORDER BY e.updated_at, e.exam_id LIMIT ${limit}`,
    [id, before, campus],
  )
}

/** Studies that failed and may be tried again. */
export function failedStudies(db: Queries, ruleId: string, before: EpochMs, attempts: number, limit: number): Promise<{ studyInstanceUid: StudyInstanceUid }[]> {
  return db.all(
    `SELECT study_instance_uid AS "studyInstanceUid" FROM compression_result WHERE state = 'failed' AND finished_at <= $2 AND rule_id = $1 AND attempts < $3
     ORDER BY finished_at LIMIT ${limit}`,
    [ruleId, before, attempts],
  )
}

/** A rule that was changed meanwhile begins anew: its place is not moved. */
export async function moveOn(tx: Transaction, { id, revision }: Pick<CompressionRule, 'id' | 'revision'>, { updatedAt, examId }: RestedExam): Promise<void> {
  await tx.run('UPDATE compression_rule SET rested_at = $3, rested_exam = $4 WHERE rule_id = $1 AND revision = $2', [id, revision, updatedAt, examId])
}

export async function keepResult(tx: Transaction, result: CompressionResult): Promise<void> {
  const { ruleId, studyInstanceUid, state, instances, beforeBytes, afterBytes, code, finishedAt } = result
  await tx.run(
    `INSERT INTO compression_result (rule_id, study_instance_uid, state, instances, before_bytes, after_bytes, code, attempts, finished_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
     ON CONFLICT (rule_id, study_instance_uid) DO UPDATE SET state = excluded.state, instances = compression_result.instances + excluded.instances,
       before_bytes = compression_result.before_bytes + excluded.before_bytes, after_bytes = compression_result.after_bytes + excluded.after_bytes, code = excluded.code,
       attempts = CASE WHEN excluded.state = 'failed' THEN compression_result.attempts + 1 ELSE 1 END, finished_at = excluded.finished_at`,
    [ruleId, studyInstanceUid, state, instances, beforeBytes, afterBytes, code, finishedAt],
  )
}

/** Newest first. */
export function listResults(db: Queries, state: CompressionResult['state'], limit: number): Promise<CompressionResult[]> {
  return db.all<CompressionResult>(
    `SELECT rule_id AS "ruleId", study_instance_uid AS "studyInstanceUid", state, instances, before_bytes AS "beforeBytes", after_bytes AS "afterBytes", code,
       finished_at AS "finishedAt" FROM compression_result WHERE state = $1 ORDER BY finished_at DESC LIMIT ${limit}`,
    [state],
  )
}
