import { randomUUID } from 'node:crypto'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { Problem, type HospitalId, type RegionId, type Sm3Hex } from 'specs'
import { attributesOf, type IndexedValues } from './attributes.ts'
import type { LandedInstance } from './incoming.ts'
import { nameKey } from './matching.ts'
import { decideStore, type StoreOutcome } from './store-outcome.ts'

/** What became of a landed instance in the index, and what that means for its file. */
export type Registration =
  | { readonly kind: 'refused'; readonly problem: Problem }
  | {
      readonly kind: 'kept' | 'dropped'
      readonly outcome: StoreOutcome
      /** Final path below the root. */
      readonly path: string
      /** The file it takes the place of. */
      readonly previous?: { readonly path: string; readonly keptAs: string }
    }

export interface Totals {
  readonly studies: number
  readonly instances: number
  readonly sizeBytes: number
}

export interface RegisteredBatch {
  /** In the order of the batch. */
  readonly registrations: readonly Registration[]
  readonly grown: Totals
}

export interface RegisterSetup {
  readonly regionId: RegionId
  readonly hospitalId: HospitalId
  readonly pathOf: (values: IndexedValues, hospitalId: string) => string
}

interface HeldInstance {
  sopInstanceUid: string
  studyInstanceUid: string
  seriesInstanceUid: string
  sm3: Sm3Hex
  sizeBytes: number
  path: string
  fileId: string
  missing: number
}

export const ownerOf = (setup: { readonly hospitalId: HospitalId }, { source }: LandedInstance): string =>
  source.owner ?? (source.kind === 'transfer' ? source.peer : setup.hospitalId)

/**
 * Registers landed instances, at most one per SOP Instance UID, in one transaction: the rows of all of them, or none.
 * Studies and series keep the attributes of the instance that came first (later ones fill what was empty); changed content
 * of an instance corrects them.
 */
export async function registerBatch(
  tx: Transaction,
  batch: readonly LandedInstance[],
  setup: RegisterSetup,
  now: number,
): Promise<RegisteredBatch> {
  const held = await heldInstances(tx, batch)
  const owners = await studyOwners(tx, batch)
  const knownStudies = new Set(owners.keys())
  const results = batch.map((landed) => decide(landed, held.get(landed.values.sopInstanceUid ?? ''), owners, setup))
  const kept = batch.filter((_landed, index) => results[index]?.kind === 'kept')
  if (kept.length > 0) {
    await insertPatients(tx, kept, setup, now)
    await upsertStudies(tx, kept, held, setup, now)
    await upsertSeries(tx, kept, held, setup, now)
    await insertClasses(tx, kept)
    await upsertInstances(
      tx,
      kept,
      results.flatMap((result) => (result.kind === 'kept' ? [result.path] : [])),
      setup,
      now,
    )
  }
  await traceReplacements(tx, batch, results, held, setup, now)
  await countDuplicates(tx, batch, results, now)
  const grown = kept.map((landed) => growth(landed, held))
  return {
    registrations: results,
    grown: {
      studies: [...new Set(kept.map(({ values }) => values.studyInstanceUid ?? ''))].filter((uid) => !knownStudies.has(uid)).length,
      instances: grown.reduce((sum, { instances }) => sum + instances, 0),
      sizeBytes: grown.reduce((sum, { bytes }) => sum + bytes, 0),
    },
  }
}

function decide(landed: LandedInstance, held: HeldInstance | undefined, owners: Map<string, string>, setup: RegisterSetup): Registration {
  const { values } = landed
  const owner = ownerOf(setup, landed)
  const study = values.studyInstanceUid ?? ''
  const elsewhere = held !== undefined && (held.studyInstanceUid !== study || held.seriesInstanceUid !== values.seriesInstanceUid)
  // Overwriting would take an image away from another study, perhaps another patient's or another hospital's.
  if (elsewhere)
    return {
      kind: 'refused',
      problem: new Problem('archive/identity-conflict', {
        what: 'SOPInstanceUID',
        uid: values.sopInstanceUid,
        heldIn: held.studyInstanceUid,
      }),
    }
  const studyOwner = owners.get(study)
  if (studyOwner !== undefined && studyOwner !== owner)
    return {
      kind: 'refused',
      problem: new Problem('archive/identity-conflict', { what: 'StudyInstanceUID', uid: study, heldFor: studyOwner }),
    }
  owners.set(study, owner)
  // This very file, registered before something else went wrong: only its place is missing.
  if (held?.fileId === landed.fileId) return { kind: 'kept', outcome: { kind: 'stored' }, path: held.path }
  const outcome = decideStore(held?.missing === 0 ? held.sm3 : undefined, landed.sm3)
  const path = setup.pathOf(values, owner)
  if (outcome.kind === 'duplicate') return { kind: 'dropped', outcome, path: held?.path ?? path }
  if (outcome.kind === 'replaced' && held)
    return { kind: 'kept', outcome, path, previous: { path: held.path, keptAs: `replaced/${held.fileId}.dcm` } }
  return { kind: 'kept', outcome, path }
}

const placeholders = (count: number, from = 1): string => Array.from({ length: count }, (_each, index) => `$${from + index}`).join(', ')

async function heldInstances(tx: Queries, batch: readonly LandedInstance[]): Promise<Map<string, HeldInstance>> {
  const uids = batch.map(({ values }) => values.sopInstanceUid ?? '')
  const rows = await tx.all<HeldInstance>(
    `SELECT sop_instance_uid AS "sopInstanceUid", study_instance_uid AS "studyInstanceUid", series_instance_uid AS "seriesInstanceUid",
       sm3, size_bytes AS "sizeBytes", path, file_id AS "fileId", missing FROM archive_instance WHERE sop_instance_uid IN (${placeholders(uids.length)})`,
    uids,
  )
  return new Map(rows.map((row) => [row.sopInstanceUid, row]))
}

async function studyOwners(tx: Queries, batch: readonly LandedInstance[]): Promise<Map<string, string>> {
  const uids = [...new Set(batch.map(({ values }) => values.studyInstanceUid ?? ''))]
  const rows = await tx.all<{ uid: string; owner: string }>(
    `SELECT study_instance_uid AS "uid", hospital_id AS "owner" FROM archive_study WHERE study_instance_uid IN (${placeholders(uids.length)})`,
    uids,
  )
  return new Map(rows.map(({ uid, owner }) => [uid, owner]))
}

/** One multi-row INSERT; `rows` all have the same columns. */
async function insert(tx: Queries, table: string, rows: readonly Record<string, SqlValue>[], conflict: string): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
  // SQLite takes 32,766 parameters.
  const perStatement = Math.max(1, Math.floor(30_000 / Math.max(1, columns.length)))
  for (let from = 0; from < rows.length; from += perStatement) {
    const part = rows.slice(from, from + perStatement)
    const values = part.map((_row, index) => `(${placeholders(columns.length, index * columns.length + 1)})`).join(', ')
    await tx.run(
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${values} ON CONFLICT ${conflict}`,
      part.flatMap((row) => columns.map((column) => row[column] ?? null)),
    )
  }
}

function columnsOf(level: 'patient' | 'study' | 'series' | 'instance', values: IndexedValues): Record<string, SqlValue> {
  const columns: Record<string, SqlValue> = {}
  for (const { member, column, sqlType } of attributesOf(level)) {
    const text = values[member] ?? ''
    columns[column] = sqlType === 'TEXT' ? text : integerOrNull(text)
  }
  return columns
}

const integerOrNull = (text: string): number | null => (/^\s*\+?\d{1,9}\s*$/.test(text) ? Number(text) : null)

/** Two people under one Patient ID stay two rows: names and birth dates are part of the key. */
const patientKey = (owner: string, values: IndexedValues): string =>
  JSON.stringify([
    owner,
    values.issuerOfPatientId,
    values.patientId,
    nameKey(values.patientName ?? ''),
    values.patientBirthDate,
    values.patientSex,
  ])

async function insertPatients(tx: Queries, kept: readonly LandedInstance[], setup: RegisterSetup, now: number): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const owner = ownerOf(setup, landed)
    const key = patientKey(owner, landed.values)
    rows.set(key, {
      patient_key: key,
      region_id: setup.regionId,
      hospital_id: owner,
      ...columnsOf('patient', landed.values),
      patient_name_key: nameKey(landed.values.patientName ?? ''),
      registered_at: now,
    })
  }
  await insert(tx, 'archive_patient', [...rows.values()], '(patient_key) DO NOTHING')
}

function studyColumns(landed: LandedInstance, setup: RegisterSetup): Record<string, SqlValue> {
  const { values } = landed
  return {
    ...columnsOf('patient', values),
    ...columnsOf('study', values),
    patient_name_key: nameKey(values.patientName ?? ''),
    referring_physician_name_key: nameKey(values.referringPhysicianName ?? ''),
    patient_key: patientKey(ownerOf(setup, landed), values),
  }
}

/** How instance count and bytes of the parent change. */
function growth(landed: LandedInstance, held: Map<string, HeldInstance>): { instances: number; bytes: number } {
  const before = held.get(landed.values.sopInstanceUid ?? '')
  return { instances: before ? 0 : 1, bytes: landed.sizeBytes - (before?.sizeBytes ?? 0) }
}

/** Empty columns take the new value, others stay. */
const fillEmpty = (table: string, columns: readonly string[]): string =>
  columns.map((column) => `${column} = CASE WHEN ${table}.${column} = '' THEN excluded.${column} ELSE ${table}.${column} END`).join(', ')

async function upsertStudies(
  tx: Queries,
  kept: readonly LandedInstance[],
  held: Map<string, HeldInstance>,
  setup: RegisterSetup,
  now: number,
): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const uid = landed.values.studyInstanceUid ?? ''
    const grown = growth(landed, held)
    const row = rows.get(uid)
    rows.set(uid, {
      ...(row ?? {
        region_id: setup.regionId,
        hospital_id: ownerOf(setup, landed),
        ...studyColumns(landed, setup),
        duplicate_count: 0,
        received_at: now,
        updated_at: now,
      }),
      instance_count: Number(row?.instance_count ?? 0) + grown.instances,
      size_bytes: Number(row?.size_bytes ?? 0) + grown.bytes,
    })
  }
  const filled = [
    ...attributesOf('study')
      .map(({ column }) => column)
      .filter((column) => column !== 'study_instance_uid'),
    'referring_physician_name_key',
  ]
  await insert(
    tx,
    'archive_study',
    [...rows.values()],
    `(study_instance_uid) DO UPDATE SET ${fillEmpty('archive_study', filled)}, instance_count = archive_study.instance_count + excluded.instance_count,
       size_bytes = archive_study.size_bytes + excluded.size_bytes, updated_at = excluded.updated_at`,
  )
}

const seriesKey = ({ values }: LandedInstance): string => `${values.studyInstanceUid}/${values.seriesInstanceUid}`

async function upsertSeries(
  tx: Queries,
  kept: readonly LandedInstance[],
  held: Map<string, HeldInstance>,
  setup: RegisterSetup,
  now: number,
): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const grown = growth(landed, held)
    const row = rows.get(seriesKey(landed))
    rows.set(seriesKey(landed), {
      ...(row ?? {
        study_instance_uid: landed.values.studyInstanceUid ?? '',
        ...columnsOf('series', landed.values),
        region_id: setup.regionId,
        hospital_id: ownerOf(setup, landed),
        version: 1,
        updated_at: now,
      }),
      instance_count: Number(row?.instance_count ?? 0) + grown.instances,
      size_bytes: Number(row?.size_bytes ?? 0) + grown.bytes,
    })
  }
  const filled = attributesOf('series')
    .map(({ column }) => column)
    .filter((column) => column !== 'series_instance_uid')
  await insert(
    tx,
    'archive_series',
    [...rows.values()],
    `(study_instance_uid, series_instance_uid) DO UPDATE SET ${fillEmpty('archive_series', filled)}, instance_count = archive_series.instance_count + excluded.instance_count,
       size_bytes = archive_series.size_bytes + excluded.size_bytes, version = archive_series.version + 1, updated_at = excluded.updated_at`,
  )
}

/** Which SOP classes a series holds, so that listing studies need not visit instances. */
async function insertClasses(tx: Queries, kept: readonly LandedInstance[]): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const { studyInstanceUid = '', seriesInstanceUid = '', sopClassUid = '' } = landed.values
    rows.set(`${seriesKey(landed)}/${sopClassUid}`, {
      study_instance_uid: studyInstanceUid,
      series_instance_uid: seriesInstanceUid,
      sop_class_uid: sopClassUid,
    })
  }
  await insert(tx, 'archive_series_class', [...rows.values()], '(study_instance_uid, series_instance_uid, sop_class_uid) DO NOTHING')
}

async function upsertInstances(
  tx: Queries,
  kept: readonly LandedInstance[],
  paths: readonly string[],
  setup: RegisterSetup,
  now: number,
): Promise<void> {
  const rows = kept.map((landed, index) => ({
    ...columnsOf('instance', landed.values),
    study_instance_uid: landed.values.studyInstanceUid ?? '',
    series_instance_uid: landed.values.seriesInstanceUid ?? '',
    region_id: setup.regionId,
    hospital_id: ownerOf(setup, landed),
    transfer_syntax_uid: landed.transferSyntaxUid,
    size_bytes: landed.sizeBytes,
    sm3: landed.sm3,
    path: paths[index] ?? '',
    file_id: landed.fileId,
    header_bytes: landed.headerBytes,
    dataset_offset: landed.datasetOffset,
    frame_index: JSON.stringify(landed.frameIndex),
    missing: 0,
    received_at: now,
    source_kind: landed.source.kind,
    source_peer: landed.source.peer,
  }))
  const changed = Object.keys(rows[0] ?? {}).filter((column) => column !== 'sop_instance_uid')
  await insert(
    tx,
    'archive_instance',
    rows,
    `(sop_instance_uid) DO UPDATE SET ${changed.map((column) => `${column} = excluded.${column}`).join(', ')}`,
  )
}

async function traceReplacements(
  tx: Queries,
  batch: readonly LandedInstance[],
  results: readonly Registration[],
  held: Map<string, HeldInstance>,
  setup: RegisterSetup,
  now: number,
): Promise<void> {
  for (const [index, landed] of batch.entries()) {
    const result = results[index]
    const before = held.get(landed.values.sopInstanceUid ?? '')
    if (result?.kind !== 'kept' || !result.previous || !before) continue
    const { values, source } = landed
    await tx.run(
      `INSERT INTO archive_replacement (replacement_id, sop_instance_uid, study_instance_uid, previous_sm3, previous_size_bytes, new_sm3, kept_as, replaced_at, source_kind, source_peer)
       VALUES (${placeholders(10)})`,
      [
        randomUUID(),
        before.sopInstanceUid,
        before.studyInstanceUid,
        before.sm3,
        before.sizeBytes,
        landed.sm3,
        result.previous.keptAs,
        now,
        source.kind,
        source.peer,
      ],
    )
    await correct(tx, 'archive_study', studyColumns(landed, setup), { study_instance_uid: values.studyInstanceUid ?? '' })
    await correct(tx, 'archive_series', columnsOf('series', values), {
      study_instance_uid: values.studyInstanceUid ?? '',
      series_instance_uid: values.seriesInstanceUid ?? '',
    })
  }
}

async function correct(tx: Queries, table: string, columns: Record<string, SqlValue>, key: Record<string, string>): Promise<void> {
  const changed = Object.entries(columns).filter(([column]) => !Object.hasOwn(key, column))
  const set = changed.map(([column], index) => `${column} = $${index + 1}`).join(', ')
  const where = Object.keys(key)
    .map((column, index) => `${column} = $${changed.length + index + 1}`)
    .join(' AND ')
  await tx.run(`UPDATE ${table} SET ${set} WHERE ${where}`, [...changed.map(([, value]) => value), ...Object.values(key)])
}

async function countDuplicates(
  tx: Queries,
  batch: readonly LandedInstance[],
  results: readonly Registration[],
  now: number,
): Promise<void> {
  const counts = new Map<string, number>()
  for (const [index, { values }] of batch.entries()) {
    if (results[index]?.kind !== 'dropped') continue
    const uid = values.studyInstanceUid ?? ''
    counts.set(uid, (counts.get(uid) ?? 0) + 1)
  }
  for (const [uid, count] of counts)
    await tx.run('UPDATE archive_study SET duplicate_count = duplicate_count + $1, updated_at = $2 WHERE study_instance_uid = $3', [
      count,
      now,
      uid,
    ])
}
