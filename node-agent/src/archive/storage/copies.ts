import type { Database, Queries, Transaction } from 'service-kit'
import { isEncryptedPath } from '../encryption/file-form.ts'

export type CopyRole = 'tier' | 'replica'

/** One object in a store that holds a file of ours. `sm3` is of the object's bytes: of an encrypted file, those on the disk. */
export interface Copy {
  readonly fileId: string
  readonly storeId: string
  readonly studyInstanceUid: string
  readonly objectKey: string
  readonly sizeBytes: number
  readonly sm3: string
  readonly role: CopyRole
}

/** A file as its row describes it. */
export interface FileRow {
  readonly sopInstanceUid: string
  readonly studyInstanceUid: string
  readonly fileId: string
  readonly path: string
  readonly sizeBytes: number
  readonly sm3: string
  readonly away: number
}

const copyColumns = `copy.file_id AS "fileId", copy.store_id AS "storeId", copy.study_instance_uid AS "studyInstanceUid", copy.object_key AS "objectKey", copy.size_bytes AS "sizeBytes", copy.sm3, copy.role`
export const selectFile = `SELECT instance.sop_instance_uid AS "sopInstanceUid", instance.study_instance_uid AS "studyInstanceUid", instance.file_id AS "fileId", instance.path,
  instance.size_bytes AS "sizeBytes", instance.sm3, CASE WHEN away.file_id IS NULL THEN 0 ELSE 1 END AS "away"
  FROM archive_instance instance LEFT JOIN archive_away away ON away.file_id = instance.file_id`

/** The lasting one first; those that were found damaged last. */
export const copiesOfFile = (db: Queries, fileId: string): Promise<Copy[]> =>
  db.all<Copy>(
    `SELECT ${copyColumns} FROM archive_copy copy LEFT JOIN archive_finding finding ON finding.finding_id = copy.file_id || '/' || copy.store_id
     WHERE copy.file_id = $1 ORDER BY CASE WHEN finding.finding_id IS NULL THEN 0 ELSE 1 END, copy.role DESC`,
    [fileId],
  )

/** Of the local file, `local` stands for the store. */
export const findingId = (fileId: string, storeId: string): string => `${fileId}/${storeId}`

export const copiesOfStudy = (db: Queries, study: string, storeId: string): Promise<Copy[]> =>
  db.all<Copy>(`SELECT ${copyColumns} FROM archive_copy copy WHERE copy.study_instance_uid = $1 AND copy.store_id = $2`, [study, storeId])

export const filesOfStudy = (db: Queries, study: string): Promise<FileRow[]> => db.all<FileRow>(`${selectFile} WHERE instance.study_instance_uid = $1 ORDER BY instance.sop_instance_uid`, [study])

export const fileOf = (db: Queries, sopInstanceUid: string): Promise<FileRow | undefined> => db.get<FileRow>(`${selectFile} WHERE instance.sop_instance_uid = $1`, [sopInstanceUid])

/** A copy counts only in the form that the file has now: after a conversion it is made anew (ADR 0016). */
export const isCurrentCopy = (copy: Pick<Copy, 'objectKey'>, file: Pick<FileRow, 'path'>): boolean => isEncryptedPath(copy.objectKey) === isEncryptedPath(file.path)

/** Under the same path as below the root (ARC-07); a path that another content already has is marked with its own file id. */
export async function keyFor(db: Queries, storeId: string, file: FileRow): Promise<string> {
  const taken = await db.get<{ fileId: string }>('SELECT file_id AS "fileId" FROM archive_copy WHERE store_id = $1 AND object_key = $2', [storeId, file.path])
  if (!taken || taken.fileId === file.fileId) return file.path
  const dot = file.path.indexOf('.dcm', file.path.lastIndexOf('/'))
  return dot < 0 ? `${file.path}.${file.fileId}` : `${file.path.slice(0, dot)}.${file.fileId}${file.path.slice(dot)}`
}

const DAY_MS = 86_400_000

/** Before an object is made: whatever happens then, it is either named by a row or removed. */
export const announceObject = (db: Queries, storeId: string, key: string): Promise<number> =>
  db.run('INSERT INTO archive_discard (store_id, object_key, not_before) VALUES ($1, $2, $3) ON CONFLICT (store_id, object_key) DO UPDATE SET not_before = excluded.not_before', [storeId, key, Date.now() + DAY_MS])

/** The object is there. @returns false when the file has been replaced or deleted meanwhile; then the object goes away. */
export async function recordCopy(tx: Transaction, copy: Copy): Promise<boolean> {
  const known = await tx.get<{ one: number }>('SELECT 1 AS "one" FROM archive_instance WHERE file_id = $1', [copy.fileId])
  if (!known) {
    await tx.run('UPDATE archive_discard SET not_before = 0 WHERE store_id = $1 AND object_key = $2', [copy.storeId, copy.objectKey])
    return false
  }
  const before = await tx.get<{ objectKey: string; role: CopyRole }>('SELECT object_key AS "objectKey", role FROM archive_copy WHERE file_id = $1 AND store_id = $2', [copy.fileId, copy.storeId])
  if (before && before.objectKey !== copy.objectKey) await discard(tx, copy.storeId, before.objectKey)
  await tx.run('DELETE FROM archive_copy WHERE file_id = $1 AND store_id = $2', [copy.fileId, copy.storeId])
  await tx.run('INSERT INTO archive_copy (file_id, store_id, study_instance_uid, object_key, size_bytes, sm3, role, copied_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', [
    copy.fileId, copy.storeId, copy.studyInstanceUid, copy.objectKey, copy.sizeBytes, copy.sm3, before?.role === 'tier' ? 'tier' : copy.role, Date.now(),
  ]) // prettier-ignore
  await tx.run('DELETE FROM archive_discard WHERE store_id = $1 AND object_key = $2', [copy.storeId, copy.objectKey])
  return true
}

export const discard = (tx: Queries, storeId: string, key: string): Promise<number> =>
  tx.run('INSERT INTO archive_discard (store_id, object_key, not_before) VALUES ($1, $2, 0) ON CONFLICT (store_id, object_key) DO UPDATE SET not_before = 0', [storeId, key])

/** The object is gone or bad: it is forgotten and removed. */
export async function dropCopy(tx: Queries, copy: Pick<Copy, 'fileId' | 'storeId' | 'objectKey'>): Promise<void> {
  await discard(tx, copy.storeId, copy.objectKey)
  await tx.run('DELETE FROM archive_copy WHERE file_id = $1 AND store_id = $2', [copy.fileId, copy.storeId])
}

/** A study that is destroyed takes every copy along, wherever it lies. */
export async function forgetCopies(tx: Transaction, study: string): Promise<void> {
  await tx.run(
    `INSERT INTO archive_discard (store_id, object_key, not_before) SELECT store_id, object_key, 0 FROM archive_copy WHERE study_instance_uid = $1
     ON CONFLICT (store_id, object_key) DO UPDATE SET not_before = 0`,
    [study],
  )
  for (const table of ['archive_copy', 'archive_away', 'archive_move', 'archive_finding']) await tx.run(`DELETE FROM ${table} WHERE study_instance_uid = $1`, [study])
}

/** Objects whose time to go has come. */
export const dueDiscards = (db: Database, now: number, limit: number, without: readonly string[]): Promise<{ storeId: string; objectKey: string }[]> =>
  db.all(
    `SELECT store_id AS "storeId", object_key AS "objectKey" FROM archive_discard WHERE not_before <= $1${notIn(without, 2)} LIMIT ${limit}`,
    [now, ...without],
  )

export const notIn = (values: readonly string[], from: number): string => (values.length === 0 ? '' : ` AND store_id NOT IN (${values.map((_value, at) => `$${from + at}`).join(', ')})`)
