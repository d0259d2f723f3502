import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { characterSet, cleanText, textVrs, type CharacterSet } from './character-set.ts'
import { PIXEL_DATA, type DatasetVisitor, type ElementHead } from './dataset-scanner.ts'
import { hex, isSignedByPixels, tagText } from './dictionary.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** DICOM JSON model, PS3.18 F.2. */
export interface JsonAttribute {
  vr: string
  Value?: (string | number | null | JsonPersonName | JsonDataset)[]
  InlineBinary?: string
  BulkDataURI?: string
}
export interface JsonPersonName {
  Alphabetic?: string
  Ideographic?: string
  Phonetic?: string
}
export type JsonDataset = { [tag: string]: JsonAttribute }

/** Longer binary values become BulkDataURIs; longer text is not kept inside JSON either. */
const defaultInlineBytes = 4 * 1024
const inlineTextBytes = 256 * 1024
/** A header that would become more JSON than this is refused by whoever asks for metadata; the instance itself can be retrieved. */
const maxElements = 500_000

const SPECIFIC_CHARACTER_SET = 0x00080005
const PIXEL_REPRESENTATION = 0x00280103
const binaryVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'])
const singleTextVrs = new Set(['ST', 'LT', 'UT', 'UR'])
/** PS3.18 F.2.2: only these may be given by reference. */
const bulkVrs = new Set([...binaryVrs, 'FL', 'FD', 'IS', 'LT', 'ST', 'SL', 'SS', 'UC', 'UL', 'US', 'UT', 'DS', 'SV', 'UV'])

interface Scope {
  readonly dataset: JsonDataset
  characters: CharacterSet
  signedPixels: boolean
}

/** Builds the JSON object of a dataset that a DatasetScanner reads. Group lengths and group 0002 are left out. */
export class JsonBuilder implements DatasetVisitor {
  readonly root: JsonDataset = {}
  readonly #syntax: TransferSyntax
  readonly #bulkUri: (path: string) => string
  readonly #inlineBytes: number
  readonly #scopes: Scope[]
  readonly #sequences: { readonly attribute: JsonAttribute; readonly path: string }[] = []
  #elements = 0

  /** @param bulkUri address of a value by its path: `7FE00010`, or `00540016/0/00181070` inside sequences. */
  constructor(syntax: TransferSyntax, bulkUri: (path: string) => string, inlineBytes = defaultInlineBytes) {
    this.#syntax = syntax
    this.#bulkUri = bulkUri
    this.#inlineBytes = inlineBytes
    this.#scopes = [{ dataset: this.root, characters: characterSet(''), signedPixels: false }]
  }

  element(head: ElementHead): boolean {
    this.#count()
    if (isLeftOut(head.tag)) return false
    const length = head.length ?? 0
    const bulk = head.tag === PIXEL_DATA || length > (binaryVrs.has(head.vr) ? this.#inlineBytes : inlineTextBytes)
    if (!bulk) return true
    this.#scope.dataset[tagText(head.tag)] = bulkVrs.has(head.vr)
      ? { vr: head.vr, BulkDataURI: this.#bulkUri(this.#pathOf(head.tag)) }
      : { vr: head.vr }
    return false
  }

  value(head: ElementHead, bytes: Buffer): void {
    const scope = this.#scope
    if (head.tag === SPECIFIC_CHARACTER_SET) scope.characters = characterSet(cleanText(bytes.toString('latin1')))
    if (head.tag === PIXEL_REPRESENTATION && bytes.length >= 2) scope.signedPixels = (bytes[0] ?? 0) + (bytes[1] ?? 0) === 1
    // JSON is UTF-8 whatever the file is (PS3.18 F.2).
    const isCharacterSet = head.tag === SPECIFIC_CHARACTER_SET && bytes.length > 0
    scope.dataset[tagText(head.tag)] = isCharacterSet ? { vr: 'CS', Value: ['ISO_IR 192'] } : this.#attribute(head, bytes, scope)
  }

  startSequence(head: ElementHead): void {
    this.#count()
    const attribute: JsonAttribute = { vr: 'SQ' }
    this.#scope.dataset[tagText(head.tag)] = attribute
    this.#sequences.push({ attribute, path: this.#pathOf(head.tag) })
  }

  startItem(): void {
    this.#count()
    const sequence = this.#sequences.at(-1)
    const { characters, signedPixels } = this.#scope
    const dataset: JsonDataset = {}
    if (sequence) (sequence.attribute.Value ??= []).push(dataset)
    this.#scopes.push({ dataset, characters, signedPixels })
  }

  endItem(): void {
    this.#scopes.pop()
  }

  endSequence(): void {
    this.#sequences.pop()
  }

  startFragments(head: ElementHead): void {
    this.#scope.dataset[tagText(head.tag)] = { vr: head.vr === 'UN' ? 'OB' : head.vr, BulkDataURI: this.#bulkUri(this.#pathOf(head.tag)) }
  }

  get #scope(): Scope {
    const scope = this.#scopes.at(-1)
    if (!scope) throw new Error('the root scope is never left')
    return scope
  }

  #pathOf(tag: number): string {
    const sequence = this.#sequences.at(-1)
    return sequence ? `${sequence.path}/${(sequence.attribute.Value?.length ?? 1) - 1}/${tagText(tag)}` : tagText(tag)
  }

  #count(): void {
    this.#elements += 1
    if (this.#elements > maxElements)
      throw new Problem('archive/unreadable', { reason: 'too many elements for metadata', limit: maxElements })
  }

  #attribute(head: ElementHead, bytes: Buffer, scope: Scope): JsonAttribute {
    const vr = head.vr === 'US' && scope.signedPixels && isSignedByPixels(head.tag) ? 'SS' : head.vr
    if (bytes.length === 0) return { vr }
    if (binaryVrs.has(vr)) return { vr, InlineBinary: this.#littleEndian(vr, bytes).toString('base64') }
    const numbers = readNumbers(vr, bytes, this.#syntax.bigEndian)
    if (numbers) return numbers.length === 0 ? { vr } : { vr, Value: numbers }
    const text = textVrs.has(vr) ? scope.characters.decode(bytes) : bytes.toString('latin1')
    if (singleTextVrs.has(vr)) return textValue(vr, [cleanText(text)])
    const values = text.split('\\').map((part) => cleanText(part))
    if (vr === 'PN') return { vr, Value: values.map((value) => (value === '' ? null : personName(value))) }
    if (vr === 'IS' || vr === 'DS') return { vr, Value: values.map(numberOrText) }
    return textValue(vr, values)
  }

  /** InlineBinary is little endian whatever the file is (PS3.18 F.2.7). */
  #littleEndian(vr: string, bytes: Buffer): Buffer {
    if (!this.#syntax.bigEndian) return bytes
    const width = { OW: 2, OF: 4, OL: 4, OD: 8, OV: 8 }[vr]
    return width === undefined || bytes.length % width !== 0 ? bytes : swapped(bytes, width)
  }
}

/** A copy with the bytes of each unit of 2, 4 or 8 bytes turned round. */
export function swapped(bytes: Buffer, width: number): Buffer {
  const copy = Buffer.from(bytes)
  if (width === 2) return copy.swap16()
  return width === 4 ? copy.swap32() : copy.swap64()
}

const isLeftOut = (tag: number): boolean => (tag & 0xffff) === 0 || tag >>> 16 === 0x0002 || tag === 0xfffcfffc

function textValue(vr: string, values: readonly string[]): JsonAttribute {
  if (values.every((value) => value === '')) return { vr }
  return { vr, Value: values.map((value) => (value === '' ? null : value)) }
}

/** PS3.18 F.2.3.1: numbers as numbers, what is none as text. */
function numberOrText(text: string): number | string | null {
  if (text === '') return null
  const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : text
}

export function personName(text: string): JsonPersonName {
  const [Alphabetic = '', Ideographic = '', Phonetic = ''] = text.split('=')
  return { ...(Alphabetic && { Alphabetic }), ...(Ideographic && { Ideographic }), ...(Phonetic && { Phonetic }) }
}

type ReadNumber = (bytes: Buffer, at: number) => number | string | null
const finite = (value: number): number | string =>
  Number.isFinite(value) ? value : Number.isNaN(value) ? 'NaN' : value > 0 ? 'inf' : '-inf'
/** 64-bit integers beyond the exact range of a JSON number are text (PS3.18 F.2.3.1). */
const safe = (value: bigint): number | string =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString()

const littleEndian: Readonly<Record<string, { readonly width: number; readonly read: ReadNumber }>> = {
  US: { width: 2, read: (bytes, at) => bytes.readUInt16LE(at) },
  SS: { width: 2, read: (bytes, at) => bytes.readInt16LE(at) },
  UL: { width: 4, read: (bytes, at) => bytes.readUInt32LE(at) },
  SL: { width: 4, read: (bytes, at) => bytes.readInt32LE(at) },
  FL: { width: 4, read: (bytes, at) => finite(bytes.readFloatLE(at)) },
  FD: { width: 8, read: (bytes, at) => finite(bytes.readDoubleLE(at)) },
  UV: { width: 8, read: (bytes, at) => safe(bytes.readBigUInt64LE(at)) },
  SV: { width: 8, read: (bytes, at) => safe(bytes.readBigInt64LE(at)) },
}

function readNumbers(vr: string, bytes: Buffer, bigEndian: boolean): (number | string | null)[] | undefined {
  const values: (number | string | null)[] = []
  if (vr === 'AT') {
    const read = (at: number) => (bigEndian ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at))
    for (let at = 0; at + 4 <= bytes.length; at += 4) values.push(hex(read(at), 4) + hex(read(at + 2), 4))
    return values
  }
  const format = littleEndian[vr]
  if (!format) return undefined
  const { width, read } = format
  const whole = bytes.subarray(0, bytes.length - (bytes.length % width))
  const ordered = bigEndian ? swapped(whole, width) : whole
  for (let at = 0; at + width <= ordered.length; at += width) values.push(read(ordered, at))
  return values
}
