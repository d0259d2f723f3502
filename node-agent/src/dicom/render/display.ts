import { Buffer } from 'node:buffer'
import type { DecodedFrame } from './decode.ts'
import type { LookupTable, PixelDescription } from './pixel-description.ts'

export interface Window {
  readonly center: number
  readonly width: number
  readonly shape?: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID'
}

/** Eight bits per channel, one channel for grey and three for colour. */
export interface DisplayImage {
  readonly data: Buffer
  readonly channels: 1 | 3
}

/** Takes decoded samples through modality, VOI and presentation (PS3.3 C.11) to what a screen shows. */
export function toDisplay(frame: DecodedFrame, pixels: PixelDescription, window: Window | undefined): DisplayImage {
  if (frame.photometricInterpretation === 'PALETTE COLOR' && pixels.palette)
    return { data: fromPalette(frame.bytes, pixels, pixels.palette), channels: 3 }
  if (pixels.samplesPerPixel >= 3) return { data: toRgb(frame, pixels), channels: 3 }
  return { data: toGrey(frame, pixels, window), channels: 1 }
}

/** Reads stored values as they are in bits stored, signed or not. */
function sampleReader(bytes: Buffer, { bitsAllocated, bitsStored, highBit, signed, float }: PixelDescription): (at: number) => number {
  if (float) return bitsAllocated === 64 ? (at) => bytes.readDoubleLE(at * 8) : (at) => bytes.readFloatLE(at * 4)
  if (bitsAllocated === 1) return (at) => ((bytes[at >> 3] ?? 0) >> (at & 7)) & 1
  const raw =
    bitsAllocated <= 8
      ? (at: number) => bytes[at] ?? 0
      : bitsAllocated <= 16
        ? (at: number) => bytes.readUInt16LE(at * 2)
        : (at: number) => bytes.readUInt32LE(at * 4)
  const shift = Math.max(0, highBit - bitsStored + 1)
  const range = 2 ** bitsStored
  return (at) => {
    // Overlay bits above or below the stored ones do not belong to the value.
    const value = Math.floor(raw(at) / 2 ** shift) % range
    return signed && value >= range / 2 ? value - range : value
  }
}

const look = ({ first, entries }: LookupTable, value: number): number =>
  entries[Math.min(entries.length - 1, Math.max(0, Math.round(value) - first))] ?? 0

function toGrey(frame: DecodedFrame, pixels: PixelDescription, asked: Window | undefined): Buffer {
  const count = pixels.rows * pixels.columns
  const read = sampleReader(frame.bytes, pixels)
  const { modalityLut, rescaleSlope, rescaleIntercept } = pixels
  const modality = modalityLut ? (value: number) => look(modalityLut, value) : (value: number) => value * rescaleSlope + rescaleIntercept
  // Presentation LUT Shape INVERSE only says the same once more (PS3.3 C.8.11.3.1.2): exchanged twice is not exchanged.
  const inverse = frame.photometricInterpretation === 'MONOCHROME1'
  const shade = voi(pixels, asked, () => extent(read, count, modality, pixels.paddingValue))
  const grey = (stored: number) => {
    const value = shade(modality(stored))
    return inverse ? 255 - value : value
  }
  const shown = Buffer.alloc(count)
  // Up to 16 bits every value is worked out once.
  if (pixels.bitsStored <= 16 && !pixels.float) {
    const offset = pixels.signed ? 2 ** (pixels.bitsStored - 1) : 0
    const table = Uint8Array.from({ length: 2 ** pixels.bitsStored }, (_each, index) => grey(index - offset))
    for (let at = 0; at < count; at += 1) shown[at] = table[read(at) + offset] ?? 0
  } else for (let at = 0; at < count; at += 1) shown[at] = grey(read(at))
  return shown
}

function voi(pixels: PixelDescription, asked: Window | undefined, measure: () => Window): (value: number) => number {
  const { voiLut } = pixels
  if (!asked && voiLut && pixels.windows.length === 0) {
    const top = 2 ** voiLut.bits - 1
    return (value) => clamp((look(voiLut, value) / top) * 255)
  }
  const window = asked ?? pixels.windows[0] ?? measure()
  return windowFunction(
    window,
    window === asked ? (asked.shape ?? 'LINEAR') : window === pixels.windows[0] ? pixels.voiFunction : 'LINEAR_EXACT',
  )
}

const clamp = (value: number): number => Math.max(0, Math.min(255, Math.round(value)))

/** PS3.3 C.11.2.1.2 and C.11.2.1.3. */
export function windowFunction({ center, width }: Window, shape: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID'): (value: number) => number {
  if (shape === 'SIGMOID') return (value) => clamp(255 / (1 + Math.exp((-4 * (value - center)) / width)))
  if (shape === 'LINEAR_EXACT') return (value) => clamp(((value - center) / width + 0.5) * 255)
  const span = Math.max(width - 1, 1e-9)
  return (value) => clamp(((value - (center - 0.5)) / span + 0.5) * 255)
}

/** Without a window everything that is not padding is shown. */
function extent(read: (at: number) => number, count: number, modality: (value: number) => number, padding: number | undefined): Window {
  let low = Infinity
  let high = -Infinity
  for (let at = 0; at < count; at += 1) {
    const stored = read(at)
    if (stored === padding || !Number.isFinite(stored)) continue
    if (stored < low) low = stored
    if (stored > high) high = stored
  }
  if (low > high) return { center: 0, width: 1 }
  const [from, to] = [modality(low), modality(high)]
  return { center: (from + to) / 2, width: Math.max(Math.abs(to - from), 1e-9) }
}

function fromPalette(bytes: Buffer, pixels: PixelDescription, palette: NonNullable<PixelDescription['palette']>): Buffer {
  const count = pixels.rows * pixels.columns
  const read = sampleReader(bytes, pixels)
  const shown = Buffer.alloc(count * 3)
  for (let at = 0; at < count; at += 1) {
    const value = read(at)
    for (const [channel, table] of palette.entries())
      shown[at * 3 + channel] = table.bits > 8 ? look(table, value) >> (table.bits - 8) : look(table, value)
  }
  return shown
}

/** Eight bits of red, green and blue, side by side. */
export function toRgb(frame: DecodedFrame, pixels: PixelDescription): Buffer {
  const count = pixels.rows * pixels.columns
  const shown = Buffer.alloc(count * 3)
  const shift = Math.max(0, pixels.bitsStored - 8)
  const { bytes, planarConfiguration, photometricInterpretation } = frame
  const sample = pixels.bitsAllocated > 8 ? (at: number) => bytes.readUInt16LE(at * 2) >> shift : (at: number) => bytes[at] ?? 0
  const subsampled = photometricInterpretation === 'YBR_FULL_422' && bytes.length < count * 3
  for (let at = 0; at < count; at += 1) {
    const [a, b, c] = subsampled
      ? threeOf422(sample, at)
      : planarConfiguration === 1
        ? [sample(at), sample(count + at), sample(2 * count + at)]
        : [sample(at * 3), sample(at * 3 + 1), sample(at * 3 + 2)]
    const [red, green, blue] =
      photometricInterpretation.startsWith('YBR') ? ybrToRgb(a, b, c) : [a, b, c]
    shown[at * 3] = red
    shown[at * 3 + 1] = green
    shown[at * 3 + 2] = blue
  }
  return shown
}

/** Two luminances share one pair of chrominances: Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2). */
function threeOf422(sample: (at: number) => number, at: number): [number, number, number] {
  const pair = (at >> 1) * 4
  return [sample(pair + (at & 1)), sample(pair + 2), sample(pair + 3)]
}

function ybrToRgb(y: number, cb: number, cr: number): [number, number, number] {
  return [clamp(y + 1.402 * (cr - 128)), clamp(y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)), clamp(y + 1.772 * (cb - 128))]
}
