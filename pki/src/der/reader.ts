import { Problem } from 'specs'

/** Identifier octets we meet (X.690 8.1.2); all are low-tag-number form. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context: (number: number) => 0x80 | number,
  contextConstructed: (number: number) => 0xa0 | number,
} as const

/** No certificate, request, key or signature of ours comes near this. A revocation list may: its parser allows more. */
export const DER_MAX_BYTES = 64 * 1024

/** Why a structure was refused. Names the field, never its content. */
export function malformed(what: string): Problem {
  return new Problem('certificate/invalid', { reason: 'malformed', what })
}

/**
 * Walks DER from front to back. The caller names each field it expects, so a structure can only be as deep as our own
 * code reads it: there is no generic tree and nothing that recurses on input. Refused: indefinite and non-minimal
 * lengths, high tag numbers, anything that ends outside its parent, and octets left over (X.690 8.1.3, 10.1).
 */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get done(): boolean {
    return this.#at === this.#end
  }

  /** The tag of the next element, or undefined at the end. */
  peek(): number | undefined {
    return this.done ? undefined : this.#bytes[this.#at]
  }

  /** The next element with tag and length, as its exact bytes: signatures cover these. */
  element(tag: number, what: string): Uint8Array {
    const { start, next } = this.#next(tag, what)
    this.#at = next
    return this.#bytes.subarray(start, next)
  }

  /** The content octets of the next element. */
  content(tag: number, what: string): Uint8Array {
    const { content, next } = this.#next(tag, what)
    this.#at = next
    return this.#bytes.subarray(content, next)
  }

  /** A reader over the content of the next element; it must be read to its end with `finish`. */
  enter(tag: number, what: string): DerReader {
    const { content, next } = this.#next(tag, what)
    this.#at = next
    return new DerReader(this.#bytes, content, next)
  }

  enterOptional(tag: number, what: string): DerReader | undefined {
    return this.peek() === tag ? this.enter(tag, what) : undefined
  }

  /** Content of any element whatever, with its tag. */
  any(what: string): { tag: number; content: Uint8Array } {
    const tag = this.peek()
    if (tag === undefined) throw malformed(what)
    return { tag, content: this.content(tag, what) }
  }

  finish(what: string): void {
    if (!this.done) throw malformed(what)
  }

  #next(tag: number, what: string): { start: number; content: number; next: number } {
    const start = this.#at
    if (this.#end - start < 2 || this.#bytes[start] !== tag || (tag & 0x1f) === 0x1f) throw malformed(what)
    let content = start + 2
    let length = this.#bytes[start + 1]!
    if (length >= 0x80) {
      const octets = length & 0x7f
      if (octets === 0 || octets > 3 || this.#end - content < octets) throw malformed(what)
      length = 0
      for (const octet of this.#bytes.subarray(content, content + octets)) length = length * 256 + octet
      content += octets
      const minimal = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3
      if (octets !== minimal) throw malformed(what)
    }
    if (length > this.#end - content) throw malformed(what)
    return { start, content, next: content + length }
  }
}

/** Reads one element that must fill the input. */
export function readWhole<T>(bytes: Uint8Array, what: string, read: (reader: DerReader) => T, maxBytes = DER_MAX_BYTES): T {
  if (bytes.length > maxBytes) throw malformed(what)
  const reader = new DerReader(bytes)
  const value = read(reader)
  reader.finish(what)
  return value
}
