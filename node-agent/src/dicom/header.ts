import { type Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { characterSet, cleanText, textVrs } from './character-set.ts'
import { PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA, type DatasetVisitor, type ElementHead } from './dataset-scanner.ts'
import type { FrameIndex } from './frame-index.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

const SPECIFIC_CHARACTER_SET = 0x00080005
const SOP_CLASS_UID = 0x00080016
const SOP_INSTANCE_UID = 0x00080018
const EXTENDED_OFFSET_TABLE = 0x7fe00001

/** Longer values of wanted elements are cut off: no indexed text is that long. */
const maxValueBytes = 16 * 1024
const maxOffsetTableBytes = 8 * 200_000
const maxText = 1024

export interface WantedElement {
  readonly tag: number
  readonly vr: string
}

/**
 * Keeps the wanted top-level values of a dataset that flows by, and where its pixels are. Everything else is stepped over.
 */
export class HeaderCapture implements DatasetVisitor {
  readonly #wanted: ReadonlyMap<number, string>
  readonly #values = new Map<number, Buffer>()
  readonly #syntax: TransferSyntax
  readonly #fragments: [number, number, 0 | 1][] = []
  #offsetTable: number[] = []
  #native: { offset: number; length: number; vr: string } | undefined
  #encapsulated = false
  #inPixels = false
  #firstItem = 0
  /** Where top-level Pixel Data begins: what precedes it is the header. */
  headerEnd: number | undefined
  /** The highest top-level group that has begun. */
  reachedGroup = 0

  constructor(wanted: readonly WantedElement[], syntax: TransferSyntax) {
    this.#syntax = syntax
    this.#wanted = new Map([
      [SPECIFIC_CHARACTER_SET, 'CS'],
      [SOP_CLASS_UID, 'UI'],
      [SOP_INSTANCE_UID, 'UI'],
      ...wanted.map(({ tag, vr }) => [tag, vr] as const),
    ])
  }

  element(head: ElementHead): boolean {
    if (head.depth > 0) return false
    const length = head.length ?? 0
    this.reachedGroup = Math.max(this.reachedGroup, head.tag >>> 16)
    if (head.tag === EXTENDED_OFFSET_TABLE) return length <= maxOffsetTableBytes
    if (head.tag === PIXEL_DATA || head.tag === FLOAT_PIXEL_DATA || head.tag === DOUBLE_PIXEL_DATA) {
      this.headerEnd = head.valueOffset - (this.#syntax.explicitVr ? 12 : 8)
      this.#native = { offset: head.valueOffset, length, vr: head.vr }
      return false
    }
    return length <= maxValueBytes && this.#wanted.has(head.tag) && !this.#values.has(head.tag)
  }

  value(head: ElementHead, bytes: Buffer): void {
    if (head.tag === EXTENDED_OFFSET_TABLE) {
      for (let at = 0; at + 8 <= bytes.length; at += 8) this.#offsetTable.push(Number(bytes.readBigUInt64LE(at)))
    } else this.#values.set(head.tag, bytes)
  }

  startSequence(head: ElementHead): void {
    if (head.depth === 0) this.reachedGroup = Math.max(this.reachedGroup, head.tag >>> 16)
  }

  startFragments(head: ElementHead): void {
    this.#inPixels = head.tag === PIXEL_DATA
    if (!this.#inPixels) return
    this.reachedGroup = 0x7fe0
    this.headerEnd = head.valueOffset - (this.#syntax.explicitVr ? 12 : 8)
    this.#encapsulated = true
  }

  fragment(index: number, offset: number, length: number, bytes: Buffer): void {
    if (!this.#inPixels) return
    if (index === 0) {
      if (this.#offsetTable.length === 0) for (let at = 0; at + 4 <= bytes.length; at += 4) this.#offsetTable.push(bytes.readUInt32LE(at))
      this.#firstItem = offset + length
      return
    }
    this.#fragments.push([offset, length, startsCodestream(bytes) ? 1 : 0])
  }

  has(tag: number): boolean {
    return this.#values.has(tag)
  }

  /** @param base bytes before the dataset in the file, 0 when the dataset is deflated. */
  frameIndex(base: number): FrameIndex {
    if (this.#encapsulated) {
      return {
        kind: 'encapsulated',
        fragments: this.#fragments.map(([offset, length, starts]) => [offset + base, length, starts] as const),
        offsetTable: this.#offsetTable.map((relative) => relative + this.#firstItem + base),
      }
    }
    if (!this.#native || this.#native.length === 0) return { kind: 'none' }
    return {
      kind: 'native',
      ...this.#native,
      offset: this.#native.offset + base,
      ...(this.#syntax.deflated && { inflated: true as const }),
    }
  }

  /** Text of a wanted element: decoded, without padding, dates as YYYYMMDD; '' when absent. Several values stay joined by `\`. */
  text(tag: number): string {
    const bytes = this.#values.get(tag)
    const vr = this.#wanted.get(tag)
    if (!bytes || !vr || bytes.length === 0) return ''
    return readText(bytes, vr, this.#syntax.bigEndian, characterSet(this.#plain(SPECIFIC_CHARACTER_SET))).slice(0, maxText)
  }

  #plain(tag: number): string {
    return cleanText(this.#values.get(tag)?.toString('latin1') ?? '')
  }
}

const startsCodestream = (bytes: Buffer): boolean => {
  if (bytes.length < 2) return false
  const marker = bytes.readUInt16BE(0)
  return marker === 0xffd8 || marker === 0xff4f // SOI of JPEG and JPEG-LS, SOC of JPEG 2000
}

function readText(bytes: Buffer, vr: string, bigEndian: boolean, set: ReturnType<typeof characterSet>): string {
  if (vr === 'US') return bytes.length < 2 ? '' : String(bigEndian ? bytes.readUInt16BE(0) : bytes.readUInt16LE(0))
  if (textVrs.has(vr)) return cleanText(set.decode(bytes))
  const text = cleanText(bytes.toString('latin1'))
  if (vr === 'DA') return normalDate(text)
  if (vr === 'TM') return normalTime(text)
  return text
}

/** Also the ACR-NEMA form `1994.01.30`; anything that is no date becomes ''. */
export function normalDate(text: string): string {
  const digits = /^(\d{4})[.-]?(\d{2})[.-]?(\d{2})/.exec(text)
  return digits ? `${digits[1]}${digits[2]}${digits[3]}` : ''
}

/** `HHMMSS.ffffff` as far as given, also from `HH:MM:SS`; anything that is no time becomes ''. */
export function normalTime(text: string): string {
  return /^\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?/.exec(text.replaceAll(':', ''))?.[0] ?? ''
}

const uidPattern = /^[0-9]+(?:\.[0-9]+)*$/

/** @throws {Problem} archive/bad-uid, when it is missing or could be anything but a UID (a path, for instance). */
export function requireUid(text: string, what: string): string {
  if (text.length <= 64 && uidPattern.test(text)) return text
  throw new Problem('archive/bad-uid', { what, reason: text === '' ? 'missing' : 'not digits and dots, or too long' })
}
