import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { InstanceFile, InstanceRow } from '../archive/archive.ts'
import type { Window } from '../dicom/render/display.ts'
import type { PictureOptions } from '../dicom/render/render-job.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { acceptedBy, covers } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { goneSignal, instanceUrl } from './retrieve.ts'
import type { StudyAccess } from './study-source.ts'

const defaultQuality = 90
const thumbnailPixels = 128
const maxThumbnailPixels = 1_024

const invalid = (path: string, message: string) => new Problem('request/invalid', { what: 'query', issues: [{ path, message }] })

function pictureType(request: Request, multipartToo: boolean): PictureOptions['mediaType'] {
  for (const { type, multipart } of acceptedBy(request)) {
    if (multipart && !multipartToo) continue
    if (covers(type, 'image/jpeg')) return 'image/jpeg'
    if (covers(type, 'image/png')) return 'image/png'
  }
  throw new Problem('request/not-acceptable', { offered: ['image/jpeg', 'image/png'] })
}

const parameter = (request: Request, name: string): string | undefined => {
  const value = request.query[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Rendering parameters of PS3.18 8.3.5.1: window, viewport, quality. @throws {Problem} request/invalid */
export function parsePictureOptions(request: Request, { multipart } = { multipart: false }): PictureOptions {
  const window = parameter(request, 'window')
  const viewport = parameter(request, 'viewport')
  const quality = parameter(request, 'quality')
  return {
    mediaType: pictureType(request, multipart),
    quality: quality === undefined ? defaultQuality : parseQuality(quality),
    ...(window !== undefined && { window: parseWindow(window) }),
    ...(viewport !== undefined && parseViewport(viewport)),
  }
}

export function parseQuality(text: string): number {
  const quality = Number(text)
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) throw invalid('quality', '1 to 100')
  return quality
}

const shapes: Readonly<Record<string, Window['shape']>> = { linear: 'LINEAR', 'linear-exact': 'LINEAR_EXACT', sigmoid: 'SIGMOID' }

function parseWindow(text: string): Window {
  const [centerText = '', widthText = '', shapeText = 'linear'] = text.split(',').map((part) => part.trim())
  const [center, width, shape] = [Number(centerText), Number(widthText), shapes[shapeText.toLowerCase()]]
  if (centerText === '' || !Number.isFinite(center) || !(width > 0) || !Number.isFinite(width) || !shape)
    throw invalid('window', 'center,width[,linear|linear-exact|sigmoid]')
  return { center, width, shape }
}

function parseViewport(text: string): Pick<PictureOptions, 'maxWidth' | 'maxHeight' | 'region'> {
  const parts = text.split(',').map((part) => Number(part))
  const [maxWidth = 0, maxHeight = 0, left = 0, top = 0, width, height] = parts
  const sane =
    parts.length >= 2 &&
    parts.length <= 6 &&
    parts.every((part) => Number.isFinite(part)) &&
    maxWidth >= 1 &&
    maxHeight >= 1 &&
    maxWidth <= 8_192 &&
    maxHeight <= 8_192
  if (!sane) throw invalid('viewport', 'width,height[,left,top,width,height]')
  return {
    maxWidth: Math.floor(maxWidth),
    maxHeight: Math.floor(maxHeight),
    ...(width !== undefined && height !== undefined && { region: { left, top, width, height } }),
  }
}

/** A frame as one picture, or those of several frames or instances as parts. */
interface Shown {
  readonly row: InstanceRow
  readonly frames: readonly number[]
}

/** More pictures in one answer would keep the codecs from everybody else. */
const maxPictures = 2_000

/**
 * WADO-RS rendered (PS3.18 10.4.1.1.3) of frames, instances, a series or a study. A single picture where the asker takes one: then the first frame stands
 * for all that was asked for, unless only frames were.
 */
export async function sendRendered(
  access: StudyAccess,
  shown: readonly Shown[],
  renderer: Renderer,
  request: Request,
  response: Response,
): Promise<void> {
  const [first] = shown
  if (!first) throw new Problem('archive/unknown-instance', { studyInstanceUid: access.studyInstanceUid })
  const options = parsePictureOptions(request, { multipart: true })
  tellIgnored(request, response)
  const signal = goneSignal(response)
  const isOne = shown.length === 1 && first.frames.length === 1
  if (isOne || !wantsParts(request)) {
    if (first.frames.length > 1 && shown.length === 1) throw new Problem('request/not-acceptable', { offered: [`multipart/related; type="${options.mediaType}"`] })
    return sendPicture(await access.instance(first.row.sopInstanceUid, signal), first.frames[0] ?? 1, options, renderer, response)
  }
  const writer = new MultipartWriter(response, options.mediaType)
  if (request.method === 'HEAD') return writer.head()
  let made = 0
  try {
    for (const { row, frames } of shown) {
      const file = await access.instance(row.sopInstanceUid, signal)
      // A report among images has no picture; it does not keep the images from being shown.
      if (file.frameIndex.kind === 'none' && shown.length > 1) continue
      for (const frame of frames.length > 0 ? frames : framesOf(file)) {
        if (!writer.wanted || (made += 1) > maxPictures) break
        const bytes = await renderer.picture(file, frame, options)
        await writer.part(options.mediaType, `${instanceUrl(row)}/frames/${frame}/rendered`, bytes, bytes.length)
      }
    }
    if (!writer.begun) throw new Problem('archive/not-renderable', { studyInstanceUid: access.studyInstanceUid })
    await writer.end()
  } catch (error) {
    if (!writer.begun) throw error
    writer.fail()
    if (!response.closed) throw error
  }
}

const framesOf = ({ row }: InstanceFile): number[] => Array.from({ length: Math.max(1, row.numberOfFrames ?? 1) }, (_each, index) => index + 1)

const wantsParts = (request: Request): boolean => acceptedBy(request)[0]?.multipart === true

/** Parameters of PS3.18 8.3.5.1 that we do not follow; whoever asks is told. */
function tellIgnored(request: Request, response: Response): void {
  const ignored = ['annotation', 'iccprofile'].filter((name) => !['', 'no'].includes(String(request.query[name] ?? '')))
  if (ignored.length > 0) response.setHeader('Warning', ignored.map((name) => `299 lianpian "${name} is not applied"`).join(', '))
}

/** A small picture for lists. */
export async function sendThumbnail(
  file: InstanceFile,
  frame: number,
  renderer: Renderer,
  request: Request,
  response: Response,
): Promise<void> {
  const asked = parsePictureOptions(request)
  const within = (pixels: number | undefined) => Math.min(pixels ?? thumbnailPixels, maxThumbnailPixels)
  await sendPicture(file, frame, { ...asked, maxWidth: within(asked.maxWidth), maxHeight: within(asked.maxHeight) }, renderer, response)
}

/** What stands for a study or a series in a list: the middle frame of the middle instance of its (first image) series. */
export async function sendRepresentative(
  access: StudyAccess,
  seriesInstanceUid: string | undefined,
  renderer: Renderer,
  request: Request,
  response: Response,
): Promise<void> {
  const file = await access.instance(await representative(access, seriesInstanceUid), goneSignal(response))
  await sendThumbnail(file, Math.ceil(Math.max(1, file.row.numberOfFrames ?? 1) / 2), renderer, request, response)
}

async function representative(access: StudyAccess, seriesInstanceUid: string | undefined): Promise<string> {
  const rows = await access.instanceList(seriesInstanceUid)
  // Rows of a remote study do not tell their size; then any instance must do.
  const images = rows.filter((row) => row.rows !== null)
  const candidates = images.length > 0 ? images : rows
  const own = candidates.filter((row) => row.seriesInstanceUid === candidates[0]?.seriesInstanceUid)
  const middle = own[Math.floor(own.length / 2)]
  if (!middle) throw new Problem('archive/unknown-study', { studyInstanceUid: access.studyInstanceUid })
  return middle.sopInstanceUid
}

export async function sendPicture(
  file: InstanceFile,
  frame: number,
  options: PictureOptions,
  renderer: Renderer,
  response: Response,
): Promise<void> {
  const bytes = await renderer.picture(file, frame, options)
  response.status(200).setHeader('Content-Type', options.mediaType)
  response.setHeader('Content-Length', bytes.length)
  response.end(bytes)
}
