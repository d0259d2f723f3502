import type { Request, Response } from 'express'
import { Problem } from 'specs'
import { attributeByKeyword, type Level } from '../archive/attributes.ts'
import type { InstanceMatch, SeriesMatch, StudyRow } from '../archive/archive.ts'
import { parsePredicate, predicateHolds, unmatchedKeywords } from '../archive/matching.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { acceptedBy, covers } from './accept.ts'
import { permittedRows } from './permitted-rows.ts'
import { maskDataset, seesIdentities } from './identity-mask.ts'
import { instanceJson, seriesJson, studyJson } from './qido-answer.ts'
import { parseQidoQuery, type QidoQuery } from './qido-query.ts'
import type { StudySource, Viewer } from './study-source.ts'

/** Searches over everything answer no more than this; the asker is told and may go on by `offset`. */
const maxResults = 1_000

const isMatchedAt = (level: Level) => (keyword: string) => unmatchedKeywords(level, { [keyword]: 'x' }).length === 0

function queryOf(request: Request, level: Level): QidoQuery {
  const question = request.originalUrl.indexOf('?')
  return parseQidoQuery(new URLSearchParams(question < 0 ? '' : request.originalUrl.slice(question + 1)), isMatchedAt(level))
}

/** `GET /studies` over all archives the user may list; a study that lies in two of them is answered once. */
export async function searchStudies(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const query = queryOf(request, 'study')
  const rows = await gather(
    source,
    user,
    query,
    async (archive, page) => archive.studies(page),
    (row: StudyRow) => row.studyInstanceUid,
    (row) => row,
  )
  answer(request, response, query, rows, studyFor(user))
}

export async function searchSeries(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const query = queryOf(request, 'series')
  const rows = await gather(
    source,
    user,
    query,
    async (archive, page) => archive.series(undefined, page),
    (row: SeriesMatch) => `${row.studyInstanceUid}/${row.seriesInstanceUid}`,
    (row) => row.study,
  )
  answer(request, response, query, rows, (row) => ({ ...studyFor(user)(row.study), ...seriesJson(row) }))
}

export async function searchInstances(source: StudySource, user: Viewer, request: Request, response: Response): Promise<void> {
  const query = queryOf(request, 'instance')
  const rows = await gather(
    source,
    user,
    query,
    async (archive, page) => archive.instances(undefined, undefined, page),
    (row: InstanceMatch) => row.sopInstanceUid,
    (row) => row.study,
  )
  answer(request, response, query, rows, (row) => ({ ...studyFor(user)(row.study), ...seriesJson(row.series), ...instanceJson(row) }))
}

/** `GET /studies/{study}/series`: the study may lie elsewhere, so its list is filtered here. */
export async function searchStudySeries(
  source: StudySource,
  user: Viewer,
  request: Request,
  response: Response,
  studyInstanceUid: string,
): Promise<void> {
  const query = queryOf(request, 'series')
  const access = await source.forStudy(user, studyInstanceUid)
  const study = await access.study()
  const rows = (await access.seriesList()).filter((row) => holds(query, { ...study, ...row }))
  answer(request, response, query, page(rows, query), seriesJson)
}

export async function searchStudyInstances(
  source: StudySource,
  user: Viewer,
  request: Request,
  response: Response,
  studyInstanceUid: string,
  seriesInstanceUid?: string,
): Promise<void> {
  const query = queryOf(request, 'instance')
  const access = await source.forStudy(user, studyInstanceUid)
  const series = new Map((await access.seriesList()).map((row) => [row.seriesInstanceUid as string, row]))
  if (seriesInstanceUid !== undefined && !series.has(seriesInstanceUid))
    throw new Problem('archive/unknown-study', { studyInstanceUid, seriesInstanceUid })
  const study = await access.study()
  const rows = (await access.instanceList(seriesInstanceUid)).filter((row) =>
    holds(query, { ...study, ...series.get(row.seriesInstanceUid), ...row }),
  )
  answer(request, response, query, page(rows, query), (row) => {
    const own = series.get(row.seriesInstanceUid)
    return { ...(own && seriesInstanceUid === undefined && seriesJson(own)), ...instanceJson(row) }
  })
}

/** Newest first over all archives; each is asked for as much as the page could need from it alone. */
async function gather<R extends { readonly studyInstanceUid: string }>(
  source: StudySource,
  user: Viewer,
  query: QidoQuery,
  ask: (
    archive: Awaited<ReturnType<StudySource['qido']>>[number],
    page: Pick<QidoQuery, 'match' | 'regionId'> & { limit: number; offset: number },
  ) => Promise<R[]>,
  keyOf: (row: R) => string,
  studyOf: (row: R) => StudyRow,
): Promise<R[]> {
  const limit = Math.min(query.limit ?? maxResults, maxResults)
  const { match, regionId } = query
  const archives = await source.qido(user, match)
  const needed = query.offset + limit
  const found = await Promise.all(archives.map((archive) => permittedRows({ source, user, archive, query: { match, regionId }, ask: (page) => ask(archive, page) }, needed)))
  const distinct = new Map<string, R>()
  for (const row of found.flat()) if (!distinct.has(keyOf(row))) distinct.set(keyOf(row), row)
  const rows = [...distinct.values()]
  if (archives.length > 1) rows.sort((a, b) => dateOf(studyOf(b)).localeCompare(dateOf(studyOf(a))))
  return rows.slice(query.offset, query.offset + limit)
}

/** Searches take a full name and answer a masked one. */
const studyFor = (user: Viewer) => (study: StudyRow) => (seesIdentities(user) ? studyJson(study) : maskDataset(studyJson(study)))

const dateOf = ({ studyDate, studyTime }: StudyRow): string => studyDate + studyTime

const page = <R>(rows: readonly R[], { offset, limit }: QidoQuery): readonly R[] =>
  rows.slice(offset, limit === undefined ? undefined : offset + limit)

function holds({ match, regionId }: QidoQuery, row: { readonly regionId: string }): boolean {
  if (regionId !== undefined && row.regionId !== regionId) return false
  const values = new Map<string, unknown>(Object.entries(row))
  return Object.entries(match).every(([keyword, text]) => {
    const attribute = attributeByKeyword(keyword)
    if (!attribute) return true
    const value = values.get(attribute.member)
    return predicateHolds(parsePredicate(attribute.vr, text), value === null || value === undefined ? '' : String(value))
  })
}

function answer<R>(request: Request, response: Response, query: QidoQuery, rows: readonly R[], json: (row: R) => JsonDataset): void {
  const wanted = acceptedBy(request).some(
    ({ type, multipart }) => !multipart && (covers(type, 'application/dicom+json') || type === 'application/json'),
  )
  if (!wanted) throw new Problem('request/not-acceptable', { offered: ['application/dicom+json'] })
  const warnings = [
    ...query.warnings,
    ...(rows.length >= maxResults ? [`The number of results exceeded the maximum of ${maxResults}, ask for more by offset`] : []),
  ]
  if (warnings.length > 0)
    response.setHeader('Warning', warnings.map((text) => `299 lianpian "${text.replaceAll(/[^\x20-\x21\x23-\x7e]/g, ' ')}"`).join(', '))
  response
    .status(200)
    .type('application/dicom+json')
    .send(JSON.stringify(rows.map(json)))
}
