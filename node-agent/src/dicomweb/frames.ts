import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import { readFrame, type Frame } from '../dicom/frames.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { EXPLICIT_LE, transferSyntax } from '../dicom/transfer-syntax.ts'
import { acceptedBy, covers, type Accepted } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { instanceUrl } from './retrieve.ts'

const octets = 'application/octet-stream'

/** `1,3,2`: counted from 1, answered in the order asked. @throws {Problem} request/invalid */
export function parseFrameList(text: string): number[] {
  const frames = text.split(',').map((part) => (/^\d{1,7}$/.test(part.trim()) ? Number(part) : 0))
  if (frames.length > 10_000 || frames.some((frame) => frame < 1))
    throw new Problem('request/invalid', { what: 'frames', issues: [{ path: 'frames', message: 'numbers from 1, separated by commas' }] })
  return frames
}

/** How a frame can be handed out for one alternative of the Accept header: as stored, decoded, or not at all. */
function formFor(
  { type, transferSyntax: wanted }: Accepted,
  stored: { readonly mediaType: string; readonly transferSyntaxUid: string; readonly encapsulated: boolean },
): 'stored' | 'decoded' | undefined {
  const asStored = wanted === '*' || wanted === stored.transferSyntaxUid || (wanted === EXPLICIT_LE && !stored.encapsulated)
  if (asStored) return covers(type, stored.mediaType) || type === octets ? 'stored' : undefined
  // Asked for by its own media type or by anything at all, as stored is what serves best; octet-stream alone means explicit LE (PS3.18 Table 8.7.3-5).
  if (wanted === '' && (type === '*/*' || (type !== octets && covers(type, stored.mediaType)) || !stored.encapsulated))
    return covers(type, stored.mediaType) || type === '*/*' ? 'stored' : undefined
  return (wanted === '' || wanted === EXPLICIT_LE) && covers(type, octets) ? 'decoded' : undefined
}

/** WADO-RS frames (PS3.18 10.4.1.1.6): cut out of the stored file, each part with the transfer syntax its bytes are in. */
export async function sendFrames(
  file: InstanceFile,
  frames: readonly number[],
  renderer: Renderer,
  request: Request,
  response: Response,
): Promise<void> {
  const chosen = chooseForm(file, request)
  const read = (frame: number) => (chosen.form === 'stored' ? readFrame(file, frame) : renderer.decode(file, frame))
  const first = await read(frames[0] ?? 1)
  if (!chosen.multipart && frames.length === 1) {
    response.status(200).setHeader('Content-Type', contentType(first))
    response.end(first.bytes)
    return
  }
  const writer = new MultipartWriter(response, first.mediaType)
  try {
    for (const [at, frame] of frames.entries()) {
      if (!writer.wanted) return
      const part = at === 0 ? first : await read(frame)
      await writer.part(contentType(part), `${instanceUrl(file.row)}/frames/${frame}`, part.bytes, part.bytes.length)
    }
    await writer.end()
  } catch (error) {
    if (!writer.begun) throw error
    writer.fail()
    if (!response.closed) throw error
  }
}

function chooseForm(file: InstanceFile, request: Request): { form: 'stored' | 'decoded'; multipart: boolean } {
  const syntax = transferSyntax(file.transferSyntaxUid)
  const stored = {
    mediaType: syntax.mediaType,
    transferSyntaxUid: syntax.encapsulated ? syntax.uid : EXPLICIT_LE,
    encapsulated: syntax.encapsulated,
  }
  for (const accepted of acceptedBy(request)) {
    const form = formFor(accepted, stored)
    // Only a named single type asks for a bare frame; `*/*` gets the multipart form the standard describes.
    if (form) return { form, multipart: accepted.multipart || accepted.type === '*/*' }
  }
  throw new Problem('request/not-acceptable', {
    offered: [
      `multipart/related; type="${stored.mediaType}"; transfer-syntax=${stored.transferSyntaxUid}`,
      ...(stored.encapsulated ? [`multipart/related; type="${octets}"; transfer-syntax=${EXPLICIT_LE}`] : []),
    ],
  })
}

const contentType = ({ mediaType, transferSyntaxUid }: Frame): string => `${mediaType}; transfer-syntax=${transferSyntaxUid}`
