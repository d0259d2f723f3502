import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { problemOf } from '../../tests/a-region.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { decodePem, encodePem, splitPem } from './pem.ts'
import { type DerReader, readWhole, Tag } from './reader.ts'
import { readBoolean, readNamedBits, readOid, readSmallInteger, readText, readTime, readUnsigned } from './values.ts'
import * as der from './writer.ts'

const read = <T>(bytes: Uint8Array, how: (reader: DerReader, what: string) => T): T =>
  readWhole(bytes, 'test', (reader) => how(reader, 'test'))
const refused = (bytes: number[], how: (reader: DerReader, what: string) => unknown): void =>
  expect(problemOf(() => read(Uint8Array.from(bytes), how))).toBe('certificate/invalid')

describe('DER as we write it', () => {
  it('is read back: integers, times, names of things, text, bits', () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 31),
        fc.uint8Array({ minLength: 1, maxLength: 20 }),
        fc.string({ unit: 'grapheme' }),
        (number, bytes, text) => {
          expect(read(der.smallInteger(number), readSmallInteger)).toBe(number)
          expect(BigInt(`0x${Buffer.from(read(der.unsigned(bytes), (r, w) => readUnsigned(r, w, 20))).toString('hex')}`)).toBe(
            BigInt(`0x${Buffer.from(bytes).toString('hex')}`),
          )
          expect(read(der.utf8String(text), readText)).toBe(text)
        },
      ),
      { numRuns: 200 },
    )
    for (const oid of ['1.2.156.10197.1.501', '2.5.29.15', '2.999.1', '1.2.840.113549.1.5.13', '0.9'])
      expect(read(der.oid(oid), readOid)).toBe(oid)
    for (const bits of [[], [0], [5, 6], [0, 8], [0, 1, 2, 3, 4]]) expect([...read(der.namedBits(bits), readNamedBits)]).toEqual(bits)
    for (const at of [
      '1970-01-01T00:00:00Z',
      '2026-02-28T23:59:59Z',
      '2049-12-31T23:59:59Z',
      '2050-01-01T00:00:00Z',
      '2999-01-01T00:00:00Z',
    ]) {
      expect(read(der.time(Date.parse(at)), readTime)).toBe(Date.parse(at))
    }
  })
  it.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])('frames %i octets in the shortest form', (length) => {
    const made = der.octetString(new Uint8Array(length))
    const content = readWhole(made, 'test', (reader) => reader.content(Tag.octetString, 'test'), 100_000)
    expect(content.length).toBe(length)
  })
})

describe('what is nearly DER', () => {
  it('is refused: indefinite, padded, overlong and truncated lengths, left-over octets', () => {
    const octets = (reader: DerReader): Uint8Array => reader.content(Tag.octetString, 'test')
    refused([0x04, 0x80, 0x00, 0x00], octets)
    refused([0x04, 0x81, 0x01, 0xff], octets)
    refused([0x04, 0x82, 0x00, 0x01, 0xff], octets)
    refused([0x04, 0x84, 0x00, 0x00, 0x00, 0x01, 0xff], octets)
    refused([0x04, 0x05, 0x01], octets)
    refused([0x04, 0x81], octets)
    refused([0x04], octets)
    refused([], octets)
    refused([0x04, 0x00, 0x00], octets)
    refused([0x1f, 0x81, 0x01, 0x00], (reader) => reader.any('test'))
  })
  it('is refused: numbers, truth values, bits and names in a second spelling', () => {
    refused([0x02, 0x02, 0x00, 0x01], readSmallInteger)
    refused([0x02, 0x01, 0xff], readSmallInteger)
    refused([0x02, 0x00], readSmallInteger)
    refused([0x01, 0x01, 0x01], readBoolean)
    refused([0x03, 0x02, 0x00, 0x80], readNamedBits) // trailing zero bits not dropped
    refused([0x03, 0x02, 0x07, 0x81], readNamedBits) // an unused bit is set
    refused([0x06, 0x02, 0x2a, 0x80], readOid)
    refused([0x06, 0x03, 0x2a, 0x80, 0x01], readOid)
  })
  it('is refused: a day that does not exist, a time without seconds, text that is not UTF-8', () => {
    const utc = (text: string): number[] => [...der.element(Tag.utcTime, Buffer.from(text))]
    refused(utc('260230000000Z'), readTime)
    refused(utc('2602280000Z'), readTime)
    refused(utc('260228000000+0800'), readTime)
    refused([0x0c, 0x01, 0xff], readText)
    refused([0x13, 0x01, 0x2a], readText) // '*' is not a PrintableString
  })
  it('never makes an element reach beyond its parent', () => {
    refused([0x30, 0x03, 0x04, 0x02, 0x01, 0x02], (reader) => reader.enter(Tag.sequence, 'test').content(Tag.octetString, 'test'))
  })
})

describe('text around it', () => {
  it('has one canonical base64: no foreign characters, no loose bits', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(Buffer.from(bytes))
      }),
    )
    for (const bad of ['QQ', 'QR==', 'QQ==\n', 'Q Q=', '====', 'Q-==', 'QQ=']) expect(decodeBase64(bad)).toBeUndefined()
  })
  it('wraps PEM at 64 characters and splits a file into its blocks', () => {
    const [one, two] = [encodePem('CERTIFICATE', new Uint8Array(100)), encodePem('X509 CRL', Uint8Array.of(1, 2, 3))]
    expect(Math.max(...one.split('\n').map((line) => line.length))).toBe(64)
    expect(splitPem(`subject=CN\n${one}\nissuer\n${two}`)).toEqual([one, two])
    expect([...decodePem('X509 CRL', two)]).toEqual([1, 2, 3])
    for (const bad of ['', one.replace('BEGIN', 'BEGUN'), one + two, one.replace('AAAA', 'AA*A')]) {
      expect(problemOf(() => decodePem('CERTIFICATE', bad))).toBe('certificate/invalid')
    }
  })
})
