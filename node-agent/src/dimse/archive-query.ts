import { type Archive, type InstanceMatch, type MatchQuery, type PatientRow, type SeriesMatch, type StudyRow } from '../archive/archive.ts'
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

type Index = Pick<Archive, 'patients' | 'studies' | 'series' | 'instances'>
/** Of these studies, those that the asking node may be told of. */
type Permitted = (studies: readonly string[]) => Promise<ReadonlySet<string>>

/**
 * C-FIND over the index of an archive (FED-21). Matching itself is the archive's: the same as for QIDO-RS.
 * @param permitted all studies unless told; what is not permitted appears at no level and in no count.
 */
export function archiveQuery(archive: Index, permitted?: Permitted): QuerySource {
  return {
    isMatched: (keyword) => matchedKeywords.has(keyword),
    async *find(query, signal) {
      // A key below the level of the query says nothing about its rows (PS3.4 C.4.1.2.1).
      const usable = new Set(rowLevels[query.level].flatMap((level) => attributesOf(level).map((attribute) => attribute.keyword)))
      const match = Object.fromEntries(
        Object.entries(query.keys).filter(([keyword, text]) => text !== '' && (usable.has(keyword) || computedKeys.has(keyword))),
      )
      for (let offset = 0; !signal.aborted; offset += PAGE_ROWS) {
        const agreed = { fuzzy: query.extended?.fuzzy === true, combinedDateTime: query.extended?.dateTime === true, receivingNode: query.terms?.receivingNode }
        const { rows, isLast } = await page(archive, query, { match, limit: PAGE_ROWS, offset, ...agreed }, permitted)
        yield* rows
        if (isLast) return
      }
    },
  }
}

type Paged = MatchQuery & { readonly match: Match; readonly limit: number; readonly receivingNode: string | undefined }

async function page(archive: Index, { level, keys }: Query, paged: Paged, permitted: Permitted | undefined): Promise<{ rows: Match[]; isLast: boolean }> {
  const answered = async <R extends { readonly studyInstanceUid: string }>(found: readonly R[], matchOf: (row: R) => Match) => {
    const told = permitted && (await permitted([...new Set(found.map(({ studyInstanceUid }) => studyInstanceUid))]))
    const rows = told ? found.filter(({ studyInstanceUid }) => told.has(studyInstanceUid)) : found
    return { rows: rows.map(matchOf), isLast: found.length < paged.limit }
  }
  switch (level) {
    case 'PATIENT': {
      const found = await archive.patients(paged)
      const isCounted = 'NumberOfPatientRelatedSeries' in keys || 'NumberOfPatientRelatedInstances' in keys
      const rows = permitted || isCounted ? await patientsOf(archive, found, permitted, paged.receivingNode) : found
      return { rows: rows.map(patientMatch), isLast: found.length < paged.limit }
    }
    case 'STUDY':
      return answered(await archive.studies(paged), studyMatch)
    case 'SERIES':
      return answered(await archive.series(oneOf(keys['StudyInstanceUID']), paged), seriesMatch)
    case 'IMAGE':
      return answered(await archive.instances(oneOf(keys['StudyInstanceUID']), oneOf(keys['SeriesInstanceUID']), paged), instanceMatch)
  }
}

/** A UID that narrows the look-up; in relational queries there may be none, or several, which are matched like any key. */
const oneOf = (text: string | undefined): string | undefined => (text === '' || text?.includes('\\') ? undefined : text)

interface CountedPatient extends PatientRow {
  readonly seriesCount?: number
  readonly instanceCount?: number
}

/** Patients with at least one study that may be told of; only those are counted. */
async function patientsOf(archive: Index, patients: readonly PatientRow[], permitted: Permitted | undefined, receivingNode: string | undefined): Promise<CountedPatient[]> {
  const rows: CountedPatient[] = []
  for (const patient of patients) {
    const { patientId, issuerOfPatientId } = patient
    // A backslash would make it two numbers, a wildcard many: then the studies of all are looked through.
    const match: Match = /[\\*?]/.test(patientId) ? {} : { PatientID: patientId, IssuerOfPatientID: issuerOfPatientId }
    const studies = (await archive.studies({ match, receivingNode })).filter((study) => study.patientId === patientId && study.issuerOfPatientId === issuerOfPatientId)
    const allowed = studies.length === 0 || !permitted ? undefined : await permitted(studies.map(({ studyInstanceUid }) => studyInstanceUid))
    const told = allowed ? studies.filter(({ studyInstanceUid }) => allowed.has(studyInstanceUid)) : studies
    const sum = (count: (study: StudyRow) => number) => told.reduce((total, study) => total + count(study), 0)
    if (told.length > 0) rows.push({ ...patient, studyCount: told.length, seriesCount: sum((study) => study.seriesCount), instanceCount: sum((study) => study.instanceCount) })
  }
  return rows
}

function patientMatch(row: CountedPatient): Match {
  return {
    ...columns(row, 'patient'),
    NumberOfPatientRelatedStudies: String(row.studyCount),
    NumberOfPatientRelatedSeries: String(row.seriesCount ?? ''),
    NumberOfPatientRelatedInstances: String(row.instanceCount ?? ''),
  }
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
