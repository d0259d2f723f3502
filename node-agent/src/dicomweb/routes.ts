import type { Request, Response } from 'express'
import type { HttpFace } from 'service-kit'
import { parseSeriesInstanceUid, parseSopInstanceUid, parseStudyInstanceUid, Problem, type ImageService, type Right } from 'specs'
import type { InstanceRow } from '../archive/archive.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { sendBulkData } from './bulkdata.ts'
import { parseFrameList, sendFrames } from './frames.ts'
import { exportsInFull, maskedFiles, type OnUnmask } from './identity-export.ts'
import { maskedStudyAccess, seesIdentities } from './identity-mask.ts'
import { sendMetadata } from './metadata.ts'
import { searchInstances, searchSeries, searchStudies, searchStudyInstances, searchStudySeries } from './qido.ts'
import { AcceptParameter, RenderParameters, RetrieveParameters, SearchParameters } from './parameters.ts'
import { sendRendered, sendRepresentative, sendThumbnail } from './rendered.ts'
import { goneSignal, retrieveInstances, type Transcode } from './retrieve.ts'
import { storeInstances } from './stow.ts'
import { exportReason, instanceAt, wholeInstance, type StudyAccess, type StudySource, type Viewer } from './study-source.ts'

export interface DicomWebSetup {
  /** Finds the study for the user, wherever it lies; the one place where access is decided. */
  readonly source: StudySource
  readonly renderer: Renderer
  /** Makes the transfer syntaxes that askers insist on. */
  readonly transcode: Transcode
  /** Who is told identities in full with metadata; interfaces with the right unless told (identity-mask.ts). */
  readonly identities?: (user: Viewer) => boolean
  /** Rights that may knock at all; the source decides about single studies. */
  readonly allow?: readonly Right[] | 'signed-in'
  /** Files leave with names in them. */
  readonly onUnmask?: OnUnmask
  /** Whether a service is given at the moment. @throws {Problem} service/switched-off */
  readonly serving?: (service: ImageService) => void
  /** Instances that STOW-RS did not take, for the list where people see refusals. */
  readonly onRefusal?: (refusal: { readonly problem: Problem; readonly username: string; readonly remoteAddress: string }) => void
}

const json = 'application/dicom+json'
const multipart = 'multipart/related'

/** QIDO-RS, WADO-RS and STOW-RS (PS3.18) below /dicom-web. */
export function mountDicomWeb(face: HttpFace, { source, renderer, transcode, allow = 'signed-in', identities = seesIdentities, onUnmask, onRefusal, serving = () => undefined }: DicomWebSetup): void {
  type Handler = (request: Request, response: Response, user: Viewer) => Promise<void>
  const getting = (service: ImageService) => (path: string, summary: string, produces: string, handler: Handler) =>
    face.raw({ method: 'GET', path: `/dicom-web${path}`, summary, allow, produces, query: parametersOf(service, path) }, async (request, response, user) => {
      serving(service)
      await handler(request, response, user)
    })
  const search = getting('qido-rs')
  const get = getting('wado-rs')
  const access = (request: Request, user: Viewer) => source.forStudy(user, studyOf(request))
  const told = async (request: Request, user: Viewer) => (identities(user) ? access(request, user) : maskedStudyAccess(await access(request, user)))
  const fileOf = async (request: Request, response: Response, user: Viewer) =>
    instanceAt(await access(request, user), seriesOf(request), instanceOf(request), goneSignal(response))
  const study = '/studies/:study'
  const series = `${study}/series/:series`
  const instance = `${series}/instances/:instance`

  search('/studies', 'QIDO-RS: studies; like every search it also takes regionId=… (FED-20)', json, (request, response, user) =>
    searchStudies(source, user, request, response),
  )
  search('/series', 'QIDO-RS: series of all studies', json, (request, response, user) => searchSeries(source, user, request, response))
  search('/instances', 'QIDO-RS: instances of all studies', json, (request, response, user) =>
    searchInstances(source, user, request, response),
  )
  search(`${study}/series`, 'QIDO-RS: series of a study', json, (request, response, user) =>
    searchStudySeries(source, user, request, response, studyOf(request)),
  )
  search(`${study}/instances`, 'QIDO-RS: instances of a study', json, (request, response, user) =>
    searchStudyInstances(source, user, request, response, studyOf(request)),
  )
  search(`${series}/instances`, 'QIDO-RS: instances of a series', json, (request, response, user) =>
    searchStudyInstances(source, user, request, response, studyOf(request), seriesOf(request)),
  )

  const outgoing = async (found: StudyAccess, user: Viewer, request: Request) => 
    identities(user) || (await exportsInFull(user, request, found.studyInstanceUid, onUnmask)) ? found : maskedFiles(found)
  const exporting = async (request: Request, user: Viewer) =>
    outgoing(await source.forStudy(user, studyOf(request), 'export', exportReason(request)), user, request)
  get(study, 'WADO-RS: a study; files are an export', multipart, async (request, response, user) => {
    const found = await exporting(request, user)
    await retrieveInstances(found, await found.instanceList(), transcode, request, response)
  })
  get(series, 'WADO-RS: a series; files are an export', multipart, async (request, response, user) => {
    const found = await exporting(request, user)
    await retrieveInstances(found, await found.instanceList(seriesOf(request)), transcode, request, response)
  })
  get(instance, 'WADO-RS: an instance; with pixels it is an export', multipart, async (request, response, user) => {
    const at = { study: studyOf(request), series: seriesOf(request), instance: instanceOf(request) }
    const found = await wholeInstance(source, user, request, at, goneSignal(response))
    await retrieveInstances(await outgoing(found.access, user, request), [found.file.row], transcode, request, response)
  })

  get(`${study}/metadata`, 'WADO-RS: metadata of a study', json, async (request, response, user) =>
    sendMetadata(await told(request, user), request, response),
  )
  get(`${series}/metadata`, 'WADO-RS: metadata of a series', json, async (request, response, user) =>
    sendMetadata(await told(request, user), request, response, seriesOf(request)),
  )
  get(`${instance}/metadata`, 'WADO-RS: metadata of an instance', json, async (request, response, user) =>
    sendMetadata(await told(request, user), request, response, seriesOf(request), instanceOf(request)),
  )

  get(`${instance}/frames/:frames`, 'WADO-RS: frames, as stored or decoded', multipart, async (request, response, user) =>
    sendFrames(await fileOf(request, response, user), parseFrameList(one(request, 'frames')), renderer, request, response),
  )
  get(`${instance}/bulkdata/*path`, 'WADO-RS: a value that metadata only point to', multipart, async (request, response, user) => {
    const path = request.params['path']
    await sendBulkData(await fileOf(request, response, user), Array.isArray(path) ? path.join('/') : String(path), request, response)
  })

  const rendered = (path: string, summary: string, framesOf: (request: Request) => readonly number[], rowsOf: (found: StudyAccess, request: Request) => Promise<readonly InstanceRow[]>) =>
    get(path, summary, 'image/jpeg', async (request, response, user) => {
      const found = await access(request, user)
      const frames = framesOf(request)
      await sendRendered(found, (await rowsOf(found, request)).map((row) => ({ row, frames })), renderer, request, response) // prettier-ignore
    })
  const oneRow = async (found: StudyAccess, request: Request) => [(await instanceAt(found, seriesOf(request), instanceOf(request))).row]
  const all = () => []
  rendered(`${study}/rendered`, 'WADO-RS: a study as pictures; one of them for whoever takes one', all, (found) => found.instanceList())
  rendered(`${series}/rendered`, 'WADO-RS: a series as pictures; one of them for whoever takes one', all, (found, request) => found.instanceList(seriesOf(request)))
  rendered(`${instance}/rendered`, 'WADO-RS: an instance as a picture, or all of its frames as parts', all, oneRow)
  rendered(`${instance}/frames/:frames/rendered`, 'WADO-RS: frames as pictures', (request) => parseFrameList(one(request, 'frames')), oneRow)
  get(`${study}/thumbnail`, 'WADO-RS: small picture of a study', 'image/jpeg', async (request, response, user) =>
    sendRepresentative(await access(request, user), undefined, renderer, request, response),
  )
  get(`${series}/thumbnail`, 'WADO-RS: small picture of a series', 'image/jpeg', async (request, response, user) =>
    sendRepresentative(await access(request, user), seriesOf(request), renderer, request, response),
  )
  get(`${instance}/thumbnail`, 'WADO-RS: small picture of an instance', 'image/jpeg', async (request, response, user) =>
    sendThumbnail(await fileOf(request, response, user), 1, renderer, request, response),
  )
  get(`${instance}/frames/:frames/thumbnail`, 'WADO-RS: small picture of a frame', 'image/jpeg', async (request, response, user) =>
    sendThumbnail(await fileOf(request, response, user), oneFrame(request), renderer, request, response),
  )

  const store: Handler = async (request, response, user) => {
    serving('stow-rs')
    const study = request.params['study'] === undefined ? undefined : studyOf(request)
    const results = await storeInstances(await source.storing(user), { kind: 'stow', peer: user.username }, request, response, study)
    for (const result of results)
      if ('problem' in result) onRefusal?.({ problem: result.problem, username: user.username, remoteAddress: request.ip ?? '' })
  }
  face.raw({ method: 'POST', path: '/dicom-web/studies', summary: 'STOW-RS: store instances', allow, produces: json }, store)
  face.raw({ method: 'POST', path: `/dicom-web${study}`, summary: 'STOW-RS: store instances of one study', allow, produces: json }, store)
}

function parametersOf(service: ImageService, path: string) {
  if (service === 'qido-rs') return SearchParameters
  if (/\/(?:rendered|thumbnail)$/.test(path)) return RenderParameters
  return /\/(?:metadata|:frames|\*path)$/.test(path) ? AcceptParameter : RetrieveParameters
}

function one(request: Request, name: string): string {
  const value = request.params[name]
  return typeof value === 'string' ? value : ''
}
const studyOf = (request: Request) => parseStudyInstanceUid(one(request, 'study'))
const seriesOf = (request: Request) => parseSeriesInstanceUid(one(request, 'series'))
const instanceOf = (request: Request) => parseSopInstanceUid(one(request, 'instance'))

function oneFrame(request: Request): number {
  const [frame, ...more] = parseFrameList(one(request, 'frames'))
  if (frame === undefined || more.length > 0)
    throw new Problem('request/invalid', { what: 'frames', issues: [{ path: 'frames', message: 'one frame' }] })
  return frame
}
