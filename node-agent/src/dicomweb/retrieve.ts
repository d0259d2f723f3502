import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { InstanceFile, InstanceRow } from '../archive/archive.ts'
import { canBeTranscoded, losslessTargets, lossyTargets } from '../dicom/transcode/choose-syntax.ts'
import type { Transcoded } from '../dicom/transcode/transcode.ts'
import { acceptedBy, covers, type Accepted } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { sendSinglePart } from './single-part.ts'
import type { StudyAccess } from './study-source.ts'

export const instanceUrl = (row: InstanceRow): string =>
  `/dicom-web/studies/${row.studyInstanceUid}/series/${row.seriesInstanceUid}/instances/${row.sopInstanceUid}`

/** Makes another transfer syntax of an instance while it is read. @throws {Problem} archive/not-transcodable */
export type Transcode = (file: InstanceFile, transferSyntaxUid: string) => Promise<Transcoded>

/** Aborted when the reader has gone, so that nobody waits for images nobody wants any more. */
export function goneSignal(response: Response): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort(new Error('the reader has gone')))
  return controller.signal
}

const dicom = 'application/dicom'

/**
 * In which transfer syntax an instance goes to somebody: as it was sent to us wherever that is taken, which it is by whoever names none (docs/adr/0022);
 * otherwise the first of those named that we can make.
 */
export function syntaxFor(storedSyntaxUid: string, accepted: readonly Pick<Accepted, 'transferSyntax'>[]): string | undefined {
  if (accepted.some(({ transferSyntax }) => transferSyntax === '' || transferSyntax === '*' || transferSyntax === storedSyntaxUid)) return storedSyntaxUid
  if (!canBeTranscoded(storedSyntaxUid)) return undefined
  return accepted.map(({ transferSyntax }) => transferSyntax).find((uid) => losslessTargets.includes(uid) || lossyTargets.includes(uid))
}

/**
 * WADO-RS retrieve of whole instances (PS3.18 10.4). Where nobody insists on another transfer syntax nothing is decoded or compressed anew, so what
 * arrives is bit for bit what the owner stored (ARC-26).
 *
 * @throws {Problem} request/not-acceptable, when a transfer syntax is insisted on that we cannot make.
 */
export async function retrieveInstances(
  access: StudyAccess,
  rows: readonly InstanceRow[],
  transcode: Transcode,
  request: Request,
  response: Response,
): Promise<void> {
  const [only] = rows
  if (!only) throw new Problem('archive/unknown-instance', { studyInstanceUid: access.studyInstanceUid })
  const accepted = acceptedBy(request).filter(({ type }) => covers(type, dicom))
  const form = accepted.find(({ multipart, type }) => multipart || type === '*/*' || rows.length === 1)
  const alike = accepted.filter(({ multipart, type }) => multipart === form?.multipart || type === '*/*')
  const syntaxes = rows.map((row) => syntaxFor(row.transferSyntaxUid, alike))
  if (!form || syntaxes.includes(undefined))
    throw new Problem('request/not-acceptable', { offered: [...new Set(rows.map((row) => `${dicom}; transfer-syntax=${row.transferSyntaxUid}`))] })
  const signal = goneSignal(response)
  const syntaxOf = (at: number) => syntaxes[at] ?? ''
  if (!form.multipart && form.type === dicom) return sendFile(await access.instance(only.sopInstanceUid, signal), syntaxOf(0), transcode, request, response)
  const writer = new MultipartWriter(response, dicom)
  if (request.method === 'HEAD') return writer.head()
  try {
    const ready: Promise<Ready>[] = []
    for (const [at, row] of rows.entries()) {
      if (!writer.wanted) return
      for (let next = at + ready.length; next < rows.length && ready.length < AHEAD; next += 1) {
        const wanted = rows[next] ?? row
        const coming = access.instance(wanted.sopInstanceUid, signal).then((file) => readyOf(file, syntaxOf(next)))
        coming.catch(() => undefined) // whoever comes to it is told
        ready.push(coming)
      }
      const { file, bytes } = (await ready.shift()) ?? { file: await access.instance(row.sopInstanceUid, signal), bytes: undefined }
      const { stream, sizeBytes, transferSyntaxUid } = await formOf(file, syntaxOf(at), transcode)
      await writer.part(`${dicom}; transfer-syntax=${transferSyntaxUid}`, instanceUrl(row), bytes ?? stream(), sizeBytes)
    }
    await writer.end()
  } catch (error) {
    if (!writer.begun) throw error
    writer.fail()
    if (!response.closed) throw error
  }
}

/** Instances that are opened and read while the one before them is being sent: a disk is slower to answer than to read. */
const AHEAD = 4
/** Up to this size an instance is read in one piece. */
const READ_WHOLE_BYTES = 4 * 1024 * 1024

interface Ready {
  readonly file: InstanceFile
  readonly bytes: Uint8Array | undefined
}

async function readyOf(file: InstanceFile, transferSyntaxUid: string): Promise<Ready> {
  const isStored = transferSyntaxUid === file.transferSyntaxUid && file.sizeBytes <= READ_WHOLE_BYTES
  return { file, bytes: isStored ? await file.read(0, file.sizeBytes) : undefined }
}

async function formOf(file: InstanceFile, transferSyntaxUid: string, transcode: Transcode) {
  if (transferSyntaxUid === file.transferSyntaxUid || transferSyntaxUid === '')
    return { transferSyntaxUid: file.transferSyntaxUid, sizeBytes: file.sizeBytes, etag: `"${file.row.sm3}"`, stream: (range?: { start: number; end: number }) => file.stream(range) }
  const made = await transcode(file, transferSyntaxUid)
  return { transferSyntaxUid, sizeBytes: made.sizeBytes, stream: () => made.stream }
}

/** One Part 10 file as the whole answer. What is made while it is sent has no ranges: the next request would have to make it again. */
export async function sendFile(file: InstanceFile, transferSyntaxUid: string, transcode: Transcode, request: Request, response: Response): Promise<void> {
  const { transferSyntaxUid: made, sizeBytes, ...rest } = await formOf(file, transferSyntaxUid, transcode)
  const contentType = `${dicom}; transfer-syntax=${made}`
  if (!('etag' in rest)) {
    if (sizeBytes !== undefined) response.setHeader('Content-Length', sizeBytes)
    return sendSinglePart(request, response, { contentType, stream: rest.stream })
  }
  await sendSinglePart(request, response, { contentType, sizeBytes, ...rest })
}
