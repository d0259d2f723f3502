import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import { inflatedDataset, rangeOf } from '../dataset-stream.ts'
import { locateFrame, readFrame } from '../frames.ts'
import type { CodecResult, Codecs, CodecTurn } from '../render/codec-pool.ts'
import { frameBytes } from '../render/decode.ts'
import type { PixelDescription } from '../render/pixel-description.ts'
import type { EncodeOptions } from '../render/render-job.ts'
import { transferSyntax } from '../transfer-syntax.ts'

/** So much may be under way between file, codecs and reader; one frame always is, whatever its size. */
const aheadBytes = 64 * 1024 * 1024

export interface FrameWork {
  readonly file: InstanceFile
  readonly pixels: PixelDescription
  readonly codecs: Codecs
  readonly turn: CodecTurn
  /** Absent: samples are wanted. */
  readonly encode: EncodeOptions | undefined
}

export const frameCount = ({ row }: InstanceFile): number => Math.max(1, row.numberOfFrames ?? 1)

export const notTranscodable = ({ row }: InstanceFile, targetSyntaxUid: string, reason: string, cause?: unknown): Problem =>
  new Problem('archive/not-transcodable', { sopInstanceUid: row.sopInstanceUid, transferSyntaxUid: targetSyntaxUid, reason }, { cause })

/** Decodes one stored frame, and compresses it anew where that is asked. @throws An Error that says why it cannot. */
export async function workFrame({ file, pixels, codecs, turn, encode }: FrameWork, stored: Uint8Array): Promise<CodecResult> {
  const { uid: transferSyntaxUid, encapsulated } = transferSyntax(file.transferSyntaxUid)
  return codecs.run({ bytes: stored, transferSyntaxUid, encapsulated, pixels, ...(encode && { encode }) }, turn)
}

/** All frames of an instance in order, several of them worked on at once. @throws {Problem} archive/not-transcodable */
export async function* workFrames(work: FrameWork, targetSyntaxUid: string, from = 1): AsyncGenerator<CodecResult> {
  const ahead = Math.min(work.codecs.threads, Math.floor(aheadBytes / Math.max(1, frameBytes(work.pixels))))
  const underWay: Promise<CodecResult>[] = []
  const next = async (): Promise<CodecResult> => {
    try {
      const result = await underWay.shift()
      if (result) return result
      throw new Error('nothing is under way')
    } catch (error) {
      if (error instanceof Problem) throw error
      throw notTranscodable(work.file, targetSyntaxUid, error instanceof Error ? error.message : 'unknown', error)
    }
  }
  for await (const stored of storedFrames(work, from)) {
    const result = workFrame(work, stored)
    result.catch(() => undefined) // looked at when it is its turn
    underWay.push(result)
    if (underWay.length > ahead) yield await next()
  }
  while (underWay.length > 0) yield await next()
}

/** Frames as stored, native ones in little endian. */
async function* storedFrames({ file, pixels }: FrameWork, from: number): AsyncGenerator<Buffer> {
  const { frameIndex } = file
  // In a deflated file every read begins at the beginning: its frames are cut out of one pass.
  if (frameIndex.kind === 'native' && frameIndex.inflated && pixels.bitsAllocated > 1) {
    const size = frameBytes(pixels)
    const first = (from - 1) * size
    return yield* cut(rangeOf(inflatedDataset(file), frameIndex.offset + first, frameCount(file) * size - first), size)
  }
  for (let frame = from; frame <= frameCount(file); frame += 1) yield (await readFrame(file, frame)).bytes
}

async function* cut(chunks: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let held = 0
  for await (let chunk of chunks) {
    while (held + chunk.length >= size) {
      const missing = size - held
      yield Buffer.concat([...parts, chunk.subarray(0, missing)])
      chunk = chunk.subarray(missing)
      parts = []
      held = 0
    }
    parts.push(chunk)
    held += chunk.length
  }
}

/** Whether the file has all the frames it speaks of. */
export const isComplete = (file: InstanceFile): boolean => locateFrame(file.frameIndex, file.row, frameCount(file)) !== undefined

/** Frames of one bit per pixel follow each other without a gap (PS3.5 8.1.1); codecs begin each at a byte. */
export async function* packedBits(frames: AsyncIterable<Buffer>, bitsPerFrame: number): AsyncGenerator<Buffer> {
  let spare = 0
  let spareBits = 0
  for await (const frame of frames) {
    const bits = spareBits + bitsPerFrame
    const packed = Buffer.alloc(Math.ceil(bits / 8))
    packed[0] = spare
    for (let at = 0; at < Math.ceil(bitsPerFrame / 8); at += 1) {
      const wide = (frame[at] ?? 0) << spareBits
      packed[at] = (packed[at] ?? 0) | (wide & 0xff)
      if (at + 1 < packed.length) packed[at + 1] = wide >> 8
    }
    spareBits = bits % 8
    spare = spareBits === 0 ? 0 : (packed.at(-1) ?? 0)
    yield spareBits === 0 ? packed : packed.subarray(0, -1)
  }
  if (spareBits > 0) yield Buffer.from([spare])
}
