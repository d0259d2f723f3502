import type { Queries, SqlValue } from 'service-kit'
import type { ArchiveOptions } from './archive.ts'
import { attributesOf, type IndexedValues } from './attributes.ts'
import type { LandedInstance } from './incoming.ts'
import { insertRows } from './insert-rows.ts'
import { nameKey } from './matching.ts'
import type { PathOf } from './path-template.ts'
import { insertNames } from './name-words.ts'
import type { HospitalId, RegionId, Sm3Hex } from 'specs'

// Rows of patient, study, series and instance, written for many instances at once.

export interface RegisterSetup {
  readonly changedContent?: NonNullable<ArchiveOptions['changedContent']>
  /** Of what carries no region of its own and belongs to no study that we hold. */
  readonly regionId: () => RegionId
  readonly hospitalId: HospitalId
  readonly pathOf: PathOf
}

/** Setup of one batch, in which every instance has its region. */
export interface RowSetup extends RegisterSetup {
  readonly regionOf: (landed: LandedInstance) => RegionId
}

/** What the index holds of an instance that is offered. */
export interface HeldInstance {
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

export { placeholders } from './insert-rows.ts'

export function columnsOf(level: 'patient' | 'study' | 'series' | 'instance', values: IndexedValues): Record<string, SqlValue> {
  const columns: Record<string, SqlValue> = {}
  for (const { member, column, sqlType } of attributesOf(level)) {
    const text = values[member] ?? ''
    columns[column] = sqlType === 'TEXT' ? text : integerOrNull(text)
  }
  return columns
}

const integerOrNull = (text: string): number | null => (/^\s*\+?\d{1,9}\s*$/.test(text) ? Number(text) : null)

/** Two people under one Patient ID stay two rows: names and birth dates are part of the key. */
export const patientKey = (owner: string, values: IndexedValues): string =>
  JSON.stringify([
    owner,
    values.issuerOfPatientId,
    values.patientId,
    nameKey(values.patientName ?? ''),
    values.patientBirthDate,
    values.patientSex,
  ])

export async function insertPatients(tx: Queries, kept: readonly LandedInstance[], setup: RowSetup, now: number): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const owner = ownerOf(setup, landed)
    const key = patientKey(owner, landed.values)
    rows.set(key, {
      patient_key: key,
      region_id: setup.regionOf(landed),
      hospital_id: owner,
      ...columnsOf('patient', landed.values),
      patient_name_key: nameKey(landed.values.patientName ?? ''),
      registered_at: now,
    })
  }
  await insertRows(tx, 'archive_patient', [...rows.values()], '(patient_key) DO NOTHING')
  await insertNames(tx, kept.map(({ values }) => nameKey(values.patientName ?? ''))) // prettier-ignore
}

export function studyColumns(landed: LandedInstance, setup: RegisterSetup): Record<string, SqlValue> {
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
export function growth(landed: LandedInstance, held: Map<string, HeldInstance>): { instances: number; bytes: number } {
  const before = held.get(landed.values.sopInstanceUid ?? '')
  return { instances: before ? 0 : 1, bytes: landed.sizeBytes - (before?.sizeBytes ?? 0) }
}

/** Empty columns take the new value, others stay. */
const fillEmpty = (table: string, columns: readonly string[]): string =>
  columns.map((column) => `${column} = CASE WHEN ${table}.${column} = '' THEN excluded.${column} ELSE ${table}.${column} END`).join(', ')

export async function upsertStudies(
  tx: Queries,
  kept: readonly LandedInstance[],
  held: Map<string, HeldInstance>,
  setup: RowSetup,
  now: number,
): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const uid = landed.values.studyInstanceUid ?? ''
    const grown = growth(landed, held)
    const row = rows.get(uid)
    rows.set(uid, {
      ...(row ?? {
        region_id: setup.regionOf(landed),
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
  await insertRows(
    tx,
    'archive_study',
    [...rows.values()],
    `(study_instance_uid) DO UPDATE SET ${fillEmpty('archive_study', filled)}, instance_count = archive_study.instance_count + excluded.instance_count,
       size_bytes = archive_study.size_bytes + excluded.size_bytes, updated_at = excluded.updated_at`,
  )
}

const seriesKey = ({ values }: LandedInstance): string => `${values.studyInstanceUid}/${values.seriesInstanceUid}`

export async function upsertSeries(
  tx: Queries,
  kept: readonly LandedInstance[],
  held: Map<string, HeldInstance>,
  setup: RowSetup,
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
        region_id: setup.regionOf(landed),
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
  await insertRows(
    tx,
    'archive_series',
    [...rows.values()],
    `(study_instance_uid, series_instance_uid) DO UPDATE SET ${fillEmpty('archive_series', filled)}, instance_count = archive_series.instance_count + excluded.instance_count,
       size_bytes = archive_series.size_bytes + excluded.size_bytes, version = archive_series.version + 1, updated_at = excluded.updated_at`,
  )
}

/** Which SOP classes a series holds, so that listing studies need not visit instances. */
export async function insertClasses(tx: Queries, kept: readonly LandedInstance[]): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>>()
  for (const landed of kept) {
    const { studyInstanceUid = '', seriesInstanceUid = '', sopClassUid = '' } = landed.values
    rows.set(`${seriesKey(landed)}/${sopClassUid}`, {
      study_instance_uid: studyInstanceUid,
      series_instance_uid: seriesInstanceUid,
      sop_class_uid: sopClassUid,
    })
  }
  await insertRows(tx, 'archive_series_class', [...rows.values()], '(study_instance_uid, series_instance_uid, sop_class_uid) DO NOTHING')
}

export async function upsertInstances(
  tx: Queries,
  kept: readonly LandedInstance[],
  paths: readonly string[],
  setup: RowSetup,
  now: number,
): Promise<void> {
  const rows = kept.map((landed, index) => ({
    ...columnsOf('instance', landed.values),
    study_instance_uid: landed.values.studyInstanceUid ?? '',
    series_instance_uid: landed.values.seriesInstanceUid ?? '',
    region_id: setup.regionOf(landed),
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
  await insertRows(
    tx,
    'archive_instance',
    rows,
    `(sop_instance_uid) DO UPDATE SET ${changed.map((column) => `${column} = excluded.${column}`).join(', ')}`,
  )
}
