import { Buffer } from 'node:buffer'
import { DOUBLE_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA, shortVrs, type DatasetVisitor, type ElementHead } from './dataset-scanner.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** A value that is only known once the whole header has been read; undefined: the element goes. */
export type Later = () => Buffer | undefined

/** Says what becomes of each element. Group lengths and what follows Pixel Data never stay. */
export interface DatasetEditor {
  /** `ask`: the value is read and given to `value`. Not asked for Pixel Data. */
  element(head: ElementHead): 'keep' | 'drop' | 'ask'
  /** The new value, padded to an even length by the writer; undefined: the element goes. */
  value(head: ElementHead, bytes: Buffer): Buffer | Later | undefined
  /** `empty` keeps a sequence without its items. */
  sequence(head: ElementHead): 'into' | 'drop' | 'empty'
  /** Top-level elements that are put in, instead of those of the same tag; asked for when the header has been read. */
  added(): readonly NewElement[]
}

export interface NewElement {
  readonly tag: number
  readonly vr: string
  readonly value: Buffer | readonly (readonly NewElement[])[]
}

/** Bytes to be written, or a stretch of the dataset that is copied as it is. */
export type Part = Buffer | { readonly from: number; readonly length: number }

/** Where top-level Pixel Data begins, and of native pixels how long they are. */
export interface PixelPart {
  readonly head: Buffer
  readonly from: number
  /** undefined: in fragments, which end by a delimiter. */
  readonly length: number | undefined
}

/** Longer values that stay are copied later instead of being held. */
const HELD_BYTES = 64 * 1024
const UNDEFINED_LENGTH = 0xffffffff
const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
const isPixels = (tag: number) => tag === PIXEL_DATA || tag === FLOAT_PIXEL_DATA || tag === DOUBLE_PIXEL_DATA

interface Top {
  readonly tag: number
  readonly parts: (Part | (() => Part[]))[]
}

/**
 * Writes the header of a dataset anew while a scanner reads it. Sequences come out with delimiters instead of lengths, so that nothing
 * has to be measured beforehand; every value that stays is copied byte for byte.
 */
export class DatasetRewriter implements DatasetVisitor {
  pixels: PixelPart | undefined
  readonly #syntax: TransferSyntax
  readonly #editor: DatasetEditor
  readonly #top: Top[] = []
  /** One for each open sequence: whether it is written. */
  readonly #open: boolean[] = []

  constructor(syntax: TransferSyntax, editor: DatasetEditor) {
    this.#syntax = syntax
    this.#editor = editor
  }

  /** The header in order of tags, up to Pixel Data. */
  parts(): Part[] {
    const added = this.#editor.added()
    const replaced = new Set(added.map(({ tag }) => tag))
    const all: Top[] = [...this.#top.filter(({ tag }) => !replaced.has(tag)), ...added.map((element) => ({ tag: element.tag, parts: [this.#written(element)] }))]
    return all
      .sort((a, b) => a.tag - b.tag)
      .flatMap(({ parts }) => parts)
      .flatMap((part) => (typeof part === 'function' ? part() : [part]))
  }

  /** Closes pixel data that came in fragments. */
  get fragmentsEnd(): Buffer {
    return this.#delimiter(SEQUENCE_END, 0)
  }

  element(head: ElementHead): boolean {
    if (head.depth === 0 && isPixels(head.tag)) {
      this.pixels = { head: this.#head(head.tag, head.vr, head.length ?? 0), from: head.valueOffset, length: head.length ?? 0 }
      return false
    }
    if (!this.#isWriting || (head.tag & 0xffff) === 0) return false
    const verdict = this.#editor.element(head)
    if (verdict !== 'keep') return verdict === 'ask'
    const length = head.length ?? 0
    if (length <= HELD_BYTES) return true
    this.#write(head, this.#head(head.tag, head.vr, length), { from: head.valueOffset, length })
    return false
  }

  value(head: ElementHead, bytes: Buffer): void {
    if (this.#editor.element(head) === 'keep') return this.#write(head, this.#head(head.tag, head.vr, bytes.length), bytes)
    const value = this.#editor.value(head, bytes)
    if (value === undefined) return
    if (typeof value !== 'function') return this.#write(head, this.#element(head.tag, head.vr, value))
    this.#write(head, () => {
      const later = value()
      return later === undefined ? [] : [this.#element(head.tag, head.vr, later)]
    })
  }

  startSequence(head: ElementHead): void {
    const verdict = this.#isWriting ? this.#editor.sequence(head) : 'drop'
    if (verdict === 'into') this.#write(head, this.#head(head.tag, 'SQ', UNDEFINED_LENGTH))
    else if (verdict === 'empty') this.#write(head, this.#head(head.tag, 'SQ', 0))
    this.#open.push(verdict === 'into')
  }

  startItem(): void {
    if (this.#isWriting) this.#last(this.#delimiter(ITEM, UNDEFINED_LENGTH))
  }

  endItem(): void {
    if (this.#isWriting) this.#last(this.#delimiter(ITEM_END, 0))
  }

  endSequence(): void {
    if (this.#isWriting) this.#last(this.#delimiter(SEQUENCE_END, 0))
    this.#open.pop()
  }

  startFragments(head: ElementHead): void {
    if (head.tag === PIXEL_DATA) this.pixels = { head: this.#head(head.tag, head.vr, UNDEFINED_LENGTH), from: head.valueOffset, length: undefined }
  }

  get #isWriting(): boolean {
    return this.#open.every((written) => written)
  }

  #write(head: ElementHead, ...parts: Top['parts']): void {
    if (head.depth === 0) this.#top.push({ tag: head.tag, parts: [...parts] })
    else this.#last(...parts)
  }

  #last(...parts: Top['parts']): void {
    this.#top.at(-1)?.parts.push(...parts)
  }

  #written({ tag, vr, value }: NewElement): Buffer {
    if (Buffer.isBuffer(value)) return this.#element(tag, vr, value)
    const items = value.map((item) => Buffer.concat([this.#delimiter(ITEM, UNDEFINED_LENGTH), ...item.map((each) => this.#written(each)), this.#delimiter(ITEM_END, 0)]))
    return Buffer.concat([this.#head(tag, 'SQ', UNDEFINED_LENGTH), ...items, this.#delimiter(SEQUENCE_END, 0)])
  }

  #element(tag: number, vr: string, value: Buffer): Buffer {
    const padding = value.length % 2 === 0 ? '' : vr === 'UI' || vr === 'OB' || vr === 'UN' ? '\0' : ' '
    return Buffer.concat([this.#head(tag, vr, value.length + padding.length), value, Buffer.from(padding)])
  }

  #head(tag: number, vr: string, length: number): Buffer {
    const isLong = this.#syntax.explicitVr && !shortVrs.has(vr)
    const bytes = Buffer.alloc(isLong ? 12 : 8)
    this.#number(bytes, tag >>> 16, 0, 2)
    this.#number(bytes, tag & 0xffff, 2, 2)
    if (this.#syntax.explicitVr) bytes.write(vr, 4, 'latin1')
    if (!this.#syntax.explicitVr) this.#number(bytes, length, 4, 4)
    else if (isLong) this.#number(bytes, length, 8, 4)
    else this.#number(bytes, length, 6, 2)
    return bytes
  }

  #delimiter(tag: number, length: number): Buffer {
    const bytes = Buffer.alloc(8)
    this.#number(bytes, tag >>> 16, 0, 2)
    this.#number(bytes, tag & 0xffff, 2, 2)
    this.#number(bytes, length, 4, 4)
    return bytes
  }

  #number(bytes: Buffer, value: number, at: number, width: number): void {
    if (this.#syntax.bigEndian) bytes.writeUIntBE(value, at, width)
    else bytes.writeUIntLE(value, at, width)
  }
}
