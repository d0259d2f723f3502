import { Buffer } from 'node:buffer'
import { inflateRawSync } from 'node:zlib'
import dcmjsCodecs from 'dcmjs-codecs'
import { RLE } from '../transfer-syntax.ts'
import type { PixelDescription } from './pixel-description.ts'

const { Context, NativeCodecs } = dcmjsCodecs
type CodecContext = InstanceType<typeof Context>

/** Samples of one frame, little endian in bits allocated, colour by pixel; photometric interpretation as it is now. */
export interface DecodedFrame {
  readonly bytes: Buffer
  readonly photometricInterpretation: string
  readonly planarConfiguration: number
}

const decoders: Readonly<Record<string, (context: CodecContext) => CodecContext>> = {
  [RLE]: (context) => NativeCodecs.decodeRle(context),
  ...same(['50', '51', '53', '55', '57', '70'], (context) =>
    NativeCodecs.decodeJpeg(context, { convertColorspaceToRgb: (context.getPhotometricInterpretation() ?? '').startsWith('YBR') }),
  ),
  ...same(['80', '81'], (context) => NativeCodecs.decodeJpegLs(context)),
  ...same(['90', '91'], (context) => NativeCodecs.decodeJpeg2000(context)),
  ...same(['201', '202', '203'], (context) => NativeCodecs.decodeHtJpeg2000(context)),
}
const deflatedFrame = '1.2.840.10008.1.2.8.1'

function same<T>(suffixes: readonly string[], decoder: T): Record<string, T> {
  return Object.fromEntries(suffixes.map((suffix) => [`1.2.840.10008.1.2.4.${suffix}`, decoder]))
}

export const isDecodable = (transferSyntaxUid: string, encapsulated: boolean): boolean =>
  !encapsulated || transferSyntaxUid === deflatedFrame || Object.hasOwn(decoders, transferSyntaxUid)

/** Bytes of a whole frame by its description; 4:2:2 subsampling keeps two samples per pixel. */
export function frameBytes(pixels: PixelDescription, photometricInterpretation = pixels.photometricInterpretation): number {
  const samples = photometricInterpretation === 'YBR_FULL_422' ? 2 : pixels.samplesPerPixel
  return pixels.bitsAllocated === 1
    ? Math.ceil((pixels.rows * pixels.columns) / 8)
    : pixels.rows * pixels.columns * samples * Math.ceil(pixels.bitsAllocated / 8)
}

/** Runs in a worker thread: codecs are synchronous. @throws {Error} when the codestream cannot be decoded or is not what the header says. */
export async function decodeFrame(
  bytes: Uint8Array,
  transferSyntaxUid: string,
  encapsulated: boolean,
  pixels: PixelDescription,
): Promise<DecodedFrame> {
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const asStored = { photometricInterpretation: pixels.photometricInterpretation, planarConfiguration: pixels.planarConfiguration }
  if (!encapsulated) return { bytes: requireLength(stored, frameBytes(pixels)), ...asStored }
  if (transferSyntaxUid === deflatedFrame)
    return { bytes: requireLength(inflateRawSync(stored, { maxOutputLength: frameBytes(pixels) + 2 }), frameBytes(pixels)), ...asStored }
  const decode = decoders[transferSyntaxUid]
  if (!decode) throw new Error(`no decoder for ${transferSyntaxUid}`)
  await ready()
  const context = decode(
    new Context({
      width: pixels.columns,
      height: pixels.rows,
      bitsAllocated: pixels.bitsAllocated,
      bitsStored: pixels.bitsStored,
      samplesPerPixel: pixels.samplesPerPixel,
      pixelRepresentation: pixels.signed ? 1 : 0,
      planarConfiguration: pixels.planarConfiguration,
      photometricInterpretation: pixels.photometricInterpretation,
      encodedBuffer: stored,
    }),
  )
  const decoded = context.getDecodedBuffer()
  if (!decoded) throw new Error('the codec gave nothing')
  const samples = Buffer.from(decoded.buffer, decoded.byteOffset, decoded.byteLength)
  const length = frameBytes(pixels, 'decoded')
  return {
    // Codestreams of up to 8 bits come out as bytes, whatever the header allocates.
    bytes: requireLength(pixels.bitsAllocated === 16 && samples.length * 2 === length ? widened(samples, pixels.signed) : samples, length),
    photometricInterpretation: afterDecoding(context.getPhotometricInterpretation() ?? pixels.photometricInterpretation),
    planarConfiguration: context.getPlanarConfiguration() ?? 0,
  }
}

/** JPEG 2000 undoes its colour transformation while decoding (PS3.5 8.2.4); the codec does not say so. */
const afterDecoding = (photometric: string): string => (photometric === 'YBR_RCT' || photometric === 'YBR_ICT' ? 'RGB' : photometric)

function widened(bytes: Buffer, signed: boolean): Buffer {
  const wide = Buffer.alloc(bytes.length * 2)
  for (let at = 0; at < bytes.length; at += 1) wide.writeInt16LE(signed ? bytes.readInt8(at) : bytes.readUInt8(at), at * 2)
  return wide
}

export async function ready(): Promise<void> {
  if (!NativeCodecs.isInitialized()) await NativeCodecs.initializeAsync()
}

function requireLength(bytes: Buffer, length: number): Buffer {
  if (bytes.length < length) throw new Error(`frame has ${bytes.length} bytes instead of ${length}`)
  return bytes.subarray(0, length)
}
