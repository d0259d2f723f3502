import { Buffer } from 'node:buffer'
import { createInflateRaw } from 'node:zlib'
import { Problem } from 'specs'
import type { InstanceFile, InstanceRow } from '../archive/archive.ts'
import { swapped } from './dicom-json.ts'
import type { FrameIndex } from './frame-index.ts'
import { maxInflatedBytes } from './inflated-scan.ts'
import { EXPLICIT_LE, transferSyntax } from './transfer-syntax.ts'

type Range = readonly [offset: number, length: number]

/** Where one frame is: byte ranges of the file, or, for one bit per pixel, a run of bits that may begin inside a byte (PS3.5 8.1.1). */
export type FrameLocation =
  | { readonly kind: 'bytes'; readonly ranges: readonly Range[] }
  | { readonly kind: 'bits'; readonly range: Range; readonly firstBit: number; readonly bitCount: number }

export type FrameGeometry = Pick<InstanceRow, 'rows' | 'columns' | 'bitsAllocated' | 'numberOfFrames'>

/**
 * @param frame counts from 1.
 * @returns undefined when there is no such frame, or the fragments cannot be told apart.
 */
export function locateFrame(index: FrameIndex, geometry: FrameGeometry, frame: number): FrameLocation | undefined {
  const count = Math.max(1, geometry.numberOfFrames ?? 1)
  if (frame < 1 || frame > count || index.kind === 'none') return undefined
  return index.kind === 'native' ? locateNative(index, geometry, frame, count) : locateFragments(index, frame, count)
}

function locateNative(
  index: Extract<FrameIndex, { kind: 'native' }>,
  { rows, columns, bitsAllocated }: FrameGeometry,
  frame: number,
  count: number,
): FrameLocation | undefined {
  const pixels = (rows ?? 0) * (columns ?? 0)
  if (bitsAllocated === 1 && pixels > 0) {
    const from = (frame - 1) * pixels
    const firstByte = Math.floor(from / 8)
    const bytes = Math.ceil((from + pixels) / 8) - firstByte
    if (firstByte + bytes > index.length) return undefined
    return { kind: 'bits', range: [index.offset + firstByte, bytes], firstBit: from % 8, bitCount: pixels }
  }
  // Samples per pixel and subsampling show in the length itself; what is left over is padding.
  const plane = pixels * Math.max(1, Math.ceil((bitsAllocated ?? 8) / 8))
  const planes = plane > 0 ? Math.floor(index.length / (plane * count)) : 0
  const length = planes > 0 ? plane * planes : Math.floor(index.length / count)
  return length === 0 ? undefined : { kind: 'bytes', ranges: [[index.offset + (frame - 1) * length, length]] }
}

/** PS3.5 A.4: one fragment per frame, or all for the only frame, or by offset table, or, without one, by where codestreams begin. */
function locateFragments(
  { fragments, offsetTable }: Extract<FrameIndex, { kind: 'encapsulated' }>,
  frame: number,
  count: number,
): FrameLocation | undefined {
  const range = (part: typeof fragments): FrameLocation | undefined =>
    part.length === 0 ? undefined : { kind: 'bytes', ranges: part.map(([offset, length]) => [offset, length] as const) }
  if (count === 1) return range(fragments)
  if (fragments.length === count) return range(fragments.slice(frame - 1, frame))
  if (offsetTable.length === count) {
    const from = offsetTable[frame - 1] ?? 0
    const to = offsetTable[frame] ?? Infinity
    // The table points at item tags, eight bytes before the fragment.
    return range(fragments.filter(([offset]) => offset - 8 >= from && offset - 8 < to))
  }
  const starts = fragments.flatMap(([, , startsCodestream], at) => (startsCodestream ? [at] : []))
  return starts.length === count ? range(fragments.slice(starts[frame - 1], starts[frame])) : undefined
}

export interface Frame {
  readonly bytes: Buffer
  /** Of these bytes: native frames are always handed out in little endian. */
  readonly transferSyntaxUid: string
  readonly mediaType: string
}

/** Reads one frame out of a stored file; nothing is decoded. @throws {Problem} archive/unknown-instance when there is no such frame. */
export async function readFrame(file: InstanceFile, frame: number): Promise<Frame> {
  const location = locateFrame(file.frameIndex, file.row, frame)
  if (!location) throw new Problem('archive/unknown-instance', { sopInstanceUid: file.row.sopInstanceUid, frame })
  const syntax = transferSyntax(file.transferSyntaxUid)
  if (file.frameIndex.kind === 'encapsulated') {
    return { bytes: await readRanges(file, location), transferSyntaxUid: syntax.uid, mediaType: syntax.mediaType }
  }
  const bytes = await (syntax.deflated ? readInflated(file, location) : readRanges(file, location))
  const ordered =
    syntax.bigEndian && file.frameIndex.kind === 'native' && file.frameIndex.vr === 'OW'
      ? toLittleEndian(bytes, file.row.bitsAllocated ?? 16)
      : bytes
  return {
    bytes: location.kind === 'bits' ? alignBits(ordered, location) : ordered,
    transferSyntaxUid: EXPLICIT_LE,
    mediaType: 'application/octet-stream',
  }
}

const rangesOf = (location: FrameLocation): readonly Range[] => (location.kind === 'bits' ? [location.range] : location.ranges)

async function readRanges(file: InstanceFile, location: FrameLocation): Promise<Buffer> {
  const parts = await Promise.all(rangesOf(location).map(([offset, length]) => file.read(offset, length)))
  const [only] = parts
  return parts.length === 1 && only ? only : Buffer.concat(parts)
}

async function readInflated(file: InstanceFile, location: FrameLocation): Promise<Buffer> {
  const [[offset, length] = [0, 0]] = rangesOf(location)
  return inflatedRange(file, offset, length)
}

/** Bytes of a deflated dataset, counted from its inflated start. */
export async function inflatedRange(file: InstanceFile, offset: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let at = 0
  const inflate = file.stream({ start: file.datasetOffset }).pipe(createInflateRaw())
  for await (const chunk of inflate) {
    const bytes = chunk as Buffer
    const from = Math.max(0, offset - at)
    if (from < bytes.length) parts.push(bytes.subarray(from, Math.min(bytes.length, offset + length - at)))
    at += bytes.length
    if (at >= offset + length || at > maxInflatedBytes) break
  }
  return Buffer.concat(parts)
}

/** OW is stored in 16-bit words, whatever the pixels are (PS3.5 8.1.1, Annex D). */
function toLittleEndian(bytes: Buffer, bitsAllocated: number): Buffer {
  const width = bitsAllocated === 32 ? 4 : bitsAllocated === 64 ? 8 : 2
  return bytes.length % width === 0 ? swapped(bytes, width) : bytes
}

/** Moves a frame of single bits to a byte boundary; the first pixel is the lowest bit. */
function alignBits(bytes: Buffer, { firstBit, bitCount }: Extract<FrameLocation, { kind: 'bits' }>): Buffer {
  const aligned = Buffer.alloc(Math.ceil(bitCount / 8))
  for (let at = 0; at < aligned.length; at += 1) aligned[at] = (((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)) >> firstBit) & 0xff
  const spare = aligned.length * 8 - bitCount
  if (spare > 0) aligned[aligned.length - 1] = (aligned.at(-1) ?? 0) & (0xff >> spare)
  return aligned
}
