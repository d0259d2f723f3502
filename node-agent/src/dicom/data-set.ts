import { Buffer } from 'node:buffer'
import iconv from 'iconv-lite'
import { Problem } from 'specs'
import { characterSet, cleanText, textVrs } from './character-set.ts'
import { DatasetScanner, type ElementHead } from './dataset-scanner.ts'
import { keywordOf, tagOf, vrOf } from './dictionary.ts'
import { transferSyntax } from './transfer-syntax.ts'

/** An element of a small data set that is held as a whole: an identifier, a worklist item, a transaction. Never an image. */
export interface DataElement {
  readonly tag: number
  readonly vr: string
  /** Decoded, without padding, several values joined by backslash; numbers in decimal, AT as eight hex digits. '' for what is no text or number. */
  readonly text?: string
  /** Of a sequence. */
  readonly items?: readonly DataItem[]
}
export type DataItem = readonly DataElement[]

/** How text goes out: UTF-8 unless old stations need GB18030 (LOC). */
export type AnswerCharset = 'ISO_IR 192' | 'GB18030'

export const SPECIFIC_CHARACTER_SET = 0x00080005
const MAX_ELEMENTS = 200_000
const MAX_VALUE_BYTES = 64 * 1024

interface Draft {
  readonly tag: number
  readonly vr: string
  bytes: Buffer
  items: Draft[][] | undefined
}

/**
 * Reads a small data set with its sequences. Group lengths and longer values than 64 KB are passed over.
 * @throws {Problem} archive/unreadable when it is no data set in that syntax, or has more than 200,000 elements.
 */
export function readDataSet(bytes: Buffer, transferSyntaxUid: string): DataElement[] {
  const syntax = transferSyntax(transferSyntaxUid)
  const top: Draft[] = []
  const items = [top]
  const sequences: Draft[] = []
  let count = 0
  const begin = (head: ElementHead, sequence: boolean) => {
    if (++count > MAX_ELEMENTS) throw new Problem('archive/unreadable', { reason: 'too many elements' })
    const element: Draft = { tag: head.tag, vr: head.vr === 'UN' && !sequence ? vrOf(head.tag) : sequence ? 'SQ' : head.vr, bytes: Buffer.alloc(0), items: sequence ? [] : undefined }
    items.at(-1)?.push(element)
    return element
  }
  const scanner = new DatasetScanner(syntax, {
    element: (head) => {
      if ((head.tag & 0xffff) === 0) return false
      begin(head, false)
      return (head.length ?? 0) > 0 && (head.length ?? 0) <= MAX_VALUE_BYTES
    },
    value: (_head, value) => {
      const element = items.at(-1)?.at(-1)
      if (element) element.bytes = value
    },
    startSequence: (head) => sequences.push(begin(head, true)),
    startItem: () => {
      const item: Draft[] = []
      sequences.at(-1)?.items?.push(item)
      items.push(item)
    },
    endItem: () => void items.pop(),
    endSequence: () => void sequences.pop(),
  })
  scanner.push(bytes)
  scanner.end()
  const named = top.find(({ tag }) => tag === SPECIFIC_CHARACTER_SET)?.bytes.toString('latin1') ?? ''
  const set = characterSet(cleanText(named))
  const finished = ({ tag, vr, bytes: value, items: own }: Draft): DataElement =>
    own ? { tag, vr, items: own.map((item) => item.map(finished)) } : { tag, vr, text: textOf(vr, value, syntax.bigEndian, (text) => set.decode(text)) }
  return top.map(finished)
}

/** PS3.5 6.2: VRs whose values are binary numbers, with their width in bytes. */
const numbers: Readonly<Record<string, { readonly bytes: number; read(value: Buffer, at: number, big: boolean): number }>> = {
  US: { bytes: 2, read: (value, at, big) => (big ? value.readUInt16BE(at) : value.readUInt16LE(at)) },
  SS: { bytes: 2, read: (value, at, big) => (big ? value.readInt16BE(at) : value.readInt16LE(at)) },
  UL: { bytes: 4, read: (value, at, big) => (big ? value.readUInt32BE(at) : value.readUInt32LE(at)) },
  SL: { bytes: 4, read: (value, at, big) => (big ? value.readInt32BE(at) : value.readInt32LE(at)) },
  FL: { bytes: 4, read: (value, at, big) => (big ? value.readFloatBE(at) : value.readFloatLE(at)) },
  FD: { bytes: 8, read: (value, at, big) => (big ? value.readDoubleBE(at) : value.readDoubleLE(at)) },
}
const asciiVrs = new Set(['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'TM', 'UI', 'UR'])

function textOf(vr: string, value: Buffer, bigEndian: boolean, decode: (value: Buffer) => string): string {
  if (textVrs.has(vr)) return cleanText(decode(value))
  if (asciiVrs.has(vr)) return cleanText(value.toString('latin1'))
  const count = (bytes: number) => Array.from({ length: Math.floor(value.length / bytes) }, (_, index) => index * bytes)
  const number = numbers[vr]
  if (number) return count(number.bytes).map((at) => String(number.read(value, at, bigEndian))).join('\\') // prettier-ignore
  if (vr !== 'AT') return ''
  const half = (at: number) => (bigEndian ? value.readUInt16BE(at) : value.readUInt16LE(at)).toString(16).toUpperCase().padStart(4, '0')
  return count(4).map((at) => half(at) + half(at + 2)).join('\\') // prettier-ignore
}

/** PS3.5 7.1.2: VRs with two reserved bytes and a 32-bit length. */
const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
/** The longest value of even length that a 16-bit length can tell. */
export const MAX_SHORT_BYTES = 0xfffe
const ITEM = 0xfffee000

/** Elements in ascending order of tags, sequences with explicit lengths; what is neither text nor number is written empty. */
export function writeDataSet(elements: DataItem, transferSyntaxUid: string, charset: AnswerCharset): Buffer {
  const { explicitVr, bigEndian } = transferSyntax(transferSyntaxUid)
  const head = (tag: number, vr: string, lengthBytes: number): Buffer => {
    const bytes = Buffer.alloc(explicitVr && longVrs.has(vr) ? 12 : 8)
    const uint16 = (value: number, at: number) => (bigEndian ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at))
    const uint32 = (value: number, at: number) => (bigEndian ? bytes.writeUInt32BE(value, at) : bytes.writeUInt32LE(value, at))
    uint16(tag >>> 16, 0)
    uint16(tag & 0xffff, 2)
    if (!explicitVr || tag === ITEM) uint32(lengthBytes, 4)
    else {
      bytes.write(vr, 4, 2, 'latin1')
      if (bytes.length === 12) uint32(lengthBytes, 8)
      else uint16(lengthBytes, 6)
    }
    return bytes
  }
  const written = (item: DataItem): Buffer =>
    Buffer.concat(
      [...item]
        .sort((a, b) => a.tag - b.tag)
        .flatMap(({ tag, vr, text = '', items }) => {
          const value = items ? Buffer.concat(items.map(written).flatMap((each) => [head(ITEM, '', each.length), each])) : encodeValue(vr, text, charset, bigEndian)
          return [head(tag, vr, value.length), value]
        }),
    )
  return written(elements)
}

function encodeValue(vr: string, text: string, charset: AnswerCharset, bigEndian: boolean): Buffer {
  if (text === '') return Buffer.alloc(0)
  const values = text.split('\\')
  if (vr in numbers) return Buffer.concat(values.map((value) => encodeNumber(vr, Number(value) || 0, bigEndian)))
  if (vr === 'AT') return Buffer.concat(values.map((tag) => Buffer.concat([encodeNumber('US', Number.parseInt(tag.slice(0, 4), 16) || 0, bigEndian), encodeNumber('US', Number.parseInt(tag.slice(4), 16) || 0, bigEndian)])))
  const isText = textVrs.has(vr)
  if (!isText && !asciiVrs.has(vr)) return Buffer.alloc(0)
  const bytes = !isText ? Buffer.from(text, 'latin1') : charset === 'GB18030' ? iconv.encode(text, 'gb18030') : Buffer.from(text, 'utf8')
  const whole = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' ? '\0' : ' ', 'latin1')])
  return longVrs.has(vr) ? whole : whole.subarray(0, MAX_SHORT_BYTES)
}

function encodeNumber(vr: string, value: number, bigEndian: boolean): Buffer {
  const bytes = Buffer.alloc(numbers[vr]?.bytes ?? 0)
  const whole = Math.trunc(value)
  if (vr === 'US' || vr === 'SS') bytes.writeUInt16LE(whole & 0xffff)
  else if (vr === 'UL' || vr === 'SL') bytes.writeUInt32LE(whole >>> 0)
  else if (vr === 'FL') bytes.writeFloatLE(value)
  else bytes.writeDoubleLE(value)
  return bigEndian ? bytes.reverse() : bytes
}

/** The first element of a keyword in an item. */
export function elementOf(item: DataItem, keyword: string): DataElement | undefined {
  const tag = tagOf(keyword)
  return item.find((element) => element.tag === tag)
}

/** '' when it is missing or empty. */
export const textAt = (item: DataItem, keyword: string): string => elementOf(item, keyword)?.text ?? ''
export const itemsAt = (item: DataItem, keyword: string): readonly DataItem[] => elementOf(item, keyword)?.items ?? []

/** An element by its keyword, with the VR of the dictionary. @throws Error for a keyword that does not exist. */
export function anElement(keyword: string, value: string | readonly DataItem[]): DataElement {
  const tag = tagOf(keyword)
  if (tag === undefined) throw new Error(`${keyword} is not in the dictionary`)
  return typeof value === 'string' ? { tag, vr: vrOf(tag), text: value } : { tag, vr: 'SQ', items: value }
}

/** Every element that has a keyword and no items: DICOM keyword → text. */
export function textsOf(item: DataItem): Record<string, string> {
  return Object.fromEntries(
    item.flatMap(({ tag, text }) => {
      const keyword = keywordOf(tag)
      return keyword === undefined || text === undefined ? [] : [[keyword, text]]
    }),
  )
}
