import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { cleanText } from './character-set.ts'
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, isKnownTransferSyntax } from './transfer-syntax.ts'

/** UID root under which our own UIDs are made (PS3.5 B.2: 2.25 and a UUID as a number). */
export const IMPLEMENTATION_CLASS_UID = '2.25.301140153796004885377612819205784563452'
/** Without a number: the same dataset must give the same file, whatever the release. */
export const IMPLEMENTATION_VERSION_NAME = 'LIANPIAN'

export interface FileMeta {
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  readonly transferSyntaxUid: string
}

/** Preamble and file meta information of a Part 10 file (PS3.10 7.1), explicit VR little endian. */
export function writeFileMeta(meta: FileMeta): Buffer {
  const elements = Buffer.concat([
    Buffer.from([0x02, 0x00, 0x01, 0x00, 0x4f, 0x42, 0, 0, 2, 0, 0, 0, 0x00, 0x01]), // (0002,0001) OB version 1
    uidElement(0x0002, meta.sopClassUid),
    uidElement(0x0003, meta.sopInstanceUid),
    uidElement(0x0010, meta.transferSyntaxUid),
    uidElement(0x0012, IMPLEMENTATION_CLASS_UID),
    shortElement(0x0013, 'SH', IMPLEMENTATION_VERSION_NAME, ' '),
  ])
  const groupLength = Buffer.from([0x02, 0x00, 0x00, 0x00, 0x55, 0x4c, 4, 0, 0, 0, 0, 0])
  groupLength.writeUInt32LE(elements.length, 8)
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM', 'latin1'), groupLength, elements])
}

function uidElement(element: number, uid: string): Buffer {
  return shortElement(element, 'UI', uid, '\0')
}

function shortElement(element: number, vr: string, text: string, padding: string): Buffer {
  const value = Buffer.from(text.length % 2 === 0 ? text : text + padding, 'latin1')
  const head = Buffer.alloc(8)
  head.writeUInt16LE(0x0002, 0)
  head.writeUInt16LE(element, 2)
  head.write(vr, 4, 'latin1')
  head.writeUInt16LE(value.length, 6)
  return Buffer.concat([head, value])
}

export interface ReadMeta {
  readonly transferSyntaxUid: string
  /** Where the dataset begins. */
  readonly datasetOffset: number
  /** Preamble, prefix and all required elements are there: the file may be kept as it is. */
  readonly proper: boolean
}

/** More meta information than this is not meta information. */
export const maxMetaBytes = 64 * 1024

/**
 * Reads preamble and meta header from the first bytes of a file. Files of careless writers are understood too: without
 * preamble, without group length, without any meta header (then the dataset's own first bytes tell the syntax).
 *
 * @param complete no more bytes will come.
 * @returns undefined when more bytes are needed.
 * @throws {Problem} archive/unreadable
 */
export function readFileMeta(bytes: Buffer, complete: boolean): ReadMeta | undefined {
  if (bytes.length < 132 + 12 && !complete) return undefined
  const preamble = bytes.length >= 132 && bytes.toString('latin1', 128, 132) === 'DICM'
  let at = preamble ? 132 : bytes.toString('latin1', 0, 4) === 'DICM' ? 4 : 0
  const found = new Map<number, string>()
  for (;;) {
    if (bytes.length - at < 12) {
      if (!complete && bytes.length <= maxMetaBytes) return undefined
      if (bytes.length - at < 8) throw notDicom()
    }
    if (bytes.readUInt16LE(at) !== 0x0002) break
    const element = bytes.readUInt16LE(at + 2)
    const vr = bytes.toString('latin1', at + 4, at + 6)
    if (!/^[A-Z]{2}$/.test(vr)) throw notDicom('meta header is not explicit VR')
    const long = ['OB', 'OW', 'UN', 'UT'].includes(vr)
    const length = long ? bytes.readUInt32LE(at + 8) : bytes.readUInt16LE(at + 6)
    const start = at + (long ? 12 : 8)
    if (start + length > maxMetaBytes) throw notDicom('meta header too long')
    if (start + length > bytes.length) {
      if (complete) throw notDicom('meta header breaks off')
      return undefined
    }
    if (vr === 'UI') found.set(element, cleanText(bytes.toString('latin1', start, start + length)))
    at = start + length
  }
  const declared = found.get(0x0010)
  const transferSyntaxUid = declared !== undefined && declared !== '' ? declared : sniffTransferSyntax(bytes, at)
  return {
    transferSyntaxUid,
    datasetOffset: at,
    proper:
      preamble && found.has(0x0002) && found.has(0x0003) && declared === transferSyntaxUid && isKnownTransferSyntax(transferSyntaxUid),
  }
}

/** A dataset begins with group 0008 (PS3.6 has nothing below that stays in files); a VR after the tag shows explicit VR. */
function sniffTransferSyntax(bytes: Buffer, at: number): string {
  const explicit = /^[A-Z]{2}$/.test(bytes.toString('latin1', at + 4, at + 6))
  if (bytes.readUInt16LE(at) === 0x0008) return explicit ? EXPLICIT_LE : IMPLICIT_LE
  if (bytes.readUInt16BE(at) === 0x0008 && explicit) return EXPLICIT_BE
  throw notDicom()
}

const notDicom = (reason = 'not a DICOM file') => new Problem('archive/unreadable', { reason })

export const isDeflated = (transferSyntaxUid: string): boolean => transferSyntaxUid === DEFLATED_LE
