import { Buffer } from 'node:buffer'
import type { EpochMs } from 'specs'
import { Tag } from './reader.ts'

/** Writing of DER (X.690): every function returns one complete element. */

export function element(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Uint8Array.of(tag), lengthOctets(length), ...contents])
}

function lengthOctets(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length)
  if (length < 0x100) return Uint8Array.of(0x81, length)
  if (length < 0x1_0000) return Uint8Array.of(0x82, length >> 8, length & 0xff)
  if (length < 0x100_0000) return Uint8Array.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff)
  throw new RangeError('DER element too long')
}

export const sequence = (...elements: readonly Uint8Array[]): Uint8Array => element(Tag.sequence, ...elements)
export const setOf = (...elements: readonly Uint8Array[]): Uint8Array => element(Tag.set, ...elements)
export const octetString = (bytes: Uint8Array): Uint8Array => element(Tag.octetString, bytes)
export const bitString = (bytes: Uint8Array): Uint8Array => element(Tag.bitString, Uint8Array.of(0), bytes)
export const boolean = (value: boolean): Uint8Array => element(Tag.boolean, Uint8Array.of(value ? 0xff : 0x00))
export const nullValue = (): Uint8Array => element(Tag.null)
export const explicit = (number: number, inner: Uint8Array): Uint8Array => element(Tag.contextConstructed(number), inner)
export const implicit = (number: number, content: Uint8Array): Uint8Array => element(Tag.context(number), content)

/** Non-negative INTEGER from big-endian bytes; superfluous zeros are dropped, a sign octet is added where needed. */
export function unsigned(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const magnitude = bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(start)
  return magnitude[0]! >= 0x80 ? element(Tag.integer, Uint8Array.of(0), magnitude) : element(Tag.integer, magnitude)
}

export function smallInteger(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** 48) throw new RangeError('not a small non-negative integer')
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(value, 0, 6)
  return unsigned(bytes)
}

/** BIT STRING of named bits, trailing zero bits dropped (X.690 11.2.2). */
export function namedBits(bits: Iterable<number>): Uint8Array {
  const set = [...bits]
  const last = Math.max(-1, ...set)
  const bytes = new Uint8Array((last >> 3) + 1)
  for (const bit of set) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
  return element(Tag.bitString, Uint8Array.of(last < 0 ? 0 : 7 - (last & 7)), bytes)
}

export function oid(text: string): Uint8Array {
  // An arc made from a UUID (X.667) has 128 bits.
  const [root = 0n, second = 0n, ...rest] = text.split('.').map(BigInt)
  const octets = [root * 40n + second, ...rest].flatMap((arc) => {
    const groups = [Number(arc % 128n)]
    for (let left = arc / 128n; left > 0n; left /= 128n) groups.unshift(Number(left % 128n) | 0x80)
    return groups
  })
  return element(Tag.oid, Uint8Array.from(octets))
}

export const utf8String = (text: string): Uint8Array => element(Tag.utf8String, Buffer.from(text, 'utf8'))
export const printableString = (text: string): Uint8Array => element(Tag.printableString, Buffer.from(text, 'latin1'))

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime after. Milliseconds are dropped. */
export function time(at: EpochMs): Uint8Array {
  const digits = new Date(at).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '') + 'Z'
  const year = Number(digits.slice(0, 4))
  return year >= 1950 && year < 2050
    ? element(Tag.utcTime, Buffer.from(digits.slice(2), 'latin1'))
    : element(Tag.generalizedTime, Buffer.from(digits, 'latin1'))
}
