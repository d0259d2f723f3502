import type { Queries, Database } from 'service-kit'
import type { ManifestRow } from 'specs'
import { attributesOf, type Level } from './attributes.ts'
import type { Archive, CoercionRow, InstanceMatch, InstanceRow, MatchQuery, PatientRow, ReplacementRow, SeriesMatch, SeriesRow, StudyRow } from './archive.ts'
import { addMatches, Conditions } from './matching.ts'

const camel = (column: string): string => column.replaceAll(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase())
const select = (alias: string, columns: readonly string[], prefix = ''): string =>
  columns.map((column) => `${alias}.${column} AS "${prefix}${camel(column)}"`).join(', ')
const columnsAt = (level: Level): string[] => attributesOf(level).map(({ column }) => column)

const studyColumns = [
  'region_id',
  'hospital_id',
  ...columnsAt('patient'),
  ...columnsAt('study'),
  'instance_count',
  'size_bytes',
  'duplicate_count',
  'received_at',
  'updated_at',
]
const seriesColumns = [
  'region_id',
  'hospital_id',
  'study_instance_uid',
  ...columnsAt('series'),
  'instance_count',
  'size_bytes',
  'version',
  'updated_at',
]
const instanceColumns = [
  ...['region_id', 'hospital_id', 'study_instance_uid', 'series_instance_uid', 'transfer_syntax_uid', ...columnsAt('instance')],
  ...['size_bytes', 'sm3', 'path', 'received_at', 'source_kind', 'source_peer'],
]

/** Instance Number is text of any quality: numbers in order first, then the rest; the UID makes the order total. */
const numberOrder = (alias: string, column: string, uid: string): string =>
  `length(${alias}.${column}), ${alias}.${column}, ${alias}.${uid}`

type PlainStudy = Omit<StudyRow, 'modalitiesInStudy' | 'bodyPartsExamined' | 'sopClassesInStudy' | 'seriesCount'>

/** What only opening a file needs to know of an instance. */
export interface StoredFileRow extends InstanceRow {
  readonly fileId: string
  readonly headerBytes: number
  readonly datasetOffset: number
  readonly frameIndex: string
}

export class IndexQueries {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async patients(query: MatchQuery = {}): Promise<PatientRow[]> {
    const conditions = new Conditions(this.#db.dialect)
    addMatches(conditions, 'patient', query.match ?? {})
    conditions.matchRegion('study', query.regionId)
    return this.#db.all<PatientRow>(
      `SELECT study.region_id AS "regionId", study.hospital_id AS "hospitalId", ${select('study', columnsAt('patient'))},
         (SELECT count(*) FROM archive_study own WHERE own.patient_key = study.patient_key) AS "studyCount"
       FROM archive_patient study ${conditions.where} ORDER BY study.patient_id, study.patient_key ${page(conditions, query)}`,
      conditions.params,
    )
  }

  async studies(query: MatchQuery = {}): Promise<StudyRow[]> {
    const conditions = new Conditions(this.#db.dialect)
    addMatches(conditions, 'study', query.match ?? {})
    conditions.matchRegion('study', query.regionId)
    const rows = await this.#db.all<PlainStudy>(
      `SELECT ${select('study', studyColumns)} FROM archive_study study ${conditions.where}
       ORDER BY study.study_date DESC, study.study_time DESC, study.study_instance_uid ${page(conditions, query)}`,
      conditions.params,
    )
    return completeStudies(this.#db, rows)
  }

  async series(studyInstanceUid: string | undefined, query: MatchQuery = {}): Promise<SeriesMatch[]> {
    const conditions = new Conditions(this.#db.dialect)
    if (studyInstanceUid !== undefined) conditions.add(`series.study_instance_uid = ${conditions.parameter(studyInstanceUid)}`)
    addMatches(conditions, 'series', query.match ?? {})
    conditions.matchRegion('series', query.regionId)
    const rows = await this.#db.all<SeriesRow>(
      `SELECT ${select('series', seriesColumns)} FROM archive_series series JOIN archive_study study ON study.study_instance_uid = series.study_instance_uid
       ${conditions.where} ORDER BY ${studyInstanceUid === undefined ? 'study.study_date DESC, study.study_instance_uid, ' : ''}${numberOrder('series', 'series_number', 'series_instance_uid')} ${page(conditions, query)}`,
      conditions.params,
    )
    const studies = await this.#studiesOf(rows)
    return rows.flatMap((row) => {
      const study = studies.get(row.studyInstanceUid)
      return study ? [{ ...row, study }] : []
    })
  }

  async instances(
    studyInstanceUid: string | undefined,
    seriesInstanceUid: string | undefined,
    query: MatchQuery = {},
  ): Promise<InstanceMatch[]> {
    const conditions = new Conditions(this.#db.dialect)
    if (studyInstanceUid !== undefined) conditions.add(`instance.study_instance_uid = ${conditions.parameter(studyInstanceUid)}`)
    if (seriesInstanceUid !== undefined) conditions.add(`instance.series_instance_uid = ${conditions.parameter(seriesInstanceUid)}`)
    addMatches(conditions, 'instance', query.match ?? {})
    conditions.matchRegion('instance', query.regionId)
    const rows = await this.#db.all<InstanceRow>(
      `SELECT ${select('instance', instanceColumns)} FROM archive_instance instance
       JOIN archive_series series ON series.study_instance_uid = instance.study_instance_uid AND series.series_instance_uid = instance.series_instance_uid
       JOIN archive_study study ON study.study_instance_uid = instance.study_instance_uid
       ${conditions.where} ORDER BY study.study_date DESC, study.study_instance_uid, ${numberOrder('series', 'series_number', 'series_instance_uid')}, ${numberOrder('instance', 'instance_number', 'sop_instance_uid')} ${page(conditions, query)}`,
      conditions.params,
    )
    const studies = await this.#studiesOf(rows)
    const series = await this.#seriesOf(rows)
    return rows.flatMap((row) => {
      const ofStudy = studies.get(row.studyInstanceUid)
      const ofSeries = series.get(`${row.studyInstanceUid}/${row.seriesInstanceUid}`)
      return ofStudy && ofSeries ? [{ ...row, study: ofStudy, series: ofSeries }] : []
    })
  }

  async study(studyInstanceUid: string): Promise<StudyRow | undefined> {
    const rows = await this.#db.all<PlainStudy>(
      `SELECT ${select('study', studyColumns)} FROM archive_study study WHERE study.study_instance_uid = $1`,
      [studyInstanceUid],
    )
    return (await completeStudies(this.#db, rows))[0]
  }

  async seriesVersion(studyInstanceUid: string, seriesInstanceUid: string): Promise<number | undefined> {
    const row = await this.#db.get<{ version: number }>(
      'SELECT version FROM archive_series WHERE study_instance_uid = $1 AND series_instance_uid = $2',
      [studyInstanceUid, seriesInstanceUid],
    )
    return row?.version
  }

  storedFile(sopInstanceUid: string): Promise<StoredFileRow | undefined> {
    return this.#db.get<StoredFileRow>(
      `SELECT ${select('instance', [...instanceColumns, 'file_id', 'header_bytes', 'dataset_offset', 'frame_index'])} FROM archive_instance instance WHERE instance.sop_instance_uid = $1`,
      [sopInstanceUid],
    )
  }

  storedFiles(studyInstanceUid: string, seriesInstanceUid: string): Promise<StoredFileRow[]> {
    return this.#db.all<StoredFileRow>(
      `SELECT ${select('instance', [...instanceColumns, 'file_id', 'header_bytes', 'dataset_offset', 'frame_index'])} FROM archive_instance instance
       WHERE instance.study_instance_uid = $1 AND instance.series_instance_uid = $2 ORDER BY ${numberOrder('instance', 'instance_number', 'sop_instance_uid')}`,
      [studyInstanceUid, seriesInstanceUid],
    )
  }

  manifest(studyInstanceUid: string): Promise<ManifestRow[]> {
    return this.#db.all<ManifestRow>(
      `SELECT instance.series_instance_uid AS "seriesInstanceUid", instance.sop_instance_uid AS "sopInstanceUid", instance.sop_class_uid AS "sopClassUid",
         instance.transfer_syntax_uid AS "transferSyntaxUid", substr(instance.instance_number, 1, 16) AS "instanceNumber", substr(series.modality, 1, 16) AS "modality",
         instance.size_bytes AS "sizeBytes", instance.sm3 AS "sm3"
       FROM archive_instance instance JOIN archive_series series ON series.study_instance_uid = instance.study_instance_uid AND series.series_instance_uid = instance.series_instance_uid
       WHERE instance.study_instance_uid = $1 ORDER BY ${numberOrder('series', 'series_number', 'series_instance_uid')}, ${numberOrder('instance', 'instance_number', 'sop_instance_uid')}`,
      [studyInstanceUid],
    )
  }

  replacements(studyInstanceUid: string): Promise<ReplacementRow[]> {
    const columns = [
      'sop_instance_uid',
      'study_instance_uid',
      'previous_sm3',
      'previous_size_bytes',
      'new_sm3',
      'kept_as',
      'replaced_at',
      'source_kind',
      'source_peer',
      'reason',
      'rewrite_id',
    ]
    return this.#db.all<ReplacementRow>(
      `SELECT ${select('trace', columns)} FROM archive_replacement trace WHERE trace.study_instance_uid = $1 ORDER BY trace.replaced_at, trace.replacement_id`,
      [studyInstanceUid],
    )
  }

  async keptReplacement(keptAs: string): Promise<{ keptAs: string } | undefined> {
    return this.#db.get('SELECT kept_as AS "keptAs" FROM archive_replacement WHERE kept_as = $1', [keptAs])
  }

  /** Newest first. */
  async coercions({ studyInstanceUid, since = 0, until = Number.MAX_SAFE_INTEGER, limit = 1_000 }: Parameters<Archive['coercions']>[0] = {}): Promise<CoercionRow[]> {
    const ofStudy = studyInstanceUid === undefined ? '' : 'AND study_instance_uid = $4'
    const rows = await this.#db.all<Omit<CoercionRow, 'changes'> & { changes: string }>(
      `SELECT sop_instance_uid AS "sopInstanceUid", study_instance_uid AS "studyInstanceUid", coerced_at AS "coercedAt", coerced_by AS "by", changes,
         original_sm3 AS "originalSm3", source_peer AS "sourcePeer"
       FROM archive_coercion WHERE coerced_at >= $1 AND coerced_at <= $2 ${ofStudy} ORDER BY coerced_at DESC, coercion_id LIMIT $3`,
      [since, until, limit, ...(studyInstanceUid === undefined ? [] : [studyInstanceUid])],
    )
    return rows.map((row) => ({ ...row, changes: JSON.parse(row.changes) as CoercionRow['changes'] }))
  }

  async totals(): Promise<{ studies: number; instances: number; sizeBytes: number }> {
    const row = await this.#db.get<{ studies: number; instances: number; sizeBytes: number }>(
      'SELECT count(*) AS "studies", coalesce(sum(instance_count), 0) AS "instances", coalesce(sum(size_bytes), 0) AS "sizeBytes" FROM archive_study',
    )
    return row ?? { studies: 0, instances: 0, sizeBytes: 0 }
  }

  async #studiesOf(rows: readonly { studyInstanceUid: string }[]): Promise<Map<string, StudyRow>> {
    const uids = [...new Set(rows.map(({ studyInstanceUid }) => studyInstanceUid))]
    const studies = await inPortions(uids, (part) =>
      this.#db.all<PlainStudy>(
        `SELECT ${select('study', studyColumns)} FROM archive_study study WHERE study.study_instance_uid IN (${numbered(part)})`,
        part,
      ),
    )
    return new Map((await completeStudies(this.#db, studies)).map((study) => [study.studyInstanceUid, study]))
  }

  async #seriesOf(rows: readonly { studyInstanceUid: string }[]): Promise<Map<string, SeriesRow>> {
    const uids = [...new Set(rows.map(({ studyInstanceUid }) => studyInstanceUid))]
    const series = await inPortions(uids, (part) =>
      this.#db.all<SeriesRow>(
        `SELECT ${select('series', seriesColumns)} FROM archive_series series WHERE series.study_instance_uid IN (${numbered(part)})`,
        part,
      ),
    )
    return new Map(series.map((row) => [`${row.studyInstanceUid}/${row.seriesInstanceUid}`, row]))
  }
}

const numbered = (values: readonly unknown[]): string => values.map((_value, index) => `$${index + 1}`).join(', ')

async function inPortions<V, T>(values: readonly V[], ask: (part: readonly V[]) => Promise<T[]>): Promise<T[]> {
  const rows: T[] = []
  for (let from = 0; from < values.length; from += 500) rows.push(...(await ask(values.slice(from, from + 500))))
  return rows
}

function page(conditions: Conditions, { limit, offset }: MatchQuery): string {
  return `${limit === undefined ? '' : `LIMIT ${conditions.parameter(limit)}`} ${offset ? `${limit === undefined && conditions.dialect === 'sqlite' ? 'LIMIT -1 ' : ''}OFFSET ${conditions.parameter(offset)}` : ''}`
}

/** Adds what a study's series tell about it. */
export async function completeStudies(db: Queries, rows: readonly PlainStudy[]): Promise<StudyRow[]> {
  const uids = rows.map(({ studyInstanceUid }) => studyInstanceUid)
  const series = await inPortions(uids, (part) =>
    db.all<{ studyInstanceUid: string; modality: string; bodyPart: string; seriesCount: number }>(
      `SELECT study_instance_uid AS "studyInstanceUid", modality, body_part_examined AS "bodyPart", count(*) AS "seriesCount" FROM archive_series
       WHERE study_instance_uid IN (${numbered(part)}) GROUP BY study_instance_uid, modality, body_part_examined`,
      part,
    ),
  )
  const classes = await inPortions(uids, (part) =>
    db.all<{ studyInstanceUid: string; sopClassUid: string }>(
      `SELECT DISTINCT study_instance_uid AS "studyInstanceUid", sop_class_uid AS "sopClassUid" FROM archive_series_class WHERE study_instance_uid IN (${numbered(part)})`,
      part,
    ),
  )
  const seriesOf = grouped(series)
  const classesOf = grouped(classes)
  return rows.map((row) => {
    const own = seriesOf.get(row.studyInstanceUid) ?? []
    return {
      ...row,
      modalitiesInStudy: distinct(own.map(({ modality }) => modality)),
      bodyPartsExamined: distinct(own.map(({ bodyPart }) => bodyPart)),
      sopClassesInStudy: distinct((classesOf.get(row.studyInstanceUid) ?? []).map(({ sopClassUid }) => sopClassUid)),
      seriesCount: own.reduce((sum, { seriesCount }) => sum + seriesCount, 0),
    }
  })
}

const distinct = (values: readonly string[]): string[] => [...new Set(values)].filter((value) => value !== '').sort()

function grouped<T extends { studyInstanceUid: string }>(rows: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) groups.set(row.studyInstanceUid, [...(groups.get(row.studyInstanceUid) ?? []), row])
  return groups
}
