import { Buffer } from 'node:buffer'
import type { InstanceFile } from '../../archive/archive.ts'
import { reorderedStream } from '../byte-order.ts'
import { DatasetRewriter, type Part } from '../dataset-rewriter.ts'
import { datasetRange, deflated, scanHeader } from '../dataset-stream.ts'
import { writeFileMeta } from '../file-meta.ts'
import type { Codecs, CodecTurn } from '../render/codec-pool.ts'
import { transferSyntax, type TransferSyntax } from '../transfer-syntax.ts'
import { losslessTargets, lossyTargets } from './choose-syntax.ts'
import { notTranscodable } from './frame-stream.ts'
import { HeaderEdits } from './header-edits.ts'
import { newPixels, type NewPixels } from './new-pixels.ts'

export { chooseSyntax, losslessTargets, lossyTargets } from './choose-syntax.ts'

export interface TranscodeOptions {
  /** Where frames are decoded and encoded: the node's pool of worker threads. */
  readonly codecs: Codecs
  /** Whose turn at the codecs it is: a page's, an association's, or work in the background. */
  readonly turn?: CodecTurn
  /** For the lossy targets: JPEG quality 1–100 (90 unless told), ratio of JPEG 2000 (10), allowed error of JPEG-LS (2). */
  readonly quality?: number
  readonly ratio?: number
  readonly allowedError?: number
  /** Every frame of a lossless result is decoded again and compared before it is handed on. */
  readonly verify?: boolean
  /** A lossy result is kept in place of the stored one: it says that it is derived, and how (PS3.3 C.7.6.1.1.3). */
  readonly derived?: boolean
}

/** A whole Part 10 file in another transfer syntax, made while it is read; nothing is held but the frames under way. */
export interface Transcoded {
  readonly transferSyntaxUid: string
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  /** Of the Part 10 file, where it is known beforehand. */
  readonly sizeBytes?: number
  /** Length of preamble and meta header: a C-STORE sends what follows. */
  readonly datasetOffset: number
  /** Can be read once. Breaking off early is allowed. @throws {Problem} archive/not-transcodable for a frame that cannot be decoded */
  readonly stream: AsyncIterable<Buffer>
}

/**
 * Reads a stored instance in another transfer syntax. The stored syntax itself gives the file as it lies. Elements stay byte for byte
 * unless the syntax or the pixels' new form demands another value (PS3.5 7, 8.2, A). The first frame is worked on before this
 * returns, so that what cannot be done is refused before a byte has left.
 *
 * @throws {Problem} archive/not-transcodable when source or target have no codec, or the target cannot hold such pixels; archive/unreadable.
 */
export async function transcode(file: InstanceFile, targetSyntaxUid: string, options: TranscodeOptions): Promise<Transcoded> {
  const { sopClassUid, sopInstanceUid } = file.row
  if (targetSyntaxUid === file.transferSyntaxUid)
    return { transferSyntaxUid: targetSyntaxUid, sopClassUid, sopInstanceUid, sizeBytes: file.sizeBytes, datasetOffset: file.datasetOffset, stream: file.stream() }
  if (!losslessTargets.includes(targetSyntaxUid) && !lossyTargets.includes(targetSyntaxUid)) throw notTranscodable(file, targetSyntaxUid, 'no encoder')
  const target = transferSyntax(targetSyntaxUid)
  const edits = new HeaderEdits(target)
  const rewriter = new DatasetRewriter(transferSyntax(file.transferSyntaxUid), edits, target)
  await scanHeader(file, rewriter)
  const pixels = await newPixels(file, target, rewriter, edits, options)
  const parts = rewriter.parts()
  const meta = writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid: targetSyntaxUid })
  const sizeBytes = target.deflated || pixels.sizeBytes === undefined ? undefined : meta.length + sizeOf(parts) + pixels.sizeBytes
  return {
    transferSyntaxUid: targetSyntaxUid,
    sopClassUid,
    sopInstanceUid,
    ...(sizeBytes !== undefined && { sizeBytes }),
    datasetOffset: meta.length,
    stream: part10(file, meta, parts, pixels, target),
  }
}

async function* part10(file: InstanceFile, meta: Buffer, parts: readonly Part[], pixels: NewPixels, target: TransferSyntax): AsyncGenerator<Buffer> {
  yield meta
  const dataset = newDataset(file, parts, pixels)
  yield* target.deflated ? deflated(dataset) : dataset
}

async function* newDataset(file: InstanceFile, parts: readonly Part[], pixels: NewPixels): AsyncGenerator<Buffer> {
  for (const part of parts) {
    if (Buffer.isBuffer(part)) yield part
    else yield* reorderedStream(datasetRange(file, part.from, part.length), part.unit)
  }
  yield* pixels.stream()
}

const sizeOf = (parts: readonly Part[]): number => parts.reduce((sum, part) => sum + part.length, 0)
