import type { Request, Response } from 'express'
import { Problem } from 'specs'
import { attributeByKeyword, type Level } from '../archive/attributes.ts'
import type { Archive, InstanceMatch, SeriesMatch, StudyRow } from '../archive/archive.ts'
import { parsePredicate, predicateHolds, unmatchedKeywords } from '../archive/matching.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { chooseDatasetForm, sendDatasets } from './dataset-answer.ts'
import { IncludedAttributes, isBeyondIndex, type Described } from './included.ts'
import { permittedRows, type Page } from './permitted-rows.ts'
import { maskDataset, seesIdentities } from './identity-mask.ts'
import { instanceJson, seriesJson, studyJson } from './qido-answer.ts'
import { parseQidoQuery, type QidoMatching, type QidoQuery } from './qido-query.ts'
import type { StudySource, Viewer } from './study-source.ts'

/** Searches over everything answer no more than this; the asker is told and may go on by `offset`. */
const maxResults = 1_000
/** Attributes that are in the images' headers only: for so many results a header is looked up. */
const maxDescribed = 200

type SearchLevel = Exclude<Level, 'patient'>
const isMatchedAt = (level: SearchLevel) => (keyword: string) => unmatchedKeywords(level, { [keyword]: 'x' }).length === 0

/** One search: who asks, by what, and how the answer is made. */
interface Asked {
  readonly request: Request
  readonly response: Response
  readonly user: Viewer
  readonly level: SearchLevel
  readonly query: QidoQuery
  /** How many results the answer has at most. */
  readonly limit: number
}

function asked(request: Request, response: Response, user: Viewer, level: SearchLevel, most: number): Asked {
  chooseDatasetForm(request) // before anything is looked for
  const question = request.originalUrl.indexOf('?')
  const query = parseQidoQuery(new URLSearchParams(question < 0 ? '' : request.originalUrl.slice(question + 1)), isMatchedAt(level))
  return { request, response, user, level, query, limit: Math.min(query.limit ?? most, most, isBeyondIndex(query, level) ? maxDescribed : most) }
}

interface Found<R> {
  readonly row: R
  readonly archive: Archive
}

/** `GET /studies` over all archives the user may list; a study that lies in two of them is answered once. */
export async function searchStudies(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const ask = asked(request, response, user, 'study', maxResults)
  const rows = await gather(
    source,
    ask,
    async (archive, page) => archive.studies(page),
    (row: StudyRow) => row.studyInstanceUid,
    (row) => row,
  )
  await answer(ask, rows, ({ row }) => studyJson(row), ({ row, archive }) => firstSeries(archive, row.studyInstanceUid)) // prettier-ignore
}

export async function searchSeries(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const ask = asked(request, response, user, 'series', maxResults)
  const rows = await gather(
    source,
    ask,
    async (archive, page) => archive.series(undefined, page),
    (row: SeriesMatch) => `${row.studyInstanceUid}/${row.seriesInstanceUid}`,
    (row) => row.study,
  )
  await answer(
    ask,
    rows,
    ({ row }) => ({ ...studyJson(row.study), ...seriesJson(row) }),
    ({ row, archive }) => ({ metadata: () => archive.seriesMetadata(row.studyInstanceUid, row.seriesInstanceUid) }),
  )
}

export async function searchInstances(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const ask = asked(request, response, user, 'instance', maxResults)
  const rows = await gather(
    source,
    ask,
    async (archive, page) => archive.instances(undefined, undefined, page),
    (row: InstanceMatch) => row.sopInstanceUid,
    (row) => row.study,
  )
  await answer(
    ask,
    rows,
    ({ row }) => ({ ...studyJson(row.study), ...seriesJson(row.series), ...instanceJson(row) }),
    ({ row, archive }) => ({ metadata: () => archive.seriesMetadata(row.studyInstanceUid, row.seriesInstanceUid), sopInstanceUid: row.sopInstanceUid }),
  )
}

function firstSeries(archive: Archive, studyInstanceUid: string): Described {
  return {
    async metadata() {
      const [series] = await archive.series(studyInstanceUid, { limit: 1 })
      return series && archive.seriesMetadata(studyInstanceUid, series.seriesInstanceUid)
    },
  }
}

/** `GET /studies/{study}/series`: the study may lie elsewhere, so its list is filtered here. */
export async function searchStudySeries(
  source: StudySource,
  user: Viewer,
  request: Request,
  response: Response,
  studyInstanceUid: string,
): Promise<void> {
  const ask = asked(request, response, user, 'series', Infinity)
  const access = await source.forStudy(user, studyInstanceUid)
  const study = await access.study()
  const rows = (await access.seriesList()).filter((row) => holds(ask.query.matching, { ...study, ...row }))
  await answer(ask, page(rows, ask), seriesJson, (row) => ({ metadata: () => access.metadata(row.seriesInstanceUid) }))
}

export async function searchStudyInstances(
  source: StudySource,
  user: Viewer,
  request: Request,
  response: Response,
  studyInstanceUid: string,
  seriesInstanceUid?: string,
): Promise<void> {
  const ask = asked(request, response, user, 'instance', Infinity)
  const access = await source.forStudy(user, studyInstanceUid)
  const series = new Map((await access.seriesList()).map((row) => [row.seriesInstanceUid as string, row]))
  if (seriesInstanceUid !== undefined && !series.has(seriesInstanceUid))
    throw new Problem('archive/unknown-study', { studyInstanceUid, seriesInstanceUid })
  const study = await access.study()
  const rows = (await access.instanceList(seriesInstanceUid)).filter((row) =>
    holds(ask.query.matching, { ...study, ...series.get(row.seriesInstanceUid), ...row }),
  )
  await answer(
    ask,
    page(rows, ask),
    (row) => {
      const own = series.get(row.seriesInstanceUid)
      return { ...(own && seriesInstanceUid === undefined && seriesJson(own)), ...instanceJson(row) }
    },
    (row) => ({ metadata: () => access.metadata(row.seriesInstanceUid), sopInstanceUid: row.sopInstanceUid }),
  )
}

/** Newest first over all archives; each is asked for as much as the page could need from it alone. */
async function gather<R extends { readonly studyInstanceUid: string }>(
  source: StudySource,
  { user, query: { matching, offset }, limit }: Asked,
  ask: (archive: Archive, page: Page) => Promise<R[]>,
  keyOf: (row: R) => string,
  studyOf: (row: R) => StudyRow,
): Promise<Found<R>[]> {
  const archives = await source.qido(user, matching.match)
  const needed = offset + limit
  const found = await Promise.all(
    archives.map(async (archive) => {
      const rows = await permittedRows({ source, user, archive, matching, ask: (wanted) => ask(archive, wanted) }, needed)
      return rows.map((row) => ({ row, archive }))
    }),
  )
  const distinct = new Map<string, Found<R>>()
  for (const each of found.flat()) if (!distinct.has(keyOf(each.row))) distinct.set(keyOf(each.row), each)
  const rows = [...distinct.values()]
  if (archives.length > 1) rows.sort((a, b) => dateOf(studyOf(b.row)).localeCompare(dateOf(studyOf(a.row))))
  return rows.slice(offset, offset + limit)
}

const dateOf = ({ studyDate, studyTime }: StudyRow): string => studyDate + studyTime

const page = <R>(rows: readonly R[], { query: { offset }, limit }: Asked): readonly R[] => rows.slice(offset, offset + limit)

function holds({ match, regionId, ...rules }: QidoMatching, row: { readonly regionId: string }): boolean {
  if (regionId !== undefined && row.regionId !== regionId) return false
  const values = new Map<string, unknown>(Object.entries(row))
  return Object.entries(match).every(([keyword, text]) => {
    const attribute = attributeByKeyword(keyword)
    if (!attribute) return true
    const value = values.get(attribute.member)
    return predicateHolds(parsePredicate(attribute.vr, text, rules), value === null || value === undefined ? '' : String(value))
  })
}

/** Searches take a full name and answer a masked one. */
async function answer<R>(ask: Asked, rows: readonly R[], json: (row: R) => JsonDataset, describe: (row: R) => Described): Promise<void> {
  const { request, response, user, level, query, limit } = ask
  const included = isBeyondIndex(query, level) ? new IncludedAttributes(query) : undefined
  const shown = seesIdentities(user) ? (dataset: JsonDataset) => dataset : maskDataset
  const datasets: JsonDataset[] = []
  for (const row of rows) datasets.push(shown(included ? { ...(await included.of(describe(row))), ...json(row) } : json(row)))
  const isFull = limit > 0 && rows.length >= limit
  const isCut = isFull && (query.limit ?? Infinity) > limit
  const warnings = [...query.warnings, ...(isCut ? [`The number of results exceeded the maximum of ${limit}, ask for more by offset`] : [])]
  if (warnings.length > 0)
    response.setHeader('Warning', warnings.map((text) => `299 lianpian "${text.replaceAll(/[^\x20-\x21\x23-\x7e]/g, ' ')}"`).join(', '))
  if (isFull) response.setHeader('Link', `<${nextPage(request, query.offset + rows.length)}>; rel="next"`)
  await sendDatasets(request, response, { json: JSON.stringify(datasets) })
}

/** The same search from there on. */
function nextPage({ originalUrl }: Request, offset: number): string {
  const [path = '', search = ''] = originalUrl.split('?', 2)
  const parameters = new URLSearchParams(search)
  parameters.set('offset', String(offset))
  return `${path}?${parameters}`
}
