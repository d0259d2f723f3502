import type { Database } from 'service-kit'
import { ExportRequest, type EpochMs, type ExportRow, type ExportState, type LeftOut } from 'specs'

/** An export as it was asked for and what became of it. */
export interface ExportJob extends Omit<ExportRow, 'state'> {
  readonly accountId: string
  readonly accountName: string
  readonly request: ExportRequest
  readonly projectId: string
  readonly state: ExportState
  readonly touchedAt: EpochMs
  readonly run: number
}

/** A download that has not moved for so long is none any more: its process has ended. */
export const SILENT_MS = 15_000

interface Row extends Omit<ExportJob, 'request' | 'leftOut' | 'level' | 'format' | 'purpose' | 'reason' | 'authorisation'> {
  readonly requestText: string
  readonly leftOutText: string
}

const columns = `export_id AS "exportId", account_id AS "accountId", account_name AS "accountName", study_instance_uid AS "studyInstanceUid", request AS "requestText", project_id AS "projectId",
  project_name AS "project", image_count AS "count", size_bytes AS "sizeBytes", left_out AS "leftOutText", state, done, sent_bytes AS "sentBytes", run, created_at AS "createdAt",
  started_at AS "startedAt", touched_at AS "touchedAt", ended_at AS "endedAt", open_until AS "openUntil"`

function jobOf({ requestText, leftOutText, ...row }: Row, now: EpochMs): ExportJob {
  const request = ExportRequest.parse(JSON.parse(requestText))
  const { level, format, purpose, reason, authorisation } = request
  const isSilent = row.state === 'running' && now - row.touchedAt > SILENT_MS
  return { ...row, state: isSilent ? 'broken' : row.state, request, leftOut: JSON.parse(leftOutText) as LeftOut[], level, format, purpose, reason, authorisation }
}

/** Without what only we need to know. */
export function rowOf({ accountId: _a, accountName: _n, request: _r, projectId: _p, touchedAt: _t, run: _u, ...row }: ExportJob): ExportRow {
  return row
}

export async function keepExport(db: Database, job: ExportJob): Promise<void> {
  await db.write((tx) =>
    tx.run(
      `INSERT INTO export_job (export_id, account_id, account_name, study_instance_uid, request, project_id, project_name, image_count, size_bytes, left_out, state, done, sent_bytes, run, created_at, started_at, touched_at, ended_at, open_until)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'ready', 0, 0, 0, $11, NULL, $11, NULL, $12)`,
      [job.exportId, job.accountId, job.accountName, job.studyInstanceUid, JSON.stringify(job.request), job.projectId, job.project, job.count, job.sizeBytes, JSON.stringify(job.leftOut), job.createdAt, job.openUntil],
    ),
  )
}

/** Of one account only: an export is nobody else's. */
export async function findExport(db: Database, accountId: string, exportId: string, now: EpochMs): Promise<ExportJob | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM export_job WHERE export_id = $1 AND account_id = $2`, [exportId, accountId])
  return row && jobOf(row, now)
}

export async function listExports(db: Database, accountId: string, now: EpochMs): Promise<ExportJob[]> {
  const rows = await db.all<Row>(`SELECT ${columns} FROM export_job WHERE account_id = $1 ORDER BY created_at DESC, export_id LIMIT 50`, [accountId])
  return rows.map((row) => jobOf(row, now))
}

/** Begins a download, unless one is under way or the account has too many. @returns its number, by which later reports are told from older ones. */
export async function startRun(db: Database, { exportId, accountId }: ExportJob, atOnce: number, now: EpochMs): Promise<number | 'running' | 'busy'> {
  return db.write(async (tx) => {
    const running = await tx.get<{ count: number }>(`SELECT COUNT(*) AS "count" FROM export_job WHERE account_id = $1 AND export_id <> $2 AND state = 'running' AND touched_at > $3`, [accountId, exportId, now - SILENT_MS])
    if ((running?.count ?? 0) >= atOnce) return 'busy'
    const begun = await tx.run(
      `UPDATE export_job SET state = 'running', run = run + 1, done = 0, sent_bytes = 0, started_at = $2, touched_at = $2, ended_at = NULL
       WHERE export_id = $1 AND (state IN ('ready', 'done', 'broken') OR (state = 'running' AND touched_at <= $3))`,
      [exportId, now, now - SILENT_MS],
    )
    if (begun === 0) return 'running'
    return (await tx.get<{ run: number }>('SELECT run FROM export_job WHERE export_id = $1', [exportId]))?.run ?? 0
  })
}

export interface RunProgress {
  readonly done: number
  readonly sentBytes: number
}

/** @returns false when the download has been cancelled or taken over meanwhile. */
export async function reportRun(db: Database, exportId: string, run: number, { done, sentBytes }: RunProgress, now: EpochMs): Promise<boolean> {
  return (await db.run(`UPDATE export_job SET done = $3, sent_bytes = $4, touched_at = $5 WHERE export_id = $1 AND run = $2 AND state = 'running'`, [exportId, run, done, sentBytes, now])) > 0
}

export async function endRun(db: Database, exportId: string, run: number, state: 'done' | 'broken', { done, sentBytes }: RunProgress, now: EpochMs): Promise<void> {
  await db.run(`UPDATE export_job SET state = $3, done = $4, sent_bytes = $5, touched_at = $6, ended_at = $6 WHERE export_id = $1 AND run = $2 AND state = 'running'`, [exportId, run, state, done, sentBytes, now])
}

/** @returns false when there was nothing left to cancel. */
export async function cancelExport(db: Database, accountId: string, exportId: string, now: EpochMs): Promise<boolean> {
  return (await db.run(`UPDATE export_job SET state = 'cancelled', touched_at = $3, ended_at = $3 WHERE export_id = $1 AND account_id = $2 AND state <> 'cancelled'`, [exportId, accountId, now])) > 0
}
