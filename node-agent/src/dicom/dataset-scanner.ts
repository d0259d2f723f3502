import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { tagText, vrOf } from './dictionary.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

export interface ElementHead {
  readonly tag: number
  readonly vr: string
  /** `undefined` for undefined length. */
  readonly length: number | undefined
  /** Where the value begins, counted from the start of the dataset. */
  readonly valueOffset: number
  /** 0 at the top level. */
  readonly depth: number
}

/** Told what the scanner meets, in order. Values are copied out only when `element` asks for them. */
export interface DatasetVisitor {
  /** Not called for sequences and encapsulated Pixel Data. Answers whether `value` shall follow. */
  element(head: ElementHead): boolean
  value(head: ElementHead, bytes: Buffer): void
  startSequence?(head: ElementHead): void
  startItem?(): void
  endItem?(): void
  endSequence?(): void
  /** Encapsulated Pixel Data begins; only at the top level do fragments follow. */
  startFragments?(head: ElementHead): void
  /** The same of a data set in a sequence, for example an icon; its fragments are passed over. */
  nestedFragments?(head: ElementHead): void
  /** Fragment 0 is the basic offset table and comes with its whole value, the others with their first bytes (at most 2). */
  fragment?(index: number, offset: number, length: number, bytes: Buffer): void
}

export const limits = {
  /** Deeper nesting is an attack on recursive readers; SR trees stay below 20. */
  depth: 64,
  /** A basic offset table of 100,000 frames. */
  offsetTableBytes: 400_000,
  fragments: 200_000,
} as const

const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
export const PIXEL_DATA = 0x7fe00010
export const FLOAT_PIXEL_DATA = 0x7fe00008
export const DOUBLE_PIXEL_DATA = 0x7fe00009

/** PS3.5 Table 7.1-1: VRs with two reserved bytes and a 32-bit length. */
const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
/** With a 16-bit length. */
export const shortVrs: ReadonlySet<string> = new Set([
  'AE',
  'AS',
  'AT',
  'CS',
  'DA',
  'DS',
  'DT',
  'FD',
  'FL',
  'IS',
  'LO',
  'LT',
  'PN',
  'SH',
  'SL',
  'SS',
  'ST',
  'TM',
  'UI',
  'UL',
  'US',
])

interface Level {
  readonly kind: 'dataset' | 'sequence' | 'fragments'
  /** Where the level ends, Infinity when a delimiter tells. */
  readonly end: number
  /** Inside UN of undefined length everything is implicit VR little endian (PS3.5 6.2.2, note 2). */
  readonly implicit: boolean
  fragmentCount: number
}

interface Capture {
  readonly bytes: Buffer
  filled: number
  readonly then: (bytes: Buffer) => void
}

const unreadable = (reason: string, facts: Record<string, unknown> = {}) => new Problem('archive/unreadable', { reason, ...facts })

/**
 * Reads a dataset as it arrives, in chunks of any size, keeping only the open levels and one value at a time: hostile
 * input costs neither memory nor stack, and pixels are stepped over. Whatever follows top-level Pixel Data is not looked at.
 *
 * @throws {Problem} archive/unreadable from `push` and `end`.
 * @see PS3.5 7 (data set), A.4 (encapsulated pixel data)
 */
export class DatasetScanner {
  /** Pixel Data has passed; everything needed is known. */
  finished = false
  readonly #visitor: DatasetVisitor
  readonly #explicit: boolean
  readonly #bigEndian: boolean
  readonly #levels: Level[]
  #carry: Buffer = Buffer.alloc(0)
  #position = 0
  #skip = 0
  #capture: Capture | undefined

  constructor(syntax: TransferSyntax, visitor: DatasetVisitor) {
    this.#visitor = visitor
    this.#explicit = syntax.explicitVr
    this.#bigEndian = syntax.bigEndian
    this.#levels = [{ kind: 'dataset', end: Infinity, implicit: !syntax.explicitVr, fragmentCount: 0 }]
  }

  push(chunk: Uint8Array): void {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const buffer = this.#carry.length > 0 ? Buffer.concat([this.#carry, fresh]) : fresh
    let at = 0
    while (!this.finished) {
      if (this.#capture) {
        at += this.#fill(this.#capture, buffer, at)
        if (this.#capture) break
      }
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, buffer.length - at)
        this.#skip -= passed
        this.#position += passed
        at += passed
        if (this.#skip > 0) break
        this.#finishWhenPixelsPassed()
        continue
      }
      const used = this.#step(buffer, at)
      if (used === 0) break
      at += used
      this.#position += used
      this.#finishWhenPixelsPassed()
    }
    this.#carry = this.finished ? Buffer.alloc(0) : Buffer.from(buffer.subarray(at))
  }

  /** No more bytes: anything half read is a dataset that breaks off. */
  end(): void {
    if (this.finished) return
    this.#closeLevels()
    const broken = this.#capture !== undefined || this.#skip > 0 || this.#carry.length > 0 || this.#levels.length > 1
    if (broken) throw unreadable('breaks off', { atByte: this.#position })
  }

  #pixelsOpen = false
  #finishWhenPixelsPassed(): void {
    if (this.#pixelsOpen && this.#skip === 0 && !this.#capture && this.#levels.length === 1) this.finished = true
  }

  #fill(capture: Capture, buffer: Buffer, at: number): number {
    const part = Math.min(capture.bytes.length - capture.filled, buffer.length - at)
    buffer.copy(capture.bytes, capture.filled, at, at + part)
    capture.filled += part
    this.#position += part
    if (capture.filled === capture.bytes.length) {
      this.#capture = undefined
      capture.then(capture.bytes)
    }
    return part
  }

  get #level(): Level {
    const level = this.#levels.at(-1)
    if (!level) throw new Error('the root level is never closed')
    return level
  }

  #closeLevels(): void {
    while (this.#levels.length > 1 && this.#position === this.#level.end) this.#pop()
  }

  #pop(): void {
    const level = this.#levels.pop()
    if (level?.kind === 'dataset') this.#visitor.endItem?.()
    else if (level?.kind === 'sequence') this.#visitor.endSequence?.()
  }

  #push(level: Level): void {
    if (this.#levels.length > limits.depth) throw unreadable('nested too deep', { atByte: this.#position })
    this.#levels.push(level)
  }

  /** @returns how many bytes it took, 0 when it needs more to go on. */
  #step(buffer: Buffer, at: number): number {
    this.#closeLevels()
    const left = buffer.length - at
    if (left < 8) return 0
    const level = this.#level
    const big = this.#bigEndian && !(this.#explicit && level.implicit)
    const group = big ? buffer.readUInt16BE(at) : buffer.readUInt16LE(at)
    const element = big ? buffer.readUInt16BE(at + 2) : buffer.readUInt16LE(at + 2)
    const tag = group * 0x10000 + element
    if (level.kind === 'dataset' && group !== 0xfffe) return this.#element(buffer, at, tag, level, big)
    const raw = big ? buffer.readUInt32BE(at + 4) : buffer.readUInt32LE(at + 4)
    return this.#delimiter(buffer, at, tag, raw, level)
  }

  #delimiter(buffer: Buffer, at: number, tag: number, raw: number, level: Level): number {
    const undefinedLength = raw === 0xffffffff
    if (level.kind === 'dataset') {
      if (tag !== ITEM_END || level.end !== Infinity || this.#levels.length === 1)
        throw unreadable('stray delimiter', { tag: tagText(tag), atByte: this.#position })
      this.#pop()
      return 8
    }
    if (tag === SEQUENCE_END && level.end === Infinity) {
      this.#pop()
      return 8
    }
    if (tag !== ITEM) throw unreadable('item expected', { tag: tagText(tag), atByte: this.#position })
    const end = undefinedLength ? Infinity : this.#position + 8 + raw
    if (!undefinedLength && end > this.#enclosingEnd()) throw unreadable('item longer than its sequence', { atByte: this.#position })
    if (level.kind === 'sequence') {
      this.#push({ kind: 'dataset', end, implicit: level.implicit, fragmentCount: 0 })
      this.#visitor.startItem?.()
      return 8
    }
    if (undefinedLength) throw unreadable('fragment of undefined length', { atByte: this.#position })
    return this.#fragment(buffer, at, raw, level)
  }

  #fragment(buffer: Buffer, at: number, length: number, level: Level): number {
    const index = level.fragmentCount
    const offset = this.#position + 8
    const listed = this.#levels.length === 2
    const isOffsetTable = index === 0
    const peek = isOffsetTable || !listed ? 0 : Math.min(2, length)
    if (buffer.length - at < 8 + peek) return 0
    level.fragmentCount += 1
    if (level.fragmentCount > limits.fragments) throw unreadable('too many fragments', { limit: limits.fragments })
    if (listed && isOffsetTable && length > 0) {
      if (length > limits.offsetTableBytes) throw unreadable('offset table too long', { sizeBytes: length })
      this.#capture = { bytes: Buffer.alloc(length), filled: 0, then: (bytes) => this.#visitor.fragment?.(0, offset, length, bytes) }
      return 8
    }
    if (listed) this.#visitor.fragment?.(index, offset, length, Buffer.from(buffer.subarray(at + 8, at + 8 + peek)))
    this.#skip = length
    return 8
  }

  #enclosingEnd(): number {
    let end = Infinity
    for (const level of this.#levels) end = Math.min(end, level.end)
    return end
  }

  #element(buffer: Buffer, at: number, tag: number, level: Level, big: boolean): number {
    const left = buffer.length - at
    let vr: string
    let raw: number
    let used = 8
    if (level.implicit) {
      vr = vrOf(tag)
      raw = buffer.readUInt32LE(at + 4)
    } else {
      vr = buffer.toString('latin1', at + 4, at + 6)
      if (shortVrs.has(vr)) {
        raw = big ? buffer.readUInt16BE(at + 6) : buffer.readUInt16LE(at + 6)
      } else if (longVrs.has(vr) || /^[A-Z]{2}$/.test(vr)) {
        // VRs of later editions have the long form (PS3.5 7.1.2).
        if (left < 12) return 0
        used = 12
        raw = big ? buffer.readUInt32BE(at + 8) : buffer.readUInt32LE(at + 8)
      } else throw unreadable('no value representation', { tag: tagText(tag), atByte: this.#position })
    }
    const undefinedLength = raw === 0xffffffff
    const valueOffset = this.#position + used
    const head: ElementHead = { tag, vr, length: undefinedLength ? undefined : raw, valueOffset, depth: (this.#levels.length - 1) / 2 }
    if (undefinedLength) this.#openUndefined(head, level)
    else this.#openDefined(head, level, raw)
    return used
  }

  #openUndefined(head: ElementHead, level: Level): void {
    const { tag, vr } = head
    if (tag === PIXEL_DATA || (!level.implicit && (vr === 'OB' || vr === 'OW'))) {
      if (head.depth === 0) {
        if (tag === PIXEL_DATA) this.#pixelsOpen = true
        this.#visitor.startFragments?.(head)
      } else this.#visitor.nestedFragments?.(head)
      this.#push({ kind: 'fragments', end: Infinity, implicit: level.implicit, fragmentCount: 0 })
      return
    }
    if (vr !== 'SQ' && vr !== 'UN') throw unreadable('undefined length', { tag: tagText(tag), vr, atByte: this.#position })
    this.#push({ kind: 'sequence', end: Infinity, implicit: level.implicit || vr === 'UN', fragmentCount: 0 })
    this.#visitor.startSequence?.(head)
  }

  #openDefined(head: ElementHead, level: Level, length: number): void {
    const end = head.valueOffset + length
    if (end > this.#enclosingEnd()) throw unreadable('value longer than its item', { tag: tagText(head.tag), atByte: this.#position })
    if (head.vr === 'SQ') {
      this.#push({ kind: 'sequence', end, implicit: level.implicit, fragmentCount: 0 })
      this.#visitor.startSequence?.(head)
      return
    }
    if (head.depth === 0 && (head.tag === PIXEL_DATA || head.tag === FLOAT_PIXEL_DATA || head.tag === DOUBLE_PIXEL_DATA))
      this.#pixelsOpen = true
    if (!this.#visitor.element(head)) this.#skip = length
    else if (length === 0) this.#visitor.value(head, Buffer.alloc(0))
    else this.#capture = { bytes: Buffer.alloc(length), filled: 0, then: (bytes) => this.#visitor.value(head, bytes) }
  }
}
