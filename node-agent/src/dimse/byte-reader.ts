import { type Buffer } from 'node:buffer'
import { Problem } from 'specs'

/** Every protocol fault looks the same to callers: what was wrong, never the bytes themselves (they may hold a patient's data). */
export function protocolFault(fault: string, facts: Readonly<Record<string, unknown>> = {}): Problem {
  return new Problem('dimse/protocol', { fault, ...facts })
}

/** Reads forward through bytes from outside; a length that points past the end is a protocol fault, never a short read. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    this.#need(1)
    return this.#bytes.readUInt8(this.#at++)
  }

  uint16be(): number {
    this.#need(2)
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }

  uint32be(): number {
    this.#need(4)
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  skip(lengthBytes: number): void {
    this.#need(lengthBytes)
    this.#at += lengthBytes
  }

  bytes(lengthBytes: number): Buffer {
    this.#need(lengthBytes)
    this.#at += lengthBytes
    return this.#bytes.subarray(this.#at - lengthBytes, this.#at)
  }

  /** A reader of the next bytes alone, so that an item cannot read into its neighbour. */
  part(lengthBytes: number): ByteReader {
    return new ByteReader(this.bytes(lengthBytes))
  }

  /** ISO 646 text; a byte above 0x7F is kept as its Latin-1 character, to be judged by whoever knows the field. */
  text(lengthBytes: number): string {
    return this.bytes(lengthBytes).toString('latin1')
  }

  /** PS3.5 9.1 in 64 bytes. Old toolkits pad with NUL or space although PS3.8 forbids it; the padding is not significant. */
  uid(lengthBytes: number): string {
    if (lengthBytes > 66) throw protocolFault('UID too long', { lengthBytes })
    const text = trimPadding(this.text(lengthBytes))
    if (!isUid(text)) throw protocolFault('not a UID')
    return text
  }

  #need(lengthBytes: number): void {
    if (lengthBytes > this.remaining) throw protocolFault('length points past the end', { lengthBytes, remainingBytes: this.remaining })
  }
}

/** Without the NUL and spaces at the end, and the spaces before. A loop, since a regular expression is quadratic on hostile padding. */
export function trimPadding(text: string): string {
  let start = 0
  let end = text.length
  while (end > start && (text[end - 1] === ' ' || text[end - 1] === '\0')) end--
  while (start < end && text[start] === ' ') start++
  return text.slice(start, end)
}

/** Digits and dots, at most 64 characters, no empty component: nothing that could be a path. Leading zeros occur in old data and pass. */
export function isUid(text: string): boolean {
  return text.length <= 64 && /^[0-9]+(?:\.[0-9]+)*$/.test(text)
}
