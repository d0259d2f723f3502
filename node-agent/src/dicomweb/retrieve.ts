import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { InstanceFile, InstanceRow } from '../archive/archive.ts'
import { acceptedBy, covers, type Accepted } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import type { StudyAccess } from './study-source.ts'

export const instanceUrl = (row: InstanceRow): string =>
  `/dicom-web/studies/${row.studyInstanceUid}/series/${row.seriesInstanceUid}/instances/${row.sopInstanceUid}`

/** Aborted when the reader has gone, so that nobody waits for images nobody wants any more. */
export function goneSignal(response: Response): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort(new Error('the reader has gone')))
  return controller.signal
}

const dicom = 'application/dicom'

/**
 * WADO-RS retrieve of whole instances (PS3.18 10.4), as they were sent to us: nothing is decoded or compressed anew, so what
 * arrives is bit for bit what the owner stored (ARC-26).
 *
 * @throws {Problem} request/not-acceptable, when another transfer syntax is insisted on.
 */
export async function retrieveInstances(
  access: StudyAccess,
  rows: readonly InstanceRow[],
  request: Request,
  response: Response,
): Promise<void> {
  if (rows.length === 0) throw new Problem('archive/unknown-instance', { studyInstanceUid: access.studyInstanceUid })
  const accepted = acceptedBy(request).filter(({ type }) => covers(type, dicom))
  const usable = (row: InstanceRow, { transferSyntax }: Accepted) =>
    transferSyntax === '' || transferSyntax === '*' || transferSyntax === row.transferSyntaxUid
  const form = accepted.find((each) => rows.every((row) => usable(row, each)))
  if (!form)
    throw new Problem('request/not-acceptable', {
      offered: [...new Set(rows.map((row) => `${dicom}; transfer-syntax=${row.transferSyntaxUid}`))],
    })
  const signal = goneSignal(response)
  const [only] = rows
  if (!form.multipart && form.type === dicom && rows.length === 1 && only)
    return sendFile(await access.instance(only.sopInstanceUid, signal), response)
  const writer = new MultipartWriter(response, dicom)
  try {
    for (const row of rows) {
      if (!writer.wanted) return
      const file = await access.instance(row.sopInstanceUid, signal)
      await writer.part(`${dicom}; transfer-syntax=${file.transferSyntaxUid}`, instanceUrl(row), file.stream(), file.sizeBytes)
    }
    await writer.end()
  } catch (error) {
    if (!writer.begun) throw error
    writer.fail()
    if (!response.closed) throw error
  }
}

/** One Part 10 file as the whole answer. */
export async function sendFile(file: InstanceFile, response: Response): Promise<void> {
  response.status(200).setHeader('Content-Type', `${dicom}; transfer-syntax=${file.transferSyntaxUid}`)
  response.setHeader('Content-Length', file.sizeBytes)
  response.setHeader('ETag', `"${file.row.sm3}"`)
  for await (const chunk of file.stream()) {
    if (response.destroyed) return
    if (!response.write(chunk)) await new Promise<void>((resolve) => void response.once('drain', resolve).once('close', resolve))
  }
  response.end()
}
