import { type Archive, type InstanceMatch, type PatientRow, type SeriesMatch, type StudyRow } from '../archive/archive.ts'
import { type Attribute, attributesOf, type Level } from '../archive/attributes.ts'
import { type Query, type QueryLevel, type QuerySource } from './services.ts'

/** Rows read at a time, so that a station that reads slowly, or cancels, does not cost a whole result. */
const PAGE_ROWS = 200

type Match = Readonly<Record<string, string>>
type Row = Readonly<Record<string, unknown>>

const rowLevels: Record<QueryLevel, readonly Level[]> = {
  PATIENT: ['patient'],
  STUDY: ['patient', 'study'],
  SERIES: ['patient', 'study', 'series'],
  IMAGE: ['patient', 'study', 'series', 'instance'],
}
/** Matched although they are no column of one row. */
const computedKeys = new Set(['ModalitiesInStudy', 'SOPClassesInStudy'])
const matchedKeywords = new Set([
  ...rowLevels.IMAGE.flatMap((level) => attributesOf(level).map((attribute) => attribute.keyword)),
  ...computedKeys,
])

/** C-FIND over the index of an archive (FED-21). Matching itself is the archive's: the same as for QIDO-RS. */
export function archiveQuery(archive: Pick<Archive, 'patients' | 'studies' | 'series' | 'instances'>): QuerySource {
  return {
    isMatched: (keyword) => matchedKeywords.has(keyword),
    async *find(query, signal) {
      // A key below the level of the query says nothing about its rows (PS3.4 C.4.1.2.1).
      const usable = new Set(rowLevels[query.level].flatMap((level) => attributesOf(level).map((attribute) => attribute.keyword)))
      const match = Object.fromEntries(
        Object.entries(query.keys).filter(([keyword, text]) => text !== '' && (usable.has(keyword) || computedKeys.has(keyword))),
      )
      for (let offset = 0; !signal.aborted; offset += PAGE_ROWS) {
        const rows = await page(archive, query, { match, limit: PAGE_ROWS, offset })
        yield* rows
        if (rows.length < PAGE_ROWS) return
      }
    },
  }
}

type Paged = { readonly match: Match; readonly limit: number; readonly offset: number }

async function page(
  archive: Pick<Archive, 'patients' | 'studies' | 'series' | 'instances'>,
  { level, keys }: Query,
  paged: Paged,
): Promise<Match[]> {
  switch (level) {
    case 'PATIENT':
      return (await archive.patients(paged)).map(patientMatch)
    case 'STUDY':
      return (await archive.studies(paged)).map(studyMatch)
    case 'SERIES':
      return (await archive.series(keys['StudyInstanceUID'], paged)).map(seriesMatch)
    case 'IMAGE':
      return (await archive.instances(keys['StudyInstanceUID'], keys['SeriesInstanceUID'], paged)).map(instanceMatch)
  }
}

function patientMatch(row: PatientRow): Match {
  return { ...columns(row, 'patient'), NumberOfPatientRelatedStudies: String(row.studyCount) }
}

function studyMatch(row: StudyRow): Match {
  return {
    ...columns(row, 'patient'),
    ...columns(row, 'study'),
    ModalitiesInStudy: row.modalitiesInStudy.join('\\'),
    SOPClassesInStudy: row.sopClassesInStudy.join('\\'),
    NumberOfStudyRelatedSeries: String(row.seriesCount),
    NumberOfStudyRelatedInstances: String(row.instanceCount),
  }
}

function seriesMatch(row: SeriesMatch): Match {
  return { ...studyMatch(row.study), ...columns(row, 'series'), NumberOfSeriesRelatedInstances: String(row.instanceCount) }
}

function instanceMatch(row: InstanceMatch): Match {
  return {
    ...studyMatch(row.study),
    ...columns(row.series, 'series'),
    ...columns(row, 'instance'),
    AvailableTransferSyntaxUID: row.transferSyntaxUid,
  }
}

/** The index names its columns after DICOM keywords, so a row tells its attributes by itself. */
function columns(row: object, level: Level): Match {
  const values = row as Row
  return Object.fromEntries(attributesOf(level).map((attribute: Attribute) => [attribute.keyword, textOf(values[attribute.member])]))
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
