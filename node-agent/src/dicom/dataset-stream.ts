import { Buffer } from 'node:buffer'
import { pipeline, Readable } from 'node:stream'
import { createDeflateRaw, createInflateRaw } from 'node:zlib'
import { Problem } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import { DatasetScanner, type DatasetVisitor } from './dataset-scanner.ts'
import { InflatedScan, maxInflatedBytes } from './inflated-scan.ts'
import { transferSyntax } from './transfer-syntax.ts'

const PORTION_BYTES = 256 * 1024

/** Shows a visitor the dataset up to Pixel Data, inflated if it is deflated. @throws {Problem} archive/unreadable */
export async function scanHeader(file: InstanceFile, visitor: DatasetVisitor): Promise<void> {
  const syntax = transferSyntax(file.transferSyntaxUid)
  const scan = syntax.deflated ? new InflatedScan(syntax, visitor) : new DatasetScanner(syntax, visitor)
  // A few bytes more than the header, so that the scanner sees Pixel Data begin.
  const end = syntax.deflated ? file.sizeBytes : Math.min(file.sizeBytes, file.headerBytes + 16)
  for (let at = file.datasetOffset; at < end; at += PORTION_BYTES) await scan.push(await file.read(at, Math.min(PORTION_BYTES, end - at)))
  if (end === file.sizeBytes) await scan.end()
}

/** Bytes of the dataset, inflated if it is deflated. */
export async function* datasetRange(file: InstanceFile, from: number, length: number): AsyncGenerator<Buffer> {
  if (length <= 0) return
  if (transferSyntax(file.transferSyntaxUid).deflated) return yield* rangeOf(inflatedDataset(file), from, length)
  const start = file.datasetOffset + from
  let sent = 0
  for await (const chunk of file.stream({ start, end: start + length }) as AsyncIterable<Buffer>) {
    sent += chunk.length
    yield chunk
  }
  if (sent !== length) throw new Problem('archive/unreadable', { reason: 'the file is shorter than it was', sopInstanceUid: file.row.sopInstanceUid })
}

/** The dataset of a deflated file, inflated. @throws {Problem} archive/unreadable */
export async function* inflatedDataset(file: InstanceFile): AsyncGenerator<Buffer> {
  const inflating = pipeline(file.stream({ start: file.datasetOffset }), createInflateRaw(), () => undefined)
  let sizeBytes = 0
  for await (const chunk of inflating as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > maxInflatedBytes) throw new Problem('archive/unreadable', { reason: 'unpacks to too much', limitBytes: maxInflatedBytes })
    yield chunk
  }
}

export async function* rangeOf(chunks: AsyncIterable<Buffer>, from: number, length: number): AsyncGenerator<Buffer> {
  let at = 0
  for await (const chunk of chunks) {
    const [start, end] = [Math.max(0, from - at), Math.min(chunk.length, from + length - at)]
    if (start < end) yield chunk.subarray(start, end)
    at += chunk.length
    if (at >= from + length) return
  }
}

/** PS3.5 A.5: padded to an even length with a null byte. */
export async function* deflated(dataset: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let sizeBytes = 0
  const deflating = pipeline(Readable.from(dataset), createDeflateRaw(), () => undefined)
  for await (const chunk of deflating as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    yield chunk
  }
  if (sizeBytes % 2 === 1) yield Buffer.alloc(1)
}
