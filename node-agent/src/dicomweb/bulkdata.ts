import type { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import { DatasetScanner, PIXEL_DATA, type DatasetVisitor, type ElementHead } from '../dicom/dataset-scanner.ts'
import { swapped } from '../dicom/dicom-json.ts'
import { tagText } from '../dicom/dictionary.ts'
import { inflatedRange, readFrame } from '../dicom/frames.ts'
import { InflatedScan } from '../dicom/inflated-scan.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import { acceptedBy, covers } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { sendSinglePart } from './single-part.ts'
import { bulkDataUri } from '../dicom/read-metadata.ts'

const octets = 'application/octet-stream'
const portionBytes = 256 * 1024

/** Finds the element that a BulkDataURI path names: `7FE00010`, or `00540016/0/00181070` inside items. */
class BulkLocator implements DatasetVisitor {
  readonly #path: string
  readonly #sequences: { readonly path: string; item: number }[] = []
  found: { readonly offset: number; readonly length: number; readonly vr: string } | undefined

  constructor(path: string) {
    this.#path = path
  }

  element(head: ElementHead): boolean {
    if (!this.found && this.#pathOf(head.tag) === this.#path)
      this.found = { offset: head.valueOffset, length: head.length ?? 0, vr: head.vr }
    return false
  }

  value(): void {
    // element() never asks for values
  }

  startSequence(head: ElementHead): void {
    this.#sequences.push({ path: this.#pathOf(head.tag), item: -1 })
  }

  startItem(): void {
    const sequence = this.#sequences.at(-1)
    if (sequence) sequence.item += 1
  }

  endSequence(): void {
    this.#sequences.pop()
  }

  #pathOf(tag: number): string {
    const sequence = this.#sequences.at(-1)
    return sequence ? `${sequence.path}/${sequence.item}/${tagText(tag)}` : tagText(tag)
  }
}

async function locate(file: InstanceFile, path: string): Promise<{ offset: number; length: number; vr: string } | undefined> {
  const syntax = transferSyntax(file.transferSyntaxUid)
  const locator = new BulkLocator(path)
  const scan = syntax.deflated ? new InflatedScan(syntax, locator) : new DatasetScanner(syntax, locator)
  for (let at = file.datasetOffset; at < file.sizeBytes && !locator.found; at += portionBytes)
    await scan.push(await file.read(at, Math.min(portionBytes, file.sizeBytes - at)))
  const base = syntax.deflated ? 0 : file.datasetOffset
  return locator.found && { ...locator.found, offset: locator.found.offset + base }
}

/**
 * WADO-RS bulkdata (PS3.18 10.4.1.1.5), in little endian. Encapsulated Pixel Data come frame by frame in their own media type.
 * @throws {Problem} archive/unknown-instance when the path names nothing.
 */
export async function sendBulkData(file: InstanceFile, path: string, request: Request, response: Response): Promise<void> {
  const accepted = acceptedBy(request)
  if (path === tagText(PIXEL_DATA) && file.frameIndex.kind === 'encapsulated') return sendEncapsulated(file, request, response)
  const form = accepted.find(({ type }) => covers(type, octets))
  if (!form) throw new Problem('request/not-acceptable', { offered: [octets] })
  const place = await locate(file, path)
  if (!place) throw new Problem('archive/unknown-instance', { sopInstanceUid: file.row.sopInstanceUid, path: path.slice(0, 200) })
  const syntax = transferSyntax(file.transferSyntaxUid)
  const width = syntax.bigEndian ? ({ OW: 2, US: 2, SS: 2, OF: 4, OL: 4, UL: 4, SL: 4, FL: 4, OD: 8, OV: 8, FD: 8 }[place.vr] ?? 1) : 1
  const whole = syntax.deflated || width > 1
  const bytes = whole ? await wholeValue(file, place, syntax.deflated, width) : undefined
  const stream = ({ start, end } = { start: 0, end: place.length }) =>
    bytes ? Readable.from([bytes.subarray(start, end)]) : file.stream({ start: place.offset + start, end: place.offset + end })
  if (!form.multipart && form.type !== '*/*')
    return sendSinglePart(request, response, { contentType: octets, etag: `"${file.row.sm3}-${path.replaceAll('/', '.')}"`, sizeBytes: place.length, stream })
  const writer = new MultipartWriter(response, octets)
  if (request.method === 'HEAD') return writer.head()
  await writer.part(octets, bulkDataUri(file, path), stream(), place.length)
  await writer.end()
}

async function wholeValue(
  file: InstanceFile,
  { offset, length }: { offset: number; length: number },
  deflated: boolean,
  width: number,
): Promise<Buffer> {
  const bytes = await (deflated ? inflatedRange(file, offset, length) : file.read(offset, length))
  return width > 1 && bytes.length % width === 0 ? swapped(bytes, width) : bytes
}

async function sendEncapsulated(file: InstanceFile, request: Request, response: Response): Promise<void> {
  const { mediaType } = transferSyntax(file.transferSyntaxUid)
  const writer = new MultipartWriter(response, mediaType)
  if (request.method === 'HEAD') return writer.head()
  for (let frame = 1; frame <= Math.max(1, file.row.numberOfFrames ?? 1) && writer.wanted; frame += 1) {
    const { bytes, transferSyntaxUid } = await readFrame(file, frame)
    await writer.part(
      `${mediaType}; transfer-syntax=${transferSyntaxUid}`,
      `${bulkDataUri(file, tagText(PIXEL_DATA))}`,
      bytes,
      bytes.length,
    )
  }
  await writer.end()
}
