import type { Request, Response } from 'express'
import type { HttpFace } from 'service-kit'
import { parseWith, Problem, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, type Right } from 'specs'
import { z } from 'zod'
import type { PictureOptions } from '../dicom/render/render-job.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { exportsInFull, maskedFile, type OnUnmask } from '../dicomweb/identity-export.ts'
import { sendPicture } from '../dicomweb/rendered.ts'
import { goneSignal, sendFile, syntaxFor, type Transcode } from '../dicomweb/retrieve.ts'
import { instanceAt, wholeInstance, type StudySource, type Viewer } from '../dicomweb/study-source.ts'

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most)

/** PS3.18 9.1: parameters of a WADO-URI request. Unknown ones are ignored, as the standard asks. */
const WadoQuery = z
  .object({
    requestType: z.literal('WADO'),
    studyUID: StudyInstanceUid,
    seriesUID: SeriesInstanceUid,
    objectUID: SopInstanceUid,
    contentType: z.string().max(200).optional(),
    transferSyntax: z.string().max(64).optional(),
    anonymize: z.string().optional(),
    /** Texts of pictures would be in them; there are none. Names in files stay in the character set they have. */
    charset: z.string().max(200).optional(),
    annotation: z.string().max(100).optional(),
    presentationUID: z.string().max(64).optional(),
    presentationSeriesUID: z.string().max(64).optional(),
    frameNumber: whole(1, 1_000_000).optional(),
    windowCenter: z.coerce.number().finite().optional(),
    windowWidth: z.coerce.number().positive().finite().optional(),
    rows: whole(1, 8_192).optional(),
    columns: whole(1, 8_192).optional(),
    imageQuality: whole(1, 100).optional(),
    /** `x1,y1,x2,y2`, each 0 to 1 of the image. */
    region: z.string().max(100).optional(),
  })
  .refine((query) => (query.windowCenter === undefined) === (query.windowWidth === undefined), {
    message: 'windowCenter and windowWidth go together',
    path: ['windowWidth'],
  })
type WadoQuery = z.infer<typeof WadoQuery>

export interface WadoUriSetup {
  readonly source: StudySource
  /** Files leave with names in them. */
  readonly onUnmask?: OnUnmask | undefined
  /** Who gets files as they are; interfaces with the right unless told. */
  readonly identities?: ((user: Viewer) => boolean) | undefined
  readonly renderer: Renderer
  /** Makes the transfer syntaxes that askers insist on. */
  readonly transcode: Transcode
  /** Whether the service is given at the moment. @throws {Problem} service/switched-off */
  readonly serving?: () => void
  readonly allow?: readonly Right[] | 'signed-in'
}

/** The older WADO service (PS3.18 9; FED-24, AGT-08): one instance by its UIDs, as a DICOM file or as a picture. */
export function mountWadoUri(face: HttpFace, setup: WadoUriSetup): void {
  face.raw(
    {
      method: 'GET',
      path: '/wado',
      summary: 'WADO-URI: an instance as a DICOM file or as a picture',
      allow: setup.allow ?? 'signed-in',
      produces: 'application/dicom',
      query: WadoQuery,
    },
    async (request, response, user) => {
      setup.serving?.()
      await answer(setup, request, response, user)
    },
  )
}

async function answer({ source, renderer, transcode, identities, onUnmask }: WadoUriSetup, request: Request, response: Response, user: Viewer): Promise<void> {
  const query = parseWith(WadoQuery, request.query, 'query')
  // We could only pretend: texts and burned-in names need a person's look.
  if (query.anonymize !== undefined) throw new Problem('request/not-acceptable', { parameter: 'anonymize' })
  // Shown without it, the image would look otherwise than its author meant.
  if (query.presentationUID !== undefined || query.presentationSeriesUID !== undefined) throw new Problem('request/not-acceptable', { parameter: 'presentationUID' })
  const signal = goneSignal(response)
  const at = { study: query.studyUID, series: query.seriesUID, instance: query.objectUID }
  const wanted = query.contentType === undefined || query.contentType === '' ? undefined : chooseForm(query.contentType, true)
  const file =
    wanted === 'application/dicom'
      ? (await wholeInstance(source, user, request, at, signal)).file
      : await instanceAt(await source.forStudy(user, at.study), at.series, at.instance, signal)
  const form = wanted ?? chooseForm(query.contentType, file.frameIndex.kind !== 'none')
  if (form === 'application/dicom') {
    const syntax = syntaxFor(file.transferSyntaxUid, [{ transferSyntax: query.transferSyntax ?? '' }])
    if (syntax === undefined) throw new Problem('request/not-acceptable', { offered: [file.transferSyntaxUid] })
    const inFull = identities?.(user) === true || (await exportsInFull(user, request, query.studyUID, onUnmask))
    return sendFile(inFull ? file : await maskedFile(file), syntax, transcode, request, response)
  }
  await sendPicture(
    file,
    query.frameNumber ?? 1,
    pictureOptions(form, query, file.row.rows ?? 1, file.row.columns ?? 1),
    renderer,
    response,
  )
}

const forms = ['image/jpeg', 'image/png', 'application/dicom'] as const

/** Without contentType an image comes as JPEG and everything else as a DICOM file (PS3.18 9.5). */
function chooseForm(contentType: string | undefined, hasPixels: boolean): (typeof forms)[number] {
  if (contentType === undefined || contentType === '') return hasPixels ? 'image/jpeg' : 'application/dicom'
  const asked = contentType.split(',').map((type) => type.split(';')[0]?.trim().toLowerCase())
  const form = forms.find((each) => asked.includes(each))
  if (form) return form
  throw new Problem('request/not-acceptable', { offered: forms })
}

function pictureOptions(mediaType: PictureOptions['mediaType'], query: WadoQuery, rows: number, columns: number): PictureOptions {
  const { windowCenter: center, windowWidth: width } = query
  return {
    mediaType,
    quality: query.imageQuality ?? 90,
    ...(center !== undefined && width !== undefined && { window: { center, width } }),
    ...(query.columns !== undefined && { maxWidth: query.columns }),
    ...(query.rows !== undefined && { maxHeight: query.rows }),
    ...(query.region !== undefined && { region: parseRegion(query.region, rows, columns) }),
  }
}

function parseRegion(text: string, rows: number, columns: number): NonNullable<PictureOptions['region']> {
  const [left = -1, top = -1, right = -1, bottom = -1, ...more] = text.split(',').map((part) => Number(part))
  const sane = more.length === 0 && [left, top, right, bottom].every((part) => part >= 0 && part <= 1) && right > left && bottom > top
  if (!sane) throw new Problem('request/invalid', { what: 'query', issues: [{ path: 'region', message: 'x1,y1,x2,y2, each from 0 to 1' }] })
  return { left: left * columns, top: top * rows, width: (right - left) * columns, height: (bottom - top) * rows }
}
