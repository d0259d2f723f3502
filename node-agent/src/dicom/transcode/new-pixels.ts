import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import { reorderedStream, unitOf } from '../byte-order.ts'
import type { DatasetRewriter } from '../dataset-rewriter.ts'
import { PIXEL_DATA } from '../dataset-scanner.ts'
import { datasetRange } from '../dataset-stream.ts'
import { readFrame } from '../frames.ts'
import type { CodecResult } from '../render/codec-pool.ts'
import { frameBytes } from '../render/decode.ts'
import { whyNotEncodable } from '../render/encode.ts'
import { describePixels } from '../render/pixel-description.ts'
import { transferSyntax, type TransferSyntax } from '../transfer-syntax.ts'
import { canBeTranscoded, lossMethods } from './choose-syntax.ts'
import { frameCount, isComplete, notTranscodable, packedBits, workFrame, workFrames, type FrameWork } from './frame-stream.ts'
import type { HeaderEdits, PixelForm } from './header-edits.ts'
import type { TranscodeOptions } from './transcode.ts'

/** A lossy copy of more than this is compressed twice, once to learn the ratio that stands before the pixels. */
const heldBytes = 64 * 1024 * 1024

/** Pixel Data with its head. */
export interface NewPixels {
  readonly sizeBytes?: number
  stream(): AsyncIterable<Buffer>
}

/** Pixel Data in the target syntax; what the header has to say of it is told to `edits`. @throws {Problem} archive/not-transcodable */
export async function newPixels(file: InstanceFile, target: TransferSyntax, rewriter: DatasetRewriter, edits: HeaderEdits, options: TranscodeOptions): Promise<NewPixels> {
  if (!target.encapsulated && file.frameIndex.kind !== 'encapsulated') return copiedPixels(file, target, rewriter)
  const work = await frameWork(file, target, options)
  const first = await firstFrame(work, target)
  edits.form = formOf(work, first)
  return work.encode ? compressedPixels(work, first, target, rewriter, edits, options) : decodedPixels(work, first, target, rewriter)
}

/** Native samples stay what they are, but perhaps for their byte order. */
function copiedPixels(file: InstanceFile, target: TransferSyntax, rewriter: DatasetRewriter): NewPixels {
  const { pixels } = rewriter
  if (pixels?.length === undefined) return { sizeBytes: 0, stream: () => none() }
  const { from, length, tag } = pixels
  const turns = transferSyntax(file.transferSyntaxUid).bigEndian !== target.bigEndian
  const bitsAllocated = file.row.bitsAllocated ?? 16
  // Bytes in words would change places in big endian; as bytes they need not.
  const vr = turns && target.bigEndian && bitsAllocated <= 8 ? 'OB' : pixels.vr
  const unit = vr === 'OW' ? Math.max(2, bitsAllocated >> 3) : unitOf(vr)
  return samples(rewriter.head(tag, vr, length + (length % 2)), length, () => reorderedStream(datasetRange(file, from, length), turns ? unit : 1))
}

function decodedPixels(work: FrameWork, first: CodecResult, target: TransferSyntax, rewriter: DatasetRewriter): NewPixels {
  const { file, pixels } = work
  const bitsPerFrame = pixels.rows * pixels.columns
  const length = pixels.bitsAllocated === 1 ? Math.ceil((frameCount(file) * bitsPerFrame) / 8) : frameCount(file) * frameBytes(pixels, first.photometricInterpretation)
  const vr = pixels.bitsAllocated > 8 ? 'OW' : 'OB'
  const frames = () => bytesOf(allFrames(work, first, target.uid))
  return samples(rewriter.head(PIXEL_DATA, vr, length + (length % 2)), length, () =>
    pixels.bitsAllocated === 1 ? packedBits(frames(), bitsPerFrame) : reorderedStream(frames(), target.bigEndian && pixels.bitsAllocated > 8 ? pixels.bitsAllocated >> 3 : 1),
  )
}

/** Samples behind their head, padded to an even length. */
function samples(head: Buffer, length: number, stream: () => AsyncIterable<Buffer>): NewPixels {
  return {
    sizeBytes: head.length + length + (length % 2),
    async *stream() {
      yield head
      yield* stream()
      if (length % 2 === 1) yield Buffer.alloc(1)
    },
  }
}

/** One fragment for each frame (PS3.5 A.4); the offset table is filled only where nothing has to be held for it. */
async function compressedPixels(work: FrameWork, first: CodecResult, target: TransferSyntax, rewriter: DatasetRewriter, edits: HeaderEdits, options: TranscodeOptions): Promise<NewPixels> {
  const count = frameCount(work.file)
  const method = lossMethods[target.uid]
  const frames = method === undefined ? () => allFrames(work, first, target.uid) : await measured(work, first, target, (ratio) => {
    edits.form = { ...edits.form, loss: { method, ratio }, derived: options.derived === true }
  })
  const head = Buffer.concat([rewriter.head(PIXEL_DATA, 'OB', 0xffffffff), count === 1 ? item(Buffer.alloc(4)) : item(Buffer.alloc(0))])
  const end = rewriter.fragmentsEnd
  return {
    ...(count === 1 && { sizeBytes: head.length + item(first.bytes).length + end.length }),
    async *stream() {
      yield head
      for await (const { bytes } of frames()) yield item(bytes)
      yield end
    },
  }
}

/** Compresses everything once, because the ratio stands in the header. Small results are kept for the second time. */
async function measured(work: FrameWork, first: CodecResult, target: TransferSyntax, tell: (ratio: number) => void): Promise<() => AsyncIterable<CodecResult>> {
  const held: CodecResult[] = []
  let sizeBytes = 0
  for await (const frame of allFrames(work, first, target.uid)) {
    sizeBytes += frame.bytes.length
    if (sizeBytes <= heldBytes) held.push(frame)
  }
  tell((frameBytes(work.pixels, 'decoded') * frameCount(work.file)) / Math.max(1, sizeBytes))
  return () => (held.length === frameCount(work.file) ? each(held) : allFrames(work, first, target.uid))
}

async function frameWork(file: InstanceFile, target: TransferSyntax, { codecs, turn = {}, quality = 90, ratio = 10, allowedError = 2, verify = false }: TranscodeOptions): Promise<FrameWork> {
  if (!canBeTranscoded(file.transferSyntaxUid)) throw notTranscodable(file, target.uid, 'no decoder')
  if (!isComplete(file)) throw notTranscodable(file, target.uid, 'frames are missing')
  const pixels = await describePixels(file, 1).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'archive/not-renderable' ? notTranscodable(file, target.uid, 'no pixels', error) : error
  })
  const encode = target.encapsulated ? { transferSyntaxUid: target.uid, quality, ratio, allowedError, verify } : undefined
  // The stored colours may still change while decoding; what never fits is told before anything is decoded.
  const refusal = encode && file.frameIndex.kind === 'native' ? whyNotEncodable(target.uid, pixels) : undefined
  if (refusal !== undefined) throw notTranscodable(file, target.uid, refusal)
  return { file, pixels, codecs, turn, encode }
}

async function firstFrame(work: FrameWork, target: TransferSyntax): Promise<CodecResult> {
  try {
    return await workFrame(work, (await readFrame(work.file, 1)).bytes)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw notTranscodable(work.file, target.uid, error instanceof Error ? error.message : 'unknown', error)
  }
}

function formOf({ file, pixels }: FrameWork, first: CodecResult): PixelForm {
  const stored = lossMethods[file.transferSyntaxUid]
  return {
    ...(first.photometricInterpretation !== pixels.photometricInterpretation && { photometricInterpretation: first.photometricInterpretation }),
    ...(pixels.samplesPerPixel > 1 && first.planarConfiguration !== pixels.planarConfiguration && { planarConfiguration: first.planarConfiguration }),
    // A careless sender's JPEG does not say that it has lost something; once decoded nothing else would.
    ...(stored === 'ISO_10918_1' && { lossBefore: stored }),
  }
}

/** @throws {Problem} archive/not-transcodable when a later frame comes out in another form than the header says. */
async function* allFrames(work: FrameWork, first: CodecResult, targetSyntaxUid: string): AsyncGenerator<CodecResult> {
  yield first
  if (frameCount(work.file) === 1) return
  for await (const frame of workFrames(work, targetSyntaxUid, 2)) {
    if (frame.photometricInterpretation !== first.photometricInterpretation || frame.planarConfiguration !== first.planarConfiguration)
      throw notTranscodable(work.file, targetSyntaxUid, 'frames of several kinds')
    yield frame
  }
}

async function* bytesOf(frames: AsyncIterable<CodecResult>): AsyncGenerator<Buffer> {
  for await (const { bytes } of frames) yield bytes
}

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values
}

async function* none(): AsyncGenerator<Buffer> {}

/** An item of fragments, padded to an even length. */
function item(bytes: Buffer): Buffer {
  const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0])
  head.writeUInt32LE(bytes.length + (bytes.length % 2), 4)
  return Buffer.concat([head, bytes, Buffer.alloc(bytes.length % 2)])
}
