import type { HttpFace } from 'service-kit'
import { maskBirthDate, maskName, maskNumber, maskText, StudyList, StudySearch, type StudyListRow } from 'specs'
import type { Archive, MatchQuery, SeriesRow, StudyRow } from '../archive/archive.ts'
import { permittedRows } from '../dicomweb/permitted-rows.ts'
import type { StudySource, Viewer } from '../dicomweb/study-source.ts'
import { displayName } from '../exam/patient-name.ts'
import { matchesOf, matchFrom, parsePlace, placeAfter, placeText, start, UNDATED, type Match, type Place } from './search.ts'

export interface StudyRoutes {
  readonly source: Pick<StudySource, 'qido' | 'permitted' | 'allPermitted'>
}

/** The list of what the hospital's archive holds, found as quickly as QIDO-RS finds it (ARC-16, ARC-23). */
export function addStudyRoutes(face: HttpFace, { source }: StudyRoutes): void {
  face.route(
    {
      method: 'GET',
      path: '/api/studies',
      summary: '检查影像 / Studies of this hospital, newest first',
      allow: ['exam.list'],
      query: StudySearch,
      answer: StudyList,
    },
    async ({ user, query }) => {
      const matches = matchesOf(query)
      const [archive] = await source.qido(user, Object.assign({}, ...matches) as Match)
      if (!archive) return { rows: [], next: null }
      const place = parsePlace(query.after)
      const match = await firstThatFinds(matches, (each) => pageOf({ source, user, archive, query: { ...query, limit: 1 } }, each, start))
      const rows = await pageOf({ source, user, archive, query }, match, place)
      return { rows: await listRows(archive, rows), next: rows.length === query.limit ? placeText(placeAfter(place, rows)) : null }
    },
  )
}

/** A number is looked for as one kind first, and as the next where that finds nothing. */
async function firstThatFinds(matches: readonly Match[], find: (match: Match) => Promise<readonly unknown[]>): Promise<Match> {
  const [match = {}, ...others] = matches
  return others.length === 0 || (await find(match)).length > 0 ? match : firstThatFinds(others, find)
}

interface Asked {
  readonly source: StudyRoutes['source']
  readonly user: Viewer
  readonly archive: Archive
  readonly query: Pick<StudySearch, 'limit' | 'receivingNode' | 'campus'>
}

async function pageOf(asked: Asked, match: Match, place: Place): Promise<StudyRow[]> {
  const { source, user, archive, query } = asked
  const matching = { ...matchFrom(match, place), fuzzy: true, regionId: undefined }
  const search = { source, user, archive, matching, ask: (page: MatchQuery) => archive.studies({ ...page, receivingNode: query.receivingNode, campus: query.campus }) }
  const rows = (await permittedRows(search, place.shown + query.limit)).slice(place.shown)
  // A range of days leaves out what has no day.
  const isDated = place.day !== '' && place.day !== UNDATED
  if (!isDated || rows.length === query.limit || match['StudyDate'] !== undefined) return rows
  return [...rows, ...(await pageOf({ ...asked, query: { ...query, limit: query.limit - rows.length } }, match, { day: UNDATED, shown: 0 }))]
}

async function listRows(archive: Archive, studies: readonly StudyRow[]): Promise<StudyListRow[]> {
  const uids = studies.map(({ studyInstanceUid }) => studyInstanceUid)
  const series = uids.length === 0 ? [] : await archive.series(undefined, { match: { StudyInstanceUID: uids.join('\\') } })
  return Promise.all(
    studies.map(async (study) => {
      const own = series.filter(({ studyInstanceUid }) => studyInstanceUid === study.studyInstanceUid)
      return listRow(study, own, await archive.receivers(study.studyInstanceUid))
    }),
  )
}

function listRow(study: StudyRow, series: readonly SeriesRow[], receivingNodes: string[]): StudyListRow {
  const name = displayName(study.patientName)
  const devices = series.map(({ stationName, manufacturer, manufacturerModelName }) => stationName || `${manufacturer} ${manufacturerModelName}`.trim())
  const { studyInstanceUid, patientSex, patientAge, accessionNumber, studyId, studyDate, studyTime, seriesCount, instanceCount, sizeBytes, tier, campus, receivedAt } = study
  return {
    studyInstanceUid, patientSex, patientAge, accessionNumber, studyId, studyDate, studyTime, seriesCount, instanceCount, sizeBytes, tier, campus, receivedAt, receivingNodes,
    patientName: maskName(name, 'L1'),
    patientId: maskNumber(study.patientId, 'L1'),
    patientBirthDate: maskBirthDate(study.patientBirthDate, 'L1'),
    description: maskText(study.studyDescription, 'L1', name),
    modalities: [...study.modalitiesInStudy],
    bodyParts: [...study.bodyPartsExamined],
    devices: [...new Set(devices.filter((device) => device !== ''))],
  } // prettier-ignore
}
