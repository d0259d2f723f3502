import { Buffer } from 'node:buffer'
import iconv from 'iconv-lite'
import { Problem } from 'specs'
import { characterSet, cleanText, textVrs } from '../dicom/character-set.ts'
import { DatasetScanner, type ElementHead } from '../dicom/dataset-scanner.ts'
import { keywordOf, vrOf } from '../dicom/dictionary.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'

/** What a query asks: which keys with which text, and in which elements the answers shall come. */
export interface Identifier {
  /** DICOM keyword → text, decoded, without padding; several values joined by backslash, '' for universal matching. */
  readonly keys: Readonly<Record<string, string>>
  /** Every top-level element of the request, private and unknown ones too: they are answered empty. */
  readonly requested: readonly RequestedElement[]
}

export interface RequestedElement {
  readonly tag: number
  readonly vr: string
  readonly keyword: string | undefined
}

/** How text goes out: UTF-8 unless the hospital's old stations need GB18030 (LOC). */
export type AnswerCharset = 'ISO_IR 192' | 'GB18030'

const SPECIFIC_CHARACTER_SET = 0x00080005
const MAX_ELEMENTS = 512
const MAX_VALUE_BYTES = 64 * 1024

/**
 * Reads the identifier of a C-FIND-RQ.
 * @throws {Problem} archive/unreadable (0xC000, unable to process) when it is no data set in that syntax.
 */
export function decodeIdentifier(bytes: Buffer, transferSyntaxUid: string): Identifier {
  const values = new Map<number, { vr: string; bytes: Buffer }>()
  const note = (head: ElementHead, value: Buffer) => {
    if (head.depth > 0 || (head.tag & 0xffff) === 0) return // group lengths are not keys
    values.set(head.tag, { vr: head.vr, bytes: value })
    if (values.size > MAX_ELEMENTS) throw new Problem('archive/unreadable', { reason: 'too many keys' })
  }
  const scanner = new DatasetScanner(transferSyntax(transferSyntaxUid), {
    element: (head) => {
      note(head, Buffer.alloc(0))
      return head.depth === 0 && (head.length ?? 0) > 0 && (head.length ?? 0) <= MAX_VALUE_BYTES
    },
    value: note,
    startSequence: (head) => note(head, Buffer.alloc(0)),
  })
  scanner.push(bytes)
  scanner.end()
  const set = characterSet(cleanText(values.get(SPECIFIC_CHARACTER_SET)?.bytes.toString('latin1') ?? ''))
  const keys: Record<string, string> = {}
  const requested: RequestedElement[] = []
  for (const [tag, { vr, bytes: value }] of values) {
    const keyword = keywordOf(tag)
    requested.push({ tag, vr: vr === 'UN' ? vrOf(tag) : vr, keyword })
    if (keyword !== undefined) keys[keyword] = cleanText(textVrs.has(vrOf(tag)) ? set.decode(value) : value.toString('latin1'))
  }
  return { keys, requested }
}

export interface AnswerElement {
  readonly tag: number
  readonly vr: string
  readonly text: string
}

/** PS3.5 7.1.2: VRs with two reserved bytes and a 32-bit length. */
const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
const MAX_SHORT_BYTES = 0xfffe

/** A flat data set in ascending order of tags; numbers and text only, everything else is written empty. */
export function encodeIdentifier(elements: readonly AnswerElement[], transferSyntaxUid: string, charset: AnswerCharset): Buffer {
  const { explicitVr, bigEndian } = transferSyntax(transferSyntaxUid)
  const parts: Buffer[] = []
  for (const { tag, vr, text } of [...elements].sort((a, b) => a.tag - b.tag)) {
    const value = encodeValue(vr, text, charset, bigEndian)
    parts.push(encodeHead(tag, vr, value.length, explicitVr, bigEndian), value)
  }
  return Buffer.concat(parts)
}

function encodeHead(tag: number, vr: string, lengthBytes: number, explicitVr: boolean, bigEndian: boolean): Buffer {
  const head = Buffer.alloc(explicitVr && longVrs.has(vr) ? 12 : 8)
  const uint16 = (value: number, at: number) => (bigEndian ? head.writeUInt16BE(value, at) : head.writeUInt16LE(value, at))
  const uint32 = (value: number, at: number) => (bigEndian ? head.writeUInt32BE(value, at) : head.writeUInt32LE(value, at))
  uint16(tag >>> 16, 0)
  uint16(tag & 0xffff, 2)
  if (explicitVr) head.write(vr, 4, 2, 'latin1')
  if (!explicitVr) uint32(lengthBytes, 4)
  else if (head.length === 12) uint32(lengthBytes, 8)
  else uint16(lengthBytes, 6)
  return head
}

function encodeValue(vr: string, text: string, charset: AnswerCharset, bigEndian: boolean): Buffer {
  if (text === '' || vr === 'SQ') return Buffer.alloc(0)
  if (vr === 'US') return encodeUint16s(text, bigEndian)
  const isText = textVrs.has(vr)
  const bytes = isText ? encodeText(text, charset) : Buffer.from(text, 'latin1')
  if (!isText && !asciiVrs.has(vr)) return Buffer.alloc(0)
  const whole = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' ? '\0' : ' ', 'latin1')])
  return longVrs.has(vr) ? whole : whole.subarray(0, MAX_SHORT_BYTES)
}

const asciiVrs = new Set(['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'TM', 'UI', 'UR'])

function encodeText(text: string, charset: AnswerCharset): Buffer {
  return charset === 'GB18030' ? iconv.encode(text, 'gb18030') : Buffer.from(text, 'utf8')
}

function encodeUint16s(text: string, bigEndian: boolean): Buffer {
  const numbers = text.split('\\').map((value) => Number(value) & 0xffff)
  const bytes = Buffer.alloc(numbers.length * 2)
  numbers.forEach((number, index) => (bigEndian ? bytes.writeUInt16BE(number, index * 2) : bytes.writeUInt16LE(number, index * 2)))
  return bytes
}
