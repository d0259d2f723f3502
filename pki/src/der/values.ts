import { Buffer } from 'node:buffer'
import type { EpochMs } from 'specs'
import { type DerReader, malformed, Tag } from './reader.ts'

/** Reading of the primitive types, each in its one DER form. */

/** Non-negative INTEGER as big-endian bytes without the sign octet (X.690 8.3: no superfluous leading octet). */
export function readUnsigned(reader: DerReader, what: string, maxBytes: number): Uint8Array {
  const content = reader.content(Tag.integer, what)
  const [first, second] = content
  if (first === undefined || first >= 0x80) throw malformed(what)
  if (first === 0 && second !== undefined && second < 0x80) throw malformed(what)
  const magnitude = first === 0 && content.length > 1 ? content.subarray(1) : content
  if (magnitude.length > maxBytes) throw malformed(what)
  return magnitude
}

export function readSmallInteger(reader: DerReader, what: string): number {
  return readUnsigned(reader, what, 6).reduce((value, octet) => value * 256 + octet, 0)
}

/** BOOLEAN; DER knows 0x00 and 0xff only (X.690 11.1). */
export function readBoolean(reader: DerReader, what: string): boolean {
  const content = reader.content(Tag.boolean, what)
  if (content.length !== 1 || (content[0] !== 0x00 && content[0] !== 0xff)) throw malformed(what)
  return content[0] === 0xff
}

/** BIT STRING of whole octets: keys and signatures. */
export function readBitStringOctets(reader: DerReader, what: string): Uint8Array {
  const content = reader.content(Tag.bitString, what)
  if (content[0] !== 0) throw malformed(what)
  return content.subarray(1)
}

/** BIT STRING of named bits, most significant bit first, as the set of bit numbers (X.690 11.2: no trailing zero bits). */
export function readNamedBits(reader: DerReader, what: string): Set<number> {
  const content = reader.content(Tag.bitString, what)
  const unused = content[0]
  if (unused === undefined || unused > 7 || content.length > 5 || (content.length === 1 && unused !== 0)) throw malformed(what)
  const bits = new Set<number>()
  const count = (content.length - 1) * 8
  for (let bit = 0; bit < count; bit++) {
    if ((content[1 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0) bits.add(bit)
  }
  if (count > 0 && !bits.has(count - unused - 1)) throw malformed(what)
  for (let bit = count - unused; bit < count; bit++) if (bits.has(bit)) throw malformed(what)
  return bits
}

export function readOid(reader: DerReader, what: string): string {
  return oidText(reader.content(Tag.oid, what), what)
}

function oidText(content: Uint8Array, what: string): string {
  const arcs: number[] = []
  let arc = 0
  let starting = true
  for (const octet of content) {
    if (starting && octet === 0x80) throw malformed(what)
    arc = arc * 128 + (octet & 0x7f)
    if (arc > 0xffff_ffff || arcs.length > 20) throw malformed(what)
    starting = octet < 0x80
    if (starting) {
      arcs.push(arc)
      arc = 0
    }
  }
  const first = arcs[0]
  if (first === undefined || !starting) throw malformed(what)
  const root = Math.min(Math.trunc(first / 40), 2)
  return [root, first - root * 40, ...arcs.slice(1)].join('.')
}

/** DirectoryString as we and openssl write it. */
export function readText(reader: DerReader, what: string): string {
  const { tag, content } = reader.any(what)
  if (tag === Tag.utf8String) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
    } catch {
      throw malformed(what) // the decoder says no more than that
    }
  }
  const text = Buffer.from(content).toString('latin1')
  if (tag === Tag.printableString && /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) return text
  if (tag === Tag.ia5String && /^[\x20-\x7e]*$/.test(text)) return text
  throw malformed(what)
}

/** UTCTime until 2049, GeneralizedTime from 2050, both in UTC with seconds (RFC 5280 4.1.2.5). */
export function readTime(reader: DerReader, what: string): EpochMs {
  const { tag, content } = reader.any(what)
  const text = Buffer.from(content).toString('latin1')
  const form = tag === Tag.utcTime ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/ : /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/
  const parts = tag === Tag.utcTime || tag === Tag.generalizedTime ? form.exec(text) : null
  if (!parts) throw malformed(what)
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number) as [number, number, number, number, number, number]
  const fullYear = tag === Tag.generalizedTime ? year : year < 50 ? 2000 + year : 1900 + year
  const at = Date.UTC(fullYear, month - 1, day, hour, minute, second)
  const back = new Date(at)
  const asWritten = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && back.getUTCHours() === hour
  if (!asWritten || back.getUTCMinutes() !== minute || back.getUTCSeconds() !== second || at < 0) throw malformed(what)
  return at
}
