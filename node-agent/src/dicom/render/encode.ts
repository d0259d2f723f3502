import { Buffer } from 'node:buffer'
import dcmjsCodecs from 'dcmjs-codecs'
import { RLE } from '../transfer-syntax.ts'
import { decodeFrame, ready, type DecodedFrame } from './decode.ts'
import { toRgb } from './display.ts'
import type { PixelDescription } from './pixel-description.ts'
import type { EncodeOptions } from './render-job.ts'

const { Context, NativeCodecs } = dcmjsCodecs
type CodecContext = InstanceType<typeof Context>
type Encoder = (context: CodecContext, options: EncodeOptions) => CodecContext

const jpeg = (suffix: string) => `1.2.840.10008.1.2.4.${suffix}`
/** PS3.5 A.4.4 asks JPEG 2000 for nothing; resolution first lets a viewer show a small picture of a part. */
const rpcl = 2
/** 4:2:2, the only subsampling that has a Photometric Interpretation (PS3.3 C.7.6.3.1.2). */
const subsampled = 1

const encoders: Readonly<Record<string, Encoder>> = {
  [RLE]: (context) => NativeCodecs.encodeRle(context),
  [jpeg('50')]: (context, { quality }) => NativeCodecs.encodeJpeg(context, { lossy: true, quality, sampleFactor: subsampled }),
  [jpeg('57')]: (context) => NativeCodecs.encodeJpeg(context, { lossy: false, predictor: 1, pointTransform: 0 }),
  [jpeg('70')]: (context) => NativeCodecs.encodeJpeg(context, { lossy: false, predictor: 1, pointTransform: 0 }),
  [jpeg('80')]: (context) => NativeCodecs.encodeJpegLs(context, { lossy: false }),
  [jpeg('81')]: (context, { allowedError }) => NativeCodecs.encodeJpegLs(context, { lossy: true, allowedLossyError: allowedError }),
  [jpeg('90')]: (context) => NativeCodecs.encodeJpeg2000(context, { lossy: false, progressionOrder: rpcl }),
  [jpeg('91')]: (context, { ratio }) => NativeCodecs.encodeJpeg2000(context, { lossy: true, progressionOrder: rpcl, rate: ratio }),
  [jpeg('201')]: (context) => NativeCodecs.encodeHtJpeg2000(context, { lossy: false, progressionOrder: rpcl }),
}
const isLossy = (uid: string) => uid === jpeg('50') || uid === jpeg('81') || uid === jpeg('91')
const isWavelet = (uid: string) => uid === jpeg('90') || uid === jpeg('91') || uid === jpeg('201')

/**
 * Why frames of these pixels cannot be compressed so, undefined when they can. What the codecs were measured to get wrong is
 * refused here (ADR 0021), because an image that comes back otherwise is worse than one that is sent in another way.
 */
export function whyNotEncodable(transferSyntaxUid: string, pixels: PixelDescription): string | undefined {
  const { bitsAllocated, bitsStored, samplesPerPixel, photometricInterpretation, signed, float } = pixels
  if (!Object.hasOwn(encoders, transferSyntaxUid)) return 'no encoder'
  if (float || bitsAllocated === 1) return 'not whole samples'
  if (samplesPerPixel !== 1 && samplesPerPixel !== 3) return `${samplesPerPixel} samples per pixel`
  if (photometricInterpretation === 'YBR_FULL_422') return 'subsampled colour'
  if (transferSyntaxUid === RLE) return [8, 16, 32].includes(bitsAllocated) ? undefined : `${bitsAllocated} bits`
  if (bitsAllocated !== 8 && bitsAllocated !== 16) return `${bitsAllocated} bits`
  if (isWavelet(transferSyntaxUid)) {
    if (bitsAllocated === 8 && signed) return 'signed bytes'
    if (bitsAllocated === 16 && (samplesPerPixel > 1 || bitsStored <= 8)) return 'wide samples'
    if (photometricInterpretation.startsWith('YBR')) return 'luminance and chrominance'
  }
  if (isLossy(transferSyntaxUid)) {
    if (photometricInterpretation === 'PALETTE COLOR') return 'a palette has no neighbours'
    if (signed && !isWavelet(transferSyntaxUid)) return 'signed samples'
    if (transferSyntaxUid === jpeg('50') && bitsAllocated !== 8) return `${bitsAllocated} bits`
  }
  return undefined
}

/** Photometric Interpretation of the compressed image (PS3.5 8.2), known before the first frame. */
export function encodedPhotometric(transferSyntaxUid: string, photometricInterpretation: string): string {
  if (transferSyntaxUid === jpeg('50') && !photometricInterpretation.startsWith('MONO')) return 'YBR_FULL_422'
  if (!isWavelet(transferSyntaxUid) || photometricInterpretation !== 'RGB') return photometricInterpretation
  return transferSyntaxUid === jpeg('91') ? 'YBR_ICT' : 'YBR_RCT'
}

/** Runs in a worker thread. @throws {Error} when the samples are not what the header says, or cannot be compressed so. */
export async function encodeFrame(frame: DecodedFrame, pixels: PixelDescription, options: EncodeOptions): Promise<DecodedFrame> {
  const { transferSyntaxUid } = options
  const described = { ...pixels, photometricInterpretation: frame.photometricInterpretation }
  const refusal = whyNotEncodable(transferSyntaxUid, described)
  const encode = encoders[transferSyntaxUid]
  if (refusal !== undefined || !encode) throw new Error(`not encodable: ${refusal}`)
  if (transferSyntaxUid !== RLE && !isWithinBitsStored(frame.bytes, pixels)) throw new Error('not encodable: bits outside those stored are in use')
  // JPEG turns red, green and blue into luminance and chrominance itself, and takes whatever it is given for the former.
  const source = transferSyntaxUid === jpeg('50') && frame.photometricInterpretation.startsWith('YBR') ? { bytes: toRgb(frame, pixels), photometricInterpretation: 'RGB', planarConfiguration: 0 } : frame
  const samples = byPixel(source, pixels)
  await ready()
  const encoded = encode(
    new Context({
      width: pixels.columns,
      height: pixels.rows,
      bitsAllocated: pixels.bitsAllocated,
      bitsStored: pixels.bitsStored,
      samplesPerPixel: pixels.samplesPerPixel,
      pixelRepresentation: pixels.signed ? 1 : 0,
      planarConfiguration: 0,
      photometricInterpretation: source.photometricInterpretation,
      decodedBuffer: samples,
    }),
    options,
  ).getEncodedBuffer()
  if (!encoded) throw new Error('the codec gave nothing')
  const photometricInterpretation = encodedPhotometric(transferSyntaxUid, source.photometricInterpretation)
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  if (isWavelet(transferSyntaxUid) && hasColourTransform(bytes) !== photometricInterpretation.startsWith('YBR'))
    throw new Error('not encodable: the codec chose other colours')
  if (options.verify && !isLossy(transferSyntaxUid)) {
    const again = await decodeFrame(bytes, transferSyntaxUid, true, { ...pixels, photometricInterpretation, planarConfiguration: 0 })
    if (!again.bytes.equals(samples)) throw new Error('not encodable: decoded again, the samples differ')
  }
  return { bytes, photometricInterpretation, planarConfiguration: 0 }
}

/** Codecs want the samples of a pixel side by side. */
function byPixel({ bytes, planarConfiguration }: DecodedFrame, { rows, columns, samplesPerPixel, bitsAllocated }: PixelDescription): Buffer {
  if (samplesPerPixel === 1 || planarConfiguration === 0) return bytes
  const width = bitsAllocated / 8
  const plane = rows * columns
  const turned = Buffer.allocUnsafe(bytes.length)
  for (let sample = 0; sample < samplesPerPixel; sample += 1)
    for (let at = 0; at < plane; at += 1)
      bytes.copy(turned, (at * samplesPerPixel + sample) * width, (sample * plane + at) * width, (sample * plane + at + 1) * width)
  return turned
}

/** Overlays in unused bits (retired, PS3.5 8.1.1) and values at another high bit do not survive a codec. */
function isWithinBitsStored(bytes: Buffer, { bitsAllocated, bitsStored, signed }: PixelDescription): boolean {
  if (bitsStored >= bitsAllocated) return true
  const half = 2 ** (bitsStored - 1)
  const [least, most] = signed ? [-half, half - 1] : [0, 2 * half - 1]
  if (bitsAllocated === 8) return bytes.every((byte) => within(signed ? (byte << 24) >> 24 : byte, least, most))
  for (let at = 0; at + 1 < bytes.length; at += 2) if (!within(signed ? bytes.readInt16LE(at) : bytes.readUInt16LE(at), least, most)) return false
  return true
}

const within = (value: number, least: number, most: number): boolean => value >= least && value <= most

/** Multiple component transformation of the COD marker (ISO/IEC 15444-1 A.6.1). */
function hasColourTransform(codestream: Buffer): boolean {
  const cod = codestream.indexOf(Buffer.from([0xff, 0x52]))
  return cod >= 0 && codestream[cod + 8] === 1
}
