import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { sm4 } from 'sm-crypto-v2'
import { describe, expect, it } from 'vitest'
import { nativeCipher } from '../provider/native.ts'
import { VectorCounterMode } from './counter-mode.ts'
import { kernel } from './counter-kernel.ts'
import { sbox, shuffleTables } from './tower-field.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('the S-box of SM4 by nibbles', () => {
  it('is the table of GB/T 32907, by arithmetic and by shuffles, for every octet', () => {
    // SEC-11
    expect(hex(Uint8Array.from({ length: 16 }, (_, octet) => sbox(octet)))).toBe('d690e9fecce13db716b614c228fb2c05')
    const { inLow, inHigh, reciprocal, scaled, outU, outV, constant } = shuffleTables
    const read = (table: Uint8Array, index: number) => (index > 15 ? 0 : table[index]!)
    for (let octet = 0; octet < 256; octet++) {
      const nibbles = inLow[octet & 15]! ^ inHigh[octet >> 4]!
      const [i, k] = [nibbles >> 4, nibbles & 15]
      const u = read(reciprocal, read(reciprocal, i) ^ read(scaled, k)) ^ i ^ k
      const v = read(reciprocal, read(reciprocal, i ^ k) ^ read(scaled, k)) ^ i
      expect(read(outU, u) ^ read(outV, v) ^ constant).toBe(sbox(octet))
    }
    expect(new Set(Array.from({ length: 256 }, (_, octet) => sbox(octet))).size).toBe(256)
  })
})

describe('SM4-CTR by vectors', () => {
  const mode = new VectorCounterMode()

  it('is OpenSSL’s, whatever the key, the counter and the length', () => {
    // SEC-11
    const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    fc.assert(
      fc.property(octets(16), octets(16), fc.uint8Array({ maxLength: 1_500 }), (key, iv, text) => {
        expect(hex(mode.encrypt(key, iv, text))).toBe(hex(nativeCipher.sm4Ctr(key, iv, text)))
      }),
      { numRuns: 200 },
    )
  })
  it('is OpenSSL’s at the edges of a step, a chunk and each word of the counter', () => {
    const key = Buffer.from('0123456789abcdeffedcba9876543210', 'hex')
    const counters = ['00000000000000000000000000000000', 'ffffffffffffffffffffffffffffffff', '00000001fffffffffffffffffffffff0', '0000000000000000ffffffffffffff01', '00000000000000000000000efffffffd']
    const { bytesPerStep, chunkBytes } = kernel
    for (const length of [0, 1, 16, bytesPerStep - 1, bytesPerStep, bytesPerStep + 1, chunkBytes - 1, chunkBytes, chunkBytes + 17, 2 * chunkBytes + 1]) {
      const text = Uint8Array.from({ length }, (_, at) => at * 7)
      for (const counter of counters) {
        const iv = Buffer.from(counter, 'hex')
        expect(Buffer.compare(mode.encrypt(key, iv, text), nativeCipher.sm4Ctr(key, iv, text)), `${counter} ${length}`).toBe(0)
      }
    }
  })
  it('enciphers the example of the standard, as a third implementation does', () => {
    // GB/T 32907-2016 A.1: the counter block is the example's plaintext, the text is nothing.
    const key = Buffer.from('0123456789abcdeffedcba9876543210', 'hex')
    expect(hex(mode.encrypt(key, key, new Uint8Array(16)))).toBe('681edf34d206965e86b3e94f536e4246')
    expect(hex(sm4.encrypt(key, key, { mode: 'ecb', padding: 'none', output: 'array' }))).toBe('681edf34d206965e86b3e94f536e4246')
  })
  it('reads views into larger buffers and changes none', () => {
    const key = Buffer.from('0123456789abcdeffedcba9876543210', 'hex')
    const around = Uint8Array.from({ length: 5_000 }, (_, at) => at)
    const view = around.subarray(3, 4_803)
    expect(hex(mode.encrypt(around.subarray(1, 17), around.subarray(5, 21), view))).toBe(hex(nativeCipher.sm4Ctr(around.subarray(1, 17), around.subarray(5, 21), view)))
    expect(around.every((octet, at) => octet === at % 256)).toBe(true)
    expect(hex(mode.encrypt(key, key, new Uint8Array(16)))).toBe('681edf34d206965e86b3e94f536e4246')
  })
})
