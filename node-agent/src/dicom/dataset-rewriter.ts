import { Buffer } from 'node:buffer'
import { reordered, unitOf } from './byte-order.ts'
import { DOUBLE_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA, shortVrs, type DatasetVisitor, type ElementHead } from './dataset-scanner.ts'
import { isSignedByPixels } from './dictionary.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** A value that is only known once the whole header has been read; undefined: the element goes. */
export type Later = () => Buffer | undefined

/**
 * Says what becomes of each element. Group lengths and what follows Pixel Data never stay. Values are read in the byte order of the
 * stored dataset and given in that of the new one.
 */
export interface DatasetEditor {
  /** `ask`: the value is read and given to `value`. Not asked for Pixel Data. */
  element(head: ElementHead): 'keep' | 'drop' | 'ask'
  /** The new value, padded to an even length by the writer; undefined: the element goes. */
  value(head: ElementHead, bytes: Buffer): Buffer | Later | undefined
  /** `empty` keeps a sequence without its items. */
  sequence(head: ElementHead): 'into' | 'drop' | 'empty'
  /** An item begins, `depth` sequences deep: 1 in those of the top level. */
  item?(depth: number): void
  /** Top-level elements that are put in, instead of those of the same tag; asked for when the header has been read. */
  added(): readonly NewElement[]
}

export interface NewElement {
  readonly tag: number
  readonly vr: string
  readonly value: Buffer | readonly (readonly NewElement[])[]
  /** Items are put behind those of the sequence that is there. */
  readonly appends?: true
}

/** Bytes to be written, or a stretch of the dataset that is copied; `unit`: bytes that are turned round, 1 for none. */
export type Part = Buffer | { readonly from: number; readonly length: number; readonly unit: number }

/** Where top-level Pixel Data begins, and of native pixels how long they are. */
export interface PixelPart {
  readonly head: Buffer
  readonly tag: number
  readonly vr: string
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
const PIXEL_REPRESENTATION = 0x00280103
const isPixels = (tag: number) => tag === PIXEL_DATA || tag === FLOAT_PIXEL_DATA || tag === DOUBLE_PIXEL_DATA

interface Top {
  readonly tag: number
  /** Pixels in fragments inside (an icon): they cannot be carried over whole, so the element goes. */
  hasFragments?: true
  readonly parts: (Part | (() => Part[]))[]
}

/**
 * Writes the header of a dataset anew while a scanner reads it. Sequences come out with delimiters instead of lengths, so that nothing
 * has to be measured beforehand; every value that stays is copied byte for byte, in another byte order where `target` has one.
 */
export class DatasetRewriter implements DatasetVisitor {
  pixels: PixelPart | undefined
  readonly #syntax: TransferSyntax
  readonly #target: TransferSyntax
  readonly #editor: DatasetEditor
  readonly #top: Top[] = []
  /** One for each open sequence: whether it is written, and whether what is inside is little endian whatever the dataset is. */
  readonly #open: { readonly written: boolean; readonly little: boolean }[] = []
  #signedPixels = false

  /** @param target how the new dataset is written: as the stored one unless told. */
  constructor(syntax: TransferSyntax, editor: DatasetEditor, target = syntax) {
    this.#syntax = syntax
    this.#target = target
    this.#editor = editor
  }

  /** The header in order of tags, up to Pixel Data. */
  parts(): Part[] {
    const added = this.#editor.added()
    const replaced = new Set(added.map(({ tag }) => tag))
    const all: Top[] = [...this.#top.filter(({ tag, hasFragments }) => !hasFragments && !replaced.has(tag)), ...added.map((element) => ({ tag: element.tag, parts: this.#addition(element) }))]
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
      this.pixels = { head: this.head(head.tag, head.vr, head.length ?? 0), tag: head.tag, vr: head.vr, from: head.valueOffset, length: head.length ?? 0 }
      return false
    }
    if (!this.#isWriting || (head.tag & 0xffff) === 0) return false
    const verdict = this.#editor.element(head)
    if (verdict !== 'keep') return verdict === 'ask'
    const length = head.length ?? 0
    if (length <= HELD_BYTES) return true
    this.#write(head, this.head(head.tag, this.#vr(head), length), { from: head.valueOffset, length, unit: this.#unit(head.vr) })
    return false
  }

  value(head: ElementHead, bytes: Buffer): void {
    if (head.tag === PIXEL_REPRESENTATION && bytes.length >= 2) this.#signedPixels = (bytes[0] ?? 0) + (bytes[1] ?? 0) === 1
    if (this.#editor.element(head) === 'keep') return this.#write(head, this.head(head.tag, this.#vr(head), bytes.length), reordered(bytes, this.#unit(head.vr)))
    const value = this.#editor.value(head, bytes)
    if (value === undefined) return
    if (typeof value !== 'function') return this.#write(head, this.#element(head.tag, this.#vr(head), value))
    this.#write(head, () => {
      const later = value()
      return later === undefined ? [] : [this.#element(head.tag, this.#vr(head), later)]
    })
  }

  startSequence(head: ElementHead): void {
    const verdict = this.#isWriting ? this.#editor.sequence(head) : 'drop'
    if (verdict === 'into') this.#write(head, this.head(head.tag, 'SQ', UNDEFINED_LENGTH))
    else if (verdict === 'empty') this.#write(head, this.head(head.tag, 'SQ', 0))
    this.#open.push({ written: verdict === 'into', little: this.#isLittle || (head.vr === 'UN' && this.#syntax.explicitVr) })
  }

  startItem(): void {
    this.#editor.item?.(this.#open.length)
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
    if (head.tag !== PIXEL_DATA) return
    this.pixels = { head: this.head(head.tag, head.vr, UNDEFINED_LENGTH), tag: head.tag, vr: head.vr, from: head.valueOffset, length: undefined }
  }

  nestedFragments(): void {
    const top = this.#top.at(-1)
    if (top && this.#isWriting) top.hasFragments = true
  }

  get #isWriting(): boolean {
    return this.#open.every(({ written }) => written)
  }

  /** Inside UN of undefined length (PS3.5 6.2.2, note 2). */
  get #isLittle(): boolean {
    return this.#open.at(-1)?.little ?? false
  }

  /** How many bytes change places between the stored and the new byte order. */
  #unit(vr: string): number {
    return (this.#syntax.bigEndian && !this.#isLittle) === this.#target.bigEndian ? 1 : unitOf(vr)
  }

  /** Implicit VR leaves it to Pixel Representation whether some values have a sign. */
  #vr({ tag, vr }: ElementHead): string {
    return vr === 'US' && !this.#syntax.explicitVr && this.#signedPixels && isSignedByPixels(tag) ? 'SS' : vr
  }

  #write(head: ElementHead, ...parts: Top['parts']): void {
    if (head.depth === 0) this.#top.push({ tag: head.tag, parts: [...parts] })
    else this.#last(...parts)
  }

  #last(...parts: Top['parts']): void {
    this.#top.at(-1)?.parts.push(...parts)
  }

  #addition(element: NewElement): Top['parts'] {
    const there = element.appends && this.#top.find(({ tag, parts }) => tag === element.tag && parts.length > 1)
    // The delimiter that ends the sequence moves behind the new items.
    return there ? [...there.parts.slice(0, -1), ...this.#items(element.value), this.#delimiter(SEQUENCE_END, 0)] : [this.#written(element)]
  }

  #items(value: NewElement['value']): Buffer[] {
    if (Buffer.isBuffer(value)) return [value]
    return value.map((item) => Buffer.concat([this.#delimiter(ITEM, UNDEFINED_LENGTH), ...item.map((each) => this.#written(each)), this.#delimiter(ITEM_END, 0)]))
  }

  #written({ tag, vr, value }: NewElement): Buffer {
    if (Buffer.isBuffer(value)) return this.#element(tag, vr, value)
    return Buffer.concat([this.head(tag, 'SQ', UNDEFINED_LENGTH), ...this.#items(value), this.#delimiter(SEQUENCE_END, 0)])
  }

  #element(tag: number, vr: string, value: Buffer): Buffer {
    const padding = value.length % 2 === 0 ? '' : vr === 'UI' || vr === 'OB' || vr === 'UN' ? '\0' : ' '
    return Buffer.concat([this.head(tag, vr, value.length + padding.length), value, Buffer.from(padding)])
  }

  /** Tag, VR where the target writes one, and length. */
  head(tag: number, vr: string, length: number): Buffer {
    const { explicitVr } = this.#target
    // What implicit VR may hold and a short length may not becomes UN (PS3.5 6.2.2).
    if (explicitVr && shortVrs.has(vr) && length > 0xffff) return this.head(tag, 'UN', length)
    const isLong = explicitVr && !shortVrs.has(vr)
    const bytes = Buffer.alloc(isLong ? 12 : 8)
    this.#number(bytes, tag >>> 16, 0, 2)
    this.#number(bytes, tag & 0xffff, 2, 2)
    if (explicitVr) bytes.write(vr, 4, 'latin1')
    if (!explicitVr) this.#number(bytes, length, 4, 4)
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
    if (this.#target.bigEndian) bytes.writeUIntBE(value, at, width)
    else bytes.writeUIntLE(value, at, width)
  }
}
