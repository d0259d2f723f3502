import type { Queries, Database } from 'service-kit'
import type { ManifestRow } from 'specs'
import { attributesOf, type Level } from './attributes.ts'
import type { Archive, ArrivedStudy, CoercionRow, InstanceMatch, InstanceRow, MatchQuery, PatientRow, ReplacementRow, SeriesMatch, SeriesRow, StudyRow } from './archive.ts'
import { addMatches, Conditions } from './matching.ts'
import { findWay, page, requireWhole, studyKeys, studyUidsSql, tooBroad, type SearchGround } from './study-search.ts'

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
  'campus',
  'tier',
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
  'campus',
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

type Unpaged = Omit<MatchQuery, 'limit' | 'offset'>
type Paged = { readonly limit?: number | undefined; readonly offset?: number | undefined }

/** Studies whose series or instances one search may look through, when nothing names the study or the object itself. */
const SERIES_OF = 20_000
const INSTANCES_OF = 5_000

export class IndexQueries {
  readonly #db: Database
  readonly #ground: SearchGround

  /** @param ground for searches; without it as in an archive whose names have no words yet. */
  constructor(db: Database, ground: Partial<SearchGround> = {}) {
    this.#db = db
    this.#ground = { db, nameWords: () => false, studies: () => 0, ...ground }
  }

  #conditions(): Conditions {
    return new Conditions(this.#db.dialect, this.#ground.nameWords())
  }

  async patients(query: MatchQuery = {}): Promise<PatientRow[]> {
    const conditions = this.#conditions()
    addMatches(conditions, 'patient', query.match ?? {}, query)
    conditions.matchRegion('study', query.regionId)
    conditions.matchReceiverOfPatient('study', query.receivingNode)
    return this.#db.all<PatientRow>(
      `SELECT study.region_id AS "regionId", study.hospital_id AS "hospitalId", ${select('study', columnsAt('patient'))},
         (SELECT count(*) FROM archive_study own WHERE own.patient_key = study.patient_key) AS "studyCount"
       FROM archive_patient study ${conditions.where} ORDER BY study.patient_id, study.patient_key ${page(conditions, query)}`,
      conditions.params,
    )
  }

  /** @throws {Problem} archive/query-too-broad */
  async studies(query: MatchQuery = {}): Promise<StudyRow[]> {
    const way = await findWay(this.#ground, query)
    const conditions = this.#conditions()
    const rows = await this.#db.all<PlainStudy>(
      `SELECT ${select('study', studyColumns)} FROM archive_study study WHERE study.study_instance_uid IN (${studyUidsSql(conditions, query, way)})
       ORDER BY study.study_date DESC, study.study_time DESC, study.study_instance_uid`,
      conditions.params,
    )
    requireWhole(way, query, rows.length)
    return completeStudies(this.#db, rows)
  }

  /** @throws {Problem} archive/query-too-broad */
  async series(studyInstanceUid: string | undefined, query: MatchQuery = {}): Promise<SeriesMatch[]> {
    const isNamed = studyInstanceUid !== undefined || query.match?.['SeriesInstanceUID'] !== undefined
    const rows = isNamed
      ? await this.#seriesIn(studyInstanceUid === undefined ? undefined : [studyInstanceUid], query)
      : await this.#throughStudies(query, SERIES_OF, (studies) => this.#seriesIn(studies, { ...query, limit: undefined, offset: undefined }))
    const studies = await this.#studiesOf(rows)
    return rows.flatMap((row) => {
      const study = studies.get(row.studyInstanceUid)
      return study ? [{ ...row, study }] : []
    })
  }

  #seriesIn(studies: readonly string[] | undefined, query: Unpaged & Paged): Promise<SeriesRow[]> {
    const conditions = this.#conditions()
    if (studies !== undefined) conditions.add(`series.study_instance_uid IN (${studies.map((uid) => conditions.parameter(uid)).join(', ')})`)
    addMatches(conditions, 'series', query.match ?? {}, { ...query, driver: studies === undefined ? undefined : '' })
    conditions.matchRegion('series', query.regionId)
    conditions.matchReceiver('series', query.receivingNode)
    conditions.matchCampus('series', query.campus)
    return this.#db.all<SeriesRow>(
      `SELECT ${select('series', seriesColumns)} FROM archive_series series JOIN archive_study study ON study.study_instance_uid = series.study_instance_uid
       ${conditions.where} ORDER BY ${studies?.length === 1 ? '' : 'study.study_date DESC, study.study_time DESC, study.study_instance_uid, '}${numberOrder('series', 'series_number', 'series_instance_uid')} ${page(conditions, query)}`,
      conditions.params,
    )
  }

  /** @throws {Problem} archive/query-too-broad */
  async instances(
    studyInstanceUid: string | undefined,
    seriesInstanceUid: string | undefined,
    query: MatchQuery = {},
  ): Promise<InstanceMatch[]> {
    const isNamed = [studyInstanceUid, seriesInstanceUid, query.match?.['SeriesInstanceUID'], query.match?.['SOPInstanceUID']].some((uid) => uid !== undefined)
    const rows = isNamed
      ? await this.#instancesIn(studyInstanceUid === undefined ? undefined : [studyInstanceUid], seriesInstanceUid, query)
      : await this.#throughStudies(query, INSTANCES_OF, (studies) => this.#instancesIn(studies, undefined, { ...query, limit: undefined, offset: undefined }))
    const studies = await this.#studiesOf(rows)
    const series = await this.#seriesOf(rows)
    return rows.flatMap((row) => {
      const ofStudy = studies.get(row.studyInstanceUid)
      const ofSeries = series.get(`${row.studyInstanceUid}/${row.seriesInstanceUid}`)
      return ofStudy && ofSeries ? [{ ...row, study: ofStudy, series: ofSeries }] : []
    })
  }

  #instancesIn(studies: readonly string[] | undefined, seriesInstanceUid: string | undefined, query: Unpaged & Paged): Promise<InstanceRow[]> {
    const conditions = this.#conditions()
    if (studies !== undefined) conditions.add(`instance.study_instance_uid IN (${studies.map((uid) => conditions.parameter(uid)).join(', ')})`)
    if (seriesInstanceUid !== undefined) conditions.add(`instance.series_instance_uid = ${conditions.parameter(seriesInstanceUid)}`)
    addMatches(conditions, 'instance', query.match ?? {}, { ...query, driver: studies === undefined ? undefined : '' })
    conditions.matchRegion('instance', query.regionId)
    conditions.matchReceiver('instance', query.receivingNode)
    conditions.matchCampusOfStudy('instance', query.campus)
    return this.#db.all<InstanceRow>(
      `SELECT ${select('instance', instanceColumns)} FROM archive_instance instance
       JOIN archive_series series ON series.study_instance_uid = instance.study_instance_uid AND series.series_instance_uid = instance.series_instance_uid
       JOIN archive_study study ON study.study_instance_uid = instance.study_instance_uid
       ${conditions.where} ORDER BY study.study_date DESC, study.study_time DESC, study.study_instance_uid, ${numberOrder('series', 'series_number', 'series_instance_uid')}, ${numberOrder('instance', 'instance_number', 'sop_instance_uid')} ${page(conditions, query)}`,
      conditions.params,
    )
  }

  /** Study after study, the newest first, until the page is full: joining all that there is would sort millions of rows for it. */
  async #throughStudies<R>(query: MatchQuery, most: number, rowsOf: (studies: readonly string[]) => Promise<R[]>): Promise<R[]> {
    const { limit, offset = 0 } = query
    const ofStudies: MatchQuery = { ...query, match: studyKeys(query.match ?? {}) }
    const needed = limit === undefined ? Infinity : offset + limit
    const way = await findWay(this.#ground, ofStudies)
    const rows: R[] = []
    for (let seen = 0, size = 100; rows.length < needed; size = Math.min(size * 2, 2_000)) {
      const conditions = this.#conditions()
      const paged = { ...ofStudies, limit: size, offset: seen }
      const uids = (await this.#db.all<{ uid: string }>(studyUidsSql(conditions, paged, way), conditions.params)).map(({ uid }) => uid)
      if (uids.length > 0) rows.push(...(await rowsOf(uids)))
      seen += uids.length
      if (rows.length >= needed) break
      requireWhole(way, paged, uids.length)
      if (uids.length < size) break
      if (seen >= most) throw tooBroad({ lookedAt: seen })
    }
    return rows.slice(offset, limit === undefined ? undefined : offset + limit)
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

  arrivals({ since, until, limit }: Parameters<Archive['arrivals']>[0]): Promise<ArrivedStudy[]> {
    const ofStudy = (table: string) => `FROM ${table} part WHERE part.study_instance_uid = study.study_instance_uid`
    return this.#db.all<ArrivedStudy>(
      `SELECT study.study_instance_uid AS "studyInstanceUid", study.hospital_id AS "hospitalId", study.received_at AS "receivedAt", study.updated_at AS "updatedAt",
         study.instance_count AS "instanceCount", study.size_bytes AS "sizeBytes", study.duplicate_count AS "duplicateCount",
         (SELECT COUNT(*) ${ofStudy('archive_series')}) AS "seriesCount",
         COALESCE((SELECT MIN(part.modality) ${ofStudy('archive_series')} AND part.modality NOT IN ('', 'KO', 'SR', 'PR', 'SEG')), (SELECT MIN(part.modality) ${ofStudy('archive_series')}), '') AS "modality",
         COALESCE((SELECT part.source_peer ${ofStudy('archive_instance')} LIMIT 1), '') AS "sourcePeer",
         (SELECT COUNT(*) ${ofStudy('archive_instance')} AND part.missing = 1) AS "missing"
       FROM archive_study study WHERE study.updated_at >= $1 AND study.updated_at < $2 ORDER BY study.updated_at DESC, study.study_instance_uid LIMIT $3`,
      [since, until, limit],
    )
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
