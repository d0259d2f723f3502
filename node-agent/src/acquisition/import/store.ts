import type { Queries, Transaction } from 'service-kit'
import { noteOf, Problem, problemDetails, problemFromNote, type EpochMs, type ImportFile, type ImportRow, type ProblemNote } from 'specs'
import type { TakenFile } from './take-file.ts'

export interface NewImport {
  readonly id: string
  readonly name: string
  readonly origin: ImportRow['origin']
  readonly userId: string
  readonly startedBy: string
  readonly filesExpected: number
}

export const addImport = (tx: Queries, { id, name, origin, userId, startedBy, filesExpected }: NewImport, now: EpochMs) =>
  tx.run(
    `INSERT INTO image_import (import_id, name, origin, state, started_at, user_id, started_by, files_expected, missing) VALUES ($1, $2, $3, 'open', $4, $5, $6, $7, '[]')`,
    [id, name, origin, now, userId, startedBy, filesExpected],
  )

export interface ImportChange {
  readonly state: ImportRow['state']
  readonly endedAt?: EpochMs
  readonly filesExpected: number
  /** Null: no directory came. */
  readonly listed: number | null
  readonly missing: readonly string[]
  readonly problem: Problem | null
}

/** Missing instances that a row names. */
const NAMED = 200

export const changeImport = (tx: Queries, id: string, { state, endedAt, filesExpected, listed, missing, problem }: ImportChange) =>
  tx.run('UPDATE image_import SET state = $2, ended_at = $3, files_expected = $4, listed = $5, missing = $6, problem = $7 WHERE import_id = $1', [
    id, state, endedAt ?? null, filesExpected, listed, JSON.stringify(missing.slice(0, NAMED)), problem && JSON.stringify(noteOf(problem)),
  ]) // prettier-ignore

export interface FileResult extends TakenFile {
  readonly position: number
  readonly name: string
}

export async function addFiles(tx: Transaction, id: string, files: readonly FileResult[]): Promise<void> {
  for (const { position, name, outcome, sizeBytes, studyInstanceUid, sopInstanceUid, problem } of files)
    await tx.run('INSERT INTO image_import_file (import_id, position, name, outcome, size_bytes, study_instance_uid, sop_instance_uid, problem) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', [
      id, position, name, outcome, sizeBytes, studyInstanceUid, sopInstanceUid, problem && JSON.stringify(noteOf(problem)),
    ]) // prettier-ignore
}

/** What a stop has interrupted: whoever began it begins again, and what is here already counts as repeated. */
export const endInterrupted = (db: Queries, now: EpochMs) =>
  db.run(`UPDATE image_import SET state = 'failed', ended_at = $1, problem = $2 WHERE state IN ('open', 'reading')`, [now, JSON.stringify(noteOf(new Problem('import/ended')))])

const told = (note: string | null) => {
  if (note === null) return null
  const parsed = JSON.parse(note) as ProblemNote // written above
  return { code: parsed.code, title: problemDetails(problemFromNote(parsed)).title }
}

type StoredImport = Omit<ImportRow, 'missing' | 'problem'> & { readonly missing: string; readonly problem: string | null }

/** Newest first. @param userId only those of one person. */
export async function listImports(db: Queries, { userId, id, limit }: { userId?: string | undefined; id?: string | undefined; limit: number }): Promise<(ImportRow & { readonly userId: string })[]> {
  const params: string[] = []
  const wanted = [...(userId === undefined ? [] : [`user_id = $${params.push(userId)}`]), ...(id === undefined ? [] : [`import_id = $${params.push(id)}`])]
  const count = (outcome: string) => `COALESCE(SUM(CASE WHEN f.outcome = '${outcome}' THEN 1 ELSE 0 END), 0)`
  const rows = await db.all<StoredImport & { userId: string }>(
    `SELECT i.import_id AS "id", i.name, i.origin, i.state, i.started_at AS "startedAt", i.ended_at AS "endedAt", i.user_id AS "userId", i.started_by AS "startedBy",
       i.files_expected AS "filesExpected", i.listed, i.missing, i.problem, COUNT(f.position) AS "files", ${count('stored')} AS "stored", ${count('duplicate')} AS "duplicates",
       ${count('replaced')} AS "replaced", ${count('skipped')} AS "skipped", ${count('failed')} AS "failed", COALESCE(SUM(f.size_bytes), 0) AS "bytes",
       COUNT(DISTINCT f.study_instance_uid) AS "studies"
     FROM (SELECT * FROM image_import ${wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`} ORDER BY started_at DESC, import_id LIMIT ${limit}) i
     LEFT JOIN image_import_file f ON f.import_id = i.import_id
     GROUP BY i.import_id, i.name, i.origin, i.state, i.started_at, i.ended_at, i.user_id, i.started_by, i.files_expected, i.listed, i.missing, i.problem
     ORDER BY i.started_at DESC, i.import_id`,
    params,
  )
  return rows.map((row) => ({ ...row, missing: JSON.parse(row.missing) as string[], problem: told(row.problem) }))
}

export async function listFiles(db: Queries, id: string, { outcome, limit, after = 0 }: { outcome?: ImportFile['outcome'] | undefined; limit: number; after?: number | undefined }) {
  const params = outcome === undefined ? [id] : [id, outcome]
  const where = `WHERE import_id = $1 ${outcome === undefined ? '' : 'AND outcome = $2'}`
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM image_import_file ${where}`, params)
  const rows = await db.all<Omit<ImportFile, 'problem'> & { problem: string | null }>(
    `SELECT name, outcome, size_bytes AS "sizeBytes", study_instance_uid AS "studyInstanceUid", sop_instance_uid AS "sopInstanceUid", problem FROM image_import_file ${where}
     ORDER BY position LIMIT $${params.length + 1} OFFSET $${params.length + 2}`,
    [...params, limit, after],
  )
  const total = counted?.total ?? 0
  return { rows: rows.map((row): ImportFile => ({ ...row, problem: told(row.problem) })), total, next: after + rows.length < total ? String(after + rows.length) : null }
}
