import { Problem } from 'specs'

export interface TransferSyntax {
  readonly uid: string
  readonly name: string
  readonly explicitVr: boolean
  readonly bigEndian: boolean
  readonly deflated: boolean
  /** Pixel Data comes in fragments. */
  readonly encapsulated: boolean
  /** What a frame is outside DICOM (PS3.18 8.7.3), `application/octet-stream` when it is plain samples. */
  readonly mediaType: string
}

const plain = { explicitVr: true, bigEndian: false, deflated: false, encapsulated: false, mediaType: 'application/octet-stream' }
const fragments = (mediaType: string) => ({ ...plain, encapsulated: true, mediaType })

export const IMPLICIT_LE = '1.2.840.10008.1.2'
export const EXPLICIT_LE = '1.2.840.10008.1.2.1'
export const EXPLICIT_BE = '1.2.840.10008.1.2.2'
export const DEFLATED_LE = '1.2.840.10008.1.2.1.99'
export const RLE = '1.2.840.10008.1.2.5'

/** PS3.6 Table A-1, PS3.5 A. */
const table: Readonly<Record<string, Omit<TransferSyntax, 'uid'>>> = {
  [IMPLICIT_LE]: { ...plain, name: 'Implicit VR Little Endian', explicitVr: false },
  [EXPLICIT_LE]: { ...plain, name: 'Explicit VR Little Endian' },
  [EXPLICIT_BE]: { ...plain, name: 'Explicit VR Big Endian', bigEndian: true },
  [DEFLATED_LE]: { ...plain, name: 'Deflated Explicit VR Little Endian', deflated: true },
  [RLE]: { ...fragments('image/dicom-rle'), name: 'RLE Lossless' },
  '1.2.840.10008.1.2.4.50': { ...fragments('image/jpeg'), name: 'JPEG Baseline (Process 1)' },
  '1.2.840.10008.1.2.4.51': { ...fragments('image/jpeg'), name: 'JPEG Extended (Process 2 & 4)' },
  '1.2.840.10008.1.2.4.53': { ...fragments('image/jpeg'), name: 'JPEG Spectral Selection (Process 6 & 8)' },
  '1.2.840.10008.1.2.4.55': { ...fragments('image/jpeg'), name: 'JPEG Full Progression (Process 10 & 12)' },
  '1.2.840.10008.1.2.4.57': { ...fragments('image/jpeg'), name: 'JPEG Lossless (Process 14)' },
  '1.2.840.10008.1.2.4.70': { ...fragments('image/jpeg'), name: 'JPEG Lossless (Process 14, Selection Value 1)' },
  '1.2.840.10008.1.2.4.80': { ...fragments('image/jls'), name: 'JPEG-LS Lossless' },
  '1.2.840.10008.1.2.4.81': { ...fragments('image/jls'), name: 'JPEG-LS Near-lossless' },
  '1.2.840.10008.1.2.4.90': { ...fragments('image/jp2'), name: 'JPEG 2000 Lossless' },
  '1.2.840.10008.1.2.4.91': { ...fragments('image/jp2'), name: 'JPEG 2000' },
  '1.2.840.10008.1.2.4.92': { ...fragments('image/jpx'), name: 'JPEG 2000 Part 2 Lossless' },
  '1.2.840.10008.1.2.4.93': { ...fragments('image/jpx'), name: 'JPEG 2000 Part 2' },
  '1.2.840.10008.1.2.4.100': { ...fragments('video/mpeg'), name: 'MPEG2 Main Profile / Main Level' },
  '1.2.840.10008.1.2.4.101': { ...fragments('video/mpeg'), name: 'MPEG2 Main Profile / High Level' },
  '1.2.840.10008.1.2.4.102': { ...fragments('video/mp4'), name: 'MPEG-4 AVC/H.264 High Profile' },
  '1.2.840.10008.1.2.4.103': { ...fragments('video/mp4'), name: 'MPEG-4 AVC/H.264 BD-compatible' },
  '1.2.840.10008.1.2.4.104': { ...fragments('video/mp4'), name: 'MPEG-4 AVC/H.264 2D' },
  '1.2.840.10008.1.2.4.105': { ...fragments('video/mp4'), name: 'MPEG-4 AVC/H.264 3D' },
  '1.2.840.10008.1.2.4.106': { ...fragments('video/mp4'), name: 'MPEG-4 AVC/H.264 Stereo' },
  '1.2.840.10008.1.2.4.107': { ...fragments('video/H265'), name: 'HEVC/H.265 Main' },
  '1.2.840.10008.1.2.4.108': { ...fragments('video/H265'), name: 'HEVC/H.265 Main 10' },
  '1.2.840.10008.1.2.4.201': { ...fragments('image/jphc'), name: 'HTJ2K Lossless' },
  '1.2.840.10008.1.2.4.202': { ...fragments('image/jphc'), name: 'HTJ2K Lossless RPCL' },
  '1.2.840.10008.1.2.4.203': { ...fragments('image/jphc'), name: 'HTJ2K' },
  '1.2.840.10008.1.2.8.1': { ...fragments('application/octet-stream'), name: 'Deflated Image Frame Compression' },
}

export const transferSyntaxUids: readonly string[] = Object.keys(table)

export function isKnownTransferSyntax(uid: string): boolean {
  return Object.hasOwn(table, uid)
}

/** @throws {Problem} archive/unreadable: without knowing the syntax nothing can be read. */
export function transferSyntax(uid: string): TransferSyntax {
  const known = Object.hasOwn(table, uid) ? table[uid] : undefined
  if (known) return { uid, ...known }
  throw new Problem('archive/unreadable', { reason: 'unknown transfer syntax', transferSyntaxUid: uid.slice(0, 64) })
}
