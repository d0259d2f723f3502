import { randomUUID } from 'node:crypto'
import type { Queries } from 'service-kit'
import type { EpochMs, RoutingLogRow } from 'specs'

export const LOG_DAYS = 90

export type Decision = Omit<RoutingLogRow, 'id' | 'at'>

export async function note(tx: Queries, decision: Decision, now: EpochMs): Promise<void> {
  await tx.run(
    'INSERT INTO routing_log (log_id, at, rule_id, rule_name, event, study_instance_uid, outcome, facts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)',
    [randomUUID(), now, decision.ruleId, decision.ruleName, decision.event, decision.studyInstanceUid, decision.outcome, JSON.stringify(decision.facts)],
  )
}

export interface LogFilter {
  readonly outcome?: RoutingLogRow['outcome'] | undefined
  readonly ruleId?: string | undefined
  readonly limit: number
  readonly after?: number | undefined
}

type LogRow = RoutingLogRow & { readonly studyInstanceUid: string | null }

/** Newest first. `after` is the `next` of the page before. */
export async function listLog(db: Queries, { outcome, ruleId, limit, after = 0 }: LogFilter): Promise<{ rows: LogRow[]; total: number; next: string | null }> {
  const params: string[] = []
  const wanted = [...(outcome === undefined ? [] : [`outcome = $${params.push(outcome)}`]), ...(ruleId === undefined ? [] : [`rule_id = $${params.push(ruleId)}`])]
  const where = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM routing_log ${where}`, params)
  const rows = await db.all<Omit<LogRow, 'facts'> & { facts: string }>(
    `SELECT log_id AS "id", at, rule_id AS "ruleId", rule_name AS "ruleName", event, study_instance_uid AS "studyInstanceUid", outcome, facts
     FROM routing_log ${where} ORDER BY at DESC, log_id LIMIT $${params.length + 1} OFFSET $${params.length + 2}`,
    [...params, limit, after],
  )
  const total = counted?.total ?? 0
  return { rows: rows.map((row) => ({ ...row, facts: JSON.parse(row.facts) as Record<string, unknown> })), total, next: after + rows.length < total ? String(after + rows.length) : null }
}

export async function forgetOld(db: Queries, now: EpochMs): Promise<number> {
  return db.run('DELETE FROM routing_log WHERE at < $1', [now - LOG_DAYS * 86_400_000])
}
