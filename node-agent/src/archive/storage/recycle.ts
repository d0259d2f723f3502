import { link, mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Database, Queries, SqlValue } from 'service-kit'
import { Problem, type RecycledStudy } from 'specs'
import { placeFile } from '../commit-queue.ts'
import { destroyFile } from '../encryption/destroy-file.ts'
import { ENCRYPTED, isEncryptedPath } from '../encryption/file-form.ts'
import type { Folders } from '../folders.ts'
import { removeStudyRows, studyTables } from '../delete-study.ts'
import { insertRows } from '../insert-rows.ts'
import { insertNames } from '../name-words.ts'
import { finishUnlinking } from '../recover.ts'
import { codeOf } from '../storage-problem.ts'
import { forgetCopies } from './copies.ts'

export interface RecycleOrder {
  readonly deletedBy: string
  readonly reason: string
  readonly destroyAfter: number
}

/** Runs inside `exclusively`: nothing is being registered or put in place. */
export interface RecycleParts {
  readonly db: Database
  readonly folders: Folders
}

interface Row {
  readonly [column: string]: SqlValue
}

const keptName = (fileId: string, name: string): string => `recycled/${fileId}.dcm${isEncryptedPath(name) ? ENCRYPTED : ''}`

/**
 * Takes a study out of every list; rows and files stay aside until they are restored or their time is over. The files get a second name before
 * the rows go, and lose the first one afterwards, so that a crash leaves them whole on one side or the other.
 *
 * @throws {Problem} archive/unknown-study
 */
export async function recycleStudy({ db, folders }: RecycleParts, study: string, order: RecycleOrder, now: number): Promise<void> {
  const files = await db.all<{ path: string; fileId: string }>('SELECT path, file_id AS "fileId" FROM archive_instance WHERE study_instance_uid = $1', [study])
  for (const { path: name, fileId } of files) await secondName(path.join(folders.root, name), path.join(folders.root, keptName(fileId, name)))
  await db.write(async (tx) => {
    const row = await tx.get<Row>('SELECT * FROM archive_study WHERE study_instance_uid = $1', [study])
    if (!row) throw new Problem('archive/unknown-study', { studyInstanceUid: study })
    const modalities = await tx.all<{ modality: string }>('SELECT DISTINCT modality FROM archive_series WHERE study_instance_uid = $1 ORDER BY modality', [study])
    await tx.run(
      `INSERT INTO archive_recycled (study_instance_uid, hospital_id, patient_name, modalities, study_date, accession_number, instance_count, size_bytes, deleted_at, deleted_by, reason, destroy_after)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [study, row.hospital_id ?? '', row.patient_name ?? '', modalities.map(({ modality }) => modality).join(' '), row.study_date ?? '', row.accession_number ?? '', row.instance_count ?? 0, row.size_bytes ?? 0, now, order.deletedBy, order.reason, order.destroyAfter],
    )
    for (const table of studyTables) {
      const rows = await tx.all<Row>(`SELECT * FROM ${table} WHERE study_instance_uid = $1`, [study])
      const kept = rows.map((each, at) => ({ study_instance_uid: study, table_name: table, row_number: at, content: JSON.stringify(each) }))
      if (kept.length > 0) await insertRows(tx, 'archive_recycled_row', kept, 'DO NOTHING')
    }
    const patient = await tx.get<Row>('SELECT * FROM archive_patient WHERE patient_key = $1', [row.patient_key ?? ''])
    if (patient) await tx.run("INSERT INTO archive_recycled_row (study_instance_uid, table_name, row_number, content) VALUES ($1, 'archive_patient', 0, $2)", [study, JSON.stringify(patient)])
    for (const { path: name, fileId } of files) {
      await tx.run('INSERT INTO archive_recycled_file (kept_as, study_instance_uid) VALUES ($1, $2) ON CONFLICT (kept_as) DO NOTHING', [keptName(fileId, name), study])
      await tx.run('INSERT INTO archive_unlink (path) VALUES ($1) ON CONFLICT (path) DO NOTHING', [name])
    }
    await removeStudyRows(tx, study)
    await tx.run('DELETE FROM archive_move WHERE study_instance_uid = $1', [study])
  })
  await finishUnlinking(db, folders)
}

/** A file that has left the disk, or is lost, has none to name. */
async function secondName(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: unknown) => {
    if (!['ENOENT', 'EEXIST'].includes(codeOf(error) ?? '')) throw error
  })
}

/**
 * Puts a deleted study back. What was sent again meanwhile stays as it came; of such instances the deleted content goes.
 * @throws {Problem} archive/not-recycled
 */
export async function restoreStudy({ db, folders }: RecycleParts, study: string): Promise<void> {
  const rows = await recycledRows(db, study)
  if (rows.length === 0) throw new Problem('archive/not-recycled', { studyInstanceUid: study })
  const instances = rows.filter(({ table }) => table === 'archive_instance').map(({ row }) => ({ uid: String(row.sop_instance_uid), path: String(row.path), fileId: String(row.file_id) }))
  // A file in incoming/ whose row is there is put in place at the next start: a crash from here on is mended there.
  for (const { path: name, fileId } of instances) await secondName(path.join(folders.root, keptName(fileId, name)), path.join(folders.incoming, `${fileId}.part`))
  const back = await db.write(async (tx) => {
    for (const { table, row } of rows) await insertMissing(tx, table, row)
    await recount(tx, study)
    await insertNames(tx, rows.filter(({ table }) => table === 'archive_study').map(({ row }) => String(row.patient_name_key ?? '')))
    const held = new Set((await tx.all<{ fileId: string }>('SELECT file_id AS "fileId" FROM archive_instance WHERE study_instance_uid = $1', [study])).map(({ fileId }) => fileId))
    await tx.run('INSERT INTO archive_unlink (path) SELECT kept_as FROM archive_recycled_file WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING', [study])
    await forgetRecycled(tx, study)
    return held
  })
  for (const { path: name, fileId } of instances) {
    const landed = path.join(folders.incoming, `${fileId}.part`)
    if (back.has(fileId)) await placeFile(folders, landed, name).catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : Promise.reject(error as Error)))
    else await rm(landed, { force: true })
  }
  await finishUnlinking(db, folders)
}

async function recycledRows(db: Queries, study: string): Promise<{ table: string; row: Row }[]> {
  const found = await db.all<{ table: string; content: string }>('SELECT table_name AS "table", content FROM archive_recycled_row WHERE study_instance_uid = $1', [study])
  const order: readonly string[] = ['archive_patient', ...studyTables]
  return found.map(({ table, content }) => ({ table, row: JSON.parse(content) as Row })).sort((a, b) => order.indexOf(a.table) - order.indexOf(b.table))
}

async function insertMissing(tx: Queries, table: string, row: Row): Promise<void> {
  const columns = Object.keys(row)
  await tx.run(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map((_column, at) => `$${at + 1}`).join(', ')}) ON CONFLICT DO NOTHING`, columns.map((column) => row[column] ?? null))
}

/** Counts of a study that was partly sent again. */
async function recount(tx: Queries, study: string): Promise<void> {
  const counted = (where: string) => `(SELECT COUNT(*) FROM archive_instance WHERE ${where}), size_bytes = (SELECT COALESCE(SUM(size_bytes), 0) FROM archive_instance WHERE ${where})`
  await tx.run(`UPDATE archive_study SET instance_count = ${counted('study_instance_uid = $1')}, updated_at = $2 WHERE study_instance_uid = $1`, [study, Date.now()])
  await tx.run(
    `UPDATE archive_series SET instance_count = ${counted('study_instance_uid = archive_series.study_instance_uid AND archive_instance.series_instance_uid = archive_series.series_instance_uid')}, version = version + 1 WHERE study_instance_uid = $1`,
    [study],
  )
}

async function forgetRecycled(tx: Queries, study: string): Promise<void> {
  for (const table of ['archive_recycled', 'archive_recycled_row', 'archive_recycled_file']) await tx.run(`DELETE FROM ${table} WHERE study_instance_uid = $1`, [study])
}

/** For good: rows, files, and every copy elsewhere. @throws {Problem} archive/not-recycled */
export async function destroyRecycled({ db, folders }: RecycleParts, study: string): Promise<void> {
  await db.write(async (tx) => {
    if (!(await tx.get('SELECT 1 AS "one" FROM archive_recycled WHERE study_instance_uid = $1', [study]))) throw new Problem('archive/not-recycled', { studyInstanceUid: study })
    await tx.run('INSERT INTO archive_unlink (path) SELECT kept_as FROM archive_recycled_file WHERE study_instance_uid = $1 ON CONFLICT (path) DO NOTHING', [study])
    for (const { table, row } of await recycledRows(tx, study))
      if (table === 'archive_replacement') await tx.run('INSERT INTO archive_unlink (path) VALUES ($1) ON CONFLICT (path) DO NOTHING', [String(row.kept_as)])
    await forgetRecycled(tx, study)
    // One that was sent again since keeps what belongs to it.
    const again = await tx.get('SELECT 1 AS "one" FROM archive_study WHERE study_instance_uid = $1', [study])
    if (!again) await forgetCopies(tx, study)
    else await forgetCopiesOfNobody(tx, study)
  })
  await finishUnlinking(db, folders)
}

async function forgetCopiesOfNobody(tx: Queries, study: string): Promise<void> {
  const nobody = `study_instance_uid = $1 AND file_id NOT IN (SELECT file_id FROM archive_instance WHERE study_instance_uid = $1)`
  await tx.run(`INSERT INTO archive_discard (store_id, object_key, not_before) SELECT store_id, object_key, 0 FROM archive_copy WHERE ${nobody} ON CONFLICT (store_id, object_key) DO UPDATE SET not_before = 0`, [study])
  await tx.run(`DELETE FROM archive_copy WHERE ${nobody}`, [study])
  await tx.run(`DELETE FROM archive_away WHERE ${nobody}`, [study])
}

export const recycledStudies = (db: Queries, limit: number): Promise<RecycledStudy[]> =>
  db.all(
    `SELECT study_instance_uid AS "studyInstanceUid", patient_name AS "patientName", modalities, study_date AS "studyDate", accession_number AS "accessionNumber", instance_count AS "instanceCount",
     size_bytes AS "sizeBytes", deleted_at AS "deletedAt", deleted_by AS "deletedBy", reason, destroy_after AS "destroyAfter" FROM archive_recycled ORDER BY deleted_at DESC LIMIT ${limit}`,
  )

export const dueToDestroy = (db: Queries, now: number): Promise<{ study: string }[]> => db.all('SELECT study_instance_uid AS "study" FROM archive_recycled WHERE destroy_after <= $1 LIMIT 100', [now])

/** Second names whose rows were never committed. */
export async function dropStrays({ db, folders }: RecycleParts): Promise<void> {
  await mkdir(folders.recycled, { recursive: true, mode: 0o750 })
  for (const name of await readdir(folders.recycled)) {
    const known = await db.get('SELECT 1 AS "one" FROM archive_recycled_file WHERE kept_as = $1', [`recycled/${name}`])
    if (!known) await destroyFile(path.join(folders.recycled, name))
  }
}
