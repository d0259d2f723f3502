import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { Problem, type RegionId } from 'specs'
import type { IncomingSource, InstanceFile, RewriteOne, RewriteOptions, RewriteResult } from './archive.ts'
import { attributesOf } from './attributes.ts'
import { placeFile, syncFolder } from './commit-queue.ts'
import { ENCRYPTED, isEncryptedPath } from './encryption/file-form.ts'
import type { Folders } from './folders.ts'
import type { LandedInstance } from './incoming.ts'
import { columnsOf, insertPatients, patientKey, type RegisterSetup } from './index-rows.ts'
import { nameKey } from './matching.ts'
import { forgetName } from './name-words.ts'
import { rememberOriginal } from './original.ts'

/** What rewriting needs of the archive it happens in. */
export interface RewriteSetup extends RegisterSetup {
  readonly folders: Folders
  readonly db: Queries & { write<T>(work: (tx: Transaction) => Promise<T>): Promise<T> }
  open(sopInstanceUid: string): Promise<InstanceFile>
  /** Lands new content in incoming/ as everything lands there, without registering it. */
  land(source: IncomingSource, content: AsyncIterable<Uint8Array>): Promise<LandedInstance>
  /** Runs while nothing is being registered, put in place or deleted. */
  exclusively<T>(work: () => Promise<T>): Promise<T>
}

interface HeldRow {
  readonly sopInstanceUid: string
  readonly studyInstanceUid: string
  readonly seriesInstanceUid: string
  readonly hospitalId: string
  readonly regionId: RegionId
  readonly sourceKind: IncomingSource['kind']
  readonly sourcePeer: string
  readonly fileId: string
  readonly path: string
  readonly sm3: string
  readonly sizeBytes: number
}

interface Rewritten {
  readonly before: HeldRow
  readonly landed: LandedInstance
  readonly path: string
  readonly previous?: { readonly path: string; readonly keptAs: string }
  readonly leaves?: string
}

const AT_ONCE = 2

/**
 * Gives instances of a study new content, the identity of each unchanged. New files land in incoming/ first; then the rows of all of them are changed in
 * one transaction; then the files go to their places, which the next start does if this one does not come to it (recover.ts). What arrives
 * meanwhile is offered to `rewriteOne` in another round, so that none of the study is passed over.
 *
 * @throws {Problem} archive/identity-conflict when the new content names another instance; what `rewriteOne` throws. The study is then as it was.
 */
export async function rewriteStudy(setup: RewriteSetup, studyInstanceUid: string, options: RewriteOptions, rewriteOne: RewriteOne): Promise<RewriteResult & { readonly grownBytes: number }> {
  const seen = new Map<string, string>()
  const rewriteId = options.rewriteId ?? randomUUID()
  const result = { rewriteId, rewritten: 0, left: 0, lost: 0, grownBytes: 0, series: new Set<string>() }
  for (;;) {
    const rows = (await heldRows(setup.db, studyInstanceUid)).filter(({ sopInstanceUid, fileId }) => seen.get(sopInstanceUid) !== fileId)
    if (rows.length === 0) return { ...result, series: [...result.series] }
    const landed = await landAll(setup, rows, rewriteOne, options, result, seen)
    const done = await setup.exclusively(() => replaceAll(setup, studyInstanceUid, landed, options, rewriteId))
    result.rewritten += done.length
    for (const { before, landed: made } of done) {
      seen.set(before.sopInstanceUid, made.fileId)
      result.series.add(before.seriesInstanceUid)
      result.grownBytes += made.sizeBytes - before.sizeBytes
    }
  }
}

/** All or none: what has landed when one fails goes away again. */
async function landAll(
  setup: RewriteSetup,
  rows: readonly HeldRow[],
  rewriteOne: RewriteOne,
  { signal, onProgress }: RewriteOptions,
  result: { left: number; lost: number },
  seen: Map<string, string>,
): Promise<Map<HeldRow, LandedInstance>> {
  const landed = new Map<HeldRow, LandedInstance>()
  let next = 0
  const work = async () => {
    for (let row = rows[next++]; row; row = rows[next++]) {
      signal?.throwIfAborted()
      const made = await landOne(setup, row, rewriteOne)
      if (typeof made === 'object') landed.set(row, made)
      else {
        result[made] += 1
        seen.set(row.sopInstanceUid, row.fileId)
      }
      onProgress?.(next, rows.length)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work))
  const failed = ends.find((end) => end.status === 'rejected')
  if (!failed) return landed
  for (const { file } of landed.values()) await rm(file, { force: true })
  throw failed.reason
}

async function landOne(setup: RewriteSetup, row: HeldRow, rewriteOne: RewriteOne): Promise<LandedInstance | 'left' | 'lost'> {
  const { sopInstanceUid, sourceKind: kind, sourcePeer: peer, hospitalId, regionId } = row
  let file: InstanceFile
  try {
    file = await setup.open(sopInstanceUid)
  } catch (error) {
    if (error instanceof Problem && error.code === 'archive/unknown-instance') return 'lost' // said by the check of the archive (ARC-22)
    throw error
  }
  const content = await rewriteOne(file)
  if (!content) return 'left'
  const landed = await setup.land({ kind, peer, owner: hospitalId as NonNullable<IncomingSource['owner']>, regionId }, content)
  const { values } = landed
  if (values.sopInstanceUid === sopInstanceUid && values.seriesInstanceUid === row.seriesInstanceUid && values.studyInstanceUid === row.studyInstanceUid) return landed
  await rm(landed.file, { force: true })
  throw new Problem('archive/identity-conflict', { what: 'SOPInstanceUID', uid: values.sopInstanceUid, heldIn: row.studyInstanceUid })
}

async function replaceAll(setup: RewriteSetup, studyInstanceUid: string, landed: ReadonlyMap<HeldRow, LandedInstance>, options: RewriteOptions, rewriteId: string): Promise<Rewritten[]> {
  const { db, folders } = setup
  await syncFolder(folders.incoming)
  let done: Rewritten[]
  try {
    done = await db.write((tx) => registerRewritten(tx, setup, studyInstanceUid, landed, options, rewriteId, Date.now()))
  } catch (error) {
    for (const { file } of landed.values()) await rm(file, { force: true })
    throw error
  }
  const made = new Set(done.map((each) => each.landed))
  // Replaced or deleted while it was being rewritten: the next round looks at what is there now.
  for (const each of landed.values()) if (!made.has(each)) await rm(each.file, { force: true })
  for (const each of done) {
    await placeFile(folders, each.landed.file, each.path, each.previous)
    if (each.leaves !== undefined) await rm(path.join(folders.root, each.leaves), { force: true })
  }
  return done
}

const heldRows = (db: Queries, studyInstanceUid: string): Promise<HeldRow[]> =>
  db.all<HeldRow>(
    `SELECT sop_instance_uid AS "sopInstanceUid", study_instance_uid AS "studyInstanceUid", series_instance_uid AS "seriesInstanceUid", hospital_id AS "hospitalId",
       region_id AS "regionId", source_kind AS "sourceKind", source_peer AS "sourcePeer", file_id AS "fileId", path, sm3, size_bytes AS "sizeBytes"
     FROM archive_instance WHERE study_instance_uid = $1 ORDER BY sop_instance_uid`,
    [studyInstanceUid],
  )

async function registerRewritten(
  tx: Transaction,
  setup: RewriteSetup,
  studyInstanceUid: string,
  landed: ReadonlyMap<HeldRow, LandedInstance>,
  options: RewriteOptions,
  rewriteId: string,
  now: number,
): Promise<Rewritten[]> {
  const held = new Map((await heldRows(tx, studyInstanceUid)).map((row) => [row.sopInstanceUid, row]))
  const done: Rewritten[] = []
  for (const [planned, made] of landed) {
    const before = held.get(planned.sopInstanceUid)
    if (before?.fileId !== planned.fileId) continue
    const to = setup.pathOf(made.values, before.hospitalId)
    const keptAs = `replaced/${before.fileId}.dcm${isEncryptedPath(before.path) ? ENCRYPTED : ''}`
    done.push({
      before, landed: made, path: to,
      ...(options.keepPrevious && { previous: { path: before.path, keptAs } }),
      ...(before.path !== to && { leaves: before.path }),
    }) // prettier-ignore
  }
  for (const each of done) await changeInstance(tx, each, options, rewriteId, now)
  await followParents(tx, setup, studyInstanceUid, done, now)
  return done
}

async function changeInstance(tx: Transaction, { before, landed, path: to, previous, leaves }: Rewritten, options: RewriteOptions, rewriteId: string, now: number): Promise<void> {
  const columns: Record<string, SqlValue> = {
    ...columnsOf('instance', landed.values),
    transfer_syntax_uid: landed.transferSyntaxUid,
    size_bytes: landed.sizeBytes,
    sm3: landed.sm3,
    path: to,
    file_id: landed.fileId,
    header_bytes: landed.headerBytes,
    dataset_offset: landed.datasetOffset,
    frame_index: JSON.stringify(landed.frameIndex),
    missing: 0,
  }
  await update(tx, 'archive_instance', columns, { sop_instance_uid: before.sopInstanceUid })
  // Whoever sends it again sends what we rewrote: nothing new (ARC-12).
  await rememberOriginal(tx, before.sopInstanceUid, before.studyInstanceUid, before.sm3)
  if (leaves !== undefined) await tx.run('INSERT INTO archive_unlink (path) VALUES ($1) ON CONFLICT (path) DO NOTHING', [leaves])
  if (!previous) return
  await tx.run(
    `INSERT INTO archive_replacement (replacement_id, sop_instance_uid, study_instance_uid, previous_sm3, previous_size_bytes, new_sm3, kept_as, replaced_at, source_kind, source_peer,
       previous_path, reason, rewrite_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'own', $9, $10, $11, $12)`,
    [randomUUID(), before.sopInstanceUid, before.studyInstanceUid, before.sm3, before.sizeBytes, landed.sm3, previous.keptAs, now, options.peer, before.path, options.reason, rewriteId],
  )
}

/** Series, study and patient say what their instances say now; what some instance still says stays. */
async function followParents(tx: Transaction, setup: RewriteSetup, studyInstanceUid: string, done: readonly Rewritten[], now: number): Promise<void> {
  const [first] = done
  if (!first) return
  const study = await tx.get<Record<string, SqlValue>>('SELECT * FROM archive_study WHERE study_instance_uid = $1', [studyInstanceUid])
  if (!study) return
  const all = done.map(({ landed }) => landed)
  const told = { ...agreed(study, all, 'patient'), ...agreed(study, all, 'study') }
  const values = Object.fromEntries([...attributesOf('patient'), ...attributesOf('study')].map(({ member, column }) => [member, told[column] ?? '']))
  const key = patientKey(first.before.hospitalId, values)
  const representative: LandedInstance = { ...first.landed, values: { ...first.landed.values, ...values } }
  if (key !== study['patient_key']) await insertPatients(tx, [representative], { ...setup, regionOf: () => first.before.regionId }, now)
  const grown = (rows: readonly Rewritten[]) => rows.reduce((sum, { before, landed }) => sum + landed.sizeBytes - before.sizeBytes, 0)
  await update(
    tx,
    'archive_study',
    {
      ...told,
      patient_key: key,
      patient_name_key: nameKey(values['patientName'] ?? ''),
      referring_physician_name_key: nameKey(values['referringPhysicianName'] ?? ''),
      size_bytes: Number(study['size_bytes']) + grown(done),
      updated_at: now,
    },
    { study_instance_uid: studyInstanceUid },
  )
  if (key !== study['patient_key'])
    await forgetPatient(tx, String(study['patient_key'] ?? ''), String(study['patient_name_key'] ?? ''))
  for (const seriesInstanceUid of new Set(done.map(({ before }) => before.seriesInstanceUid))) {
    const rows = done.filter(({ before }) => before.seriesInstanceUid === seriesInstanceUid)
    const keys = { study_instance_uid: studyInstanceUid, series_instance_uid: seriesInstanceUid }
    const series = await tx.get<Record<string, SqlValue>>('SELECT * FROM archive_series WHERE study_instance_uid = $1 AND series_instance_uid = $2', [studyInstanceUid, seriesInstanceUid])
    if (!series) continue
    const columns = agreed(series, rows.map(({ landed }) => landed), 'series') // prettier-ignore
    await update(tx, 'archive_series', { ...columns, size_bytes: Number(series['size_bytes']) + grown(rows), version: Number(series['version']) + 1, updated_at: now }, keys)
  }
}

/** A patient, and a name, that no study has any more. */
async function forgetPatient(tx: Transaction, patientKey: string, nameKey: string): Promise<void> {
  await tx.run('DELETE FROM archive_patient WHERE patient_key = $1 AND NOT EXISTS (SELECT 1 FROM archive_study WHERE patient_key = $1)', [patientKey])
  const others = await tx.get('SELECT 1 AS one FROM archive_patient WHERE patient_name_key = $1 LIMIT 1', [nameKey])
  if (!others) await forgetName(tx, nameKey)
}

/** The columns of a parent: what it says, as long as an instance says so too; otherwise what the first that says something says. */
function agreed(parent: Readonly<Record<string, SqlValue>>, instances: readonly LandedInstance[], level: 'patient' | 'study' | 'series'): Record<string, string> {
  return Object.fromEntries(
    attributesOf(level)
      .filter(({ column }) => column !== 'study_instance_uid' && column !== 'series_instance_uid')
      .map(({ column, member }) => {
        const said = instances.map(({ values }) => values[member] ?? '')
        const held = String(parent[column] ?? '')
        return [column, said.includes(held) ? held : (said.find((text) => text !== '') ?? '')]
      }),
  )
}

async function update(tx: Queries, table: string, columns: Readonly<Record<string, SqlValue>>, key: Readonly<Record<string, string>>): Promise<void> {
  const names = Object.keys(columns)
  const set = names.map((column, index) => `${column} = $${index + 1}`).join(', ')
  const where = Object.keys(key).map((column, index) => `${column} = $${names.length + index + 1}`) // prettier-ignore
  await tx.run(`UPDATE ${table} SET ${set} WHERE ${where.join(' AND ')}`, [...Object.values(columns), ...Object.values(key)])
}
