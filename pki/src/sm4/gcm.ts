import { provider } from '../provider/choose.ts'
import { sameMac } from '../sm3/sm3.ts'
import { SM4_KEY_BYTES } from './sm4.ts'

export const GCM_NONCE_BYTES = 12
export const GCM_TAG_BYTES = 16

/**
 * SM4-GCM (RFC 8998, NIST SP 800-38D): hides and protects, and binds the text to what stands beside it. node:crypto has no sm4-gcm,
 * so the counter mode is native and only GHASH is ours. One object per key: its tables take a while to make.
 */
export class Sm4Gcm {
  readonly #key: Uint8Array
  readonly #table: GhashTable

  /** @param key 16 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== SM4_KEY_BYTES) throw new RangeError('SM4-GCM needs a 16-byte key')
    this.#key = Uint8Array.from(key)
    this.#table = ghashTable(provider.cipher.sm4Ctr(key, new Uint8Array(16), new Uint8Array(16)))
  }

  /**
   * @param nonce 12 bytes, never twice under one key. @param beside authenticated, not part of the result.
   * @returns Ciphertext, as long as `plain`, and the tag of 16 bytes behind it.
   */
  seal(nonce: Uint8Array, plain: Uint8Array, beside: Uint8Array): Uint8Array {
    const { mask, text } = this.#counter(nonce, plain)
    const sealed = new Uint8Array(text.length + GCM_TAG_BYTES)
    sealed.set(text)
    sealed.set(this.#tag(mask, text, beside), text.length)
    return sealed
  }

  /** @returns Undefined when text, tag, nonce or what stands beside is not what was sealed. */
  open(nonce: Uint8Array, sealed: Uint8Array, beside: Uint8Array): Uint8Array | undefined {
    if (sealed.length < GCM_TAG_BYTES) return undefined
    const text = sealed.subarray(0, sealed.length - GCM_TAG_BYTES)
    const { mask, text: plain } = this.#counter(nonce, text)
    return sameMac(this.#tag(mask, text, beside), sealed.subarray(text.length)) ? plain : undefined
  }

  /** The first counter block masks the tag, the following ones the text (SP 800-38D 7.1). */
  #counter(nonce: Uint8Array, data: Uint8Array): { mask: Uint8Array; text: Uint8Array } {
    if (nonce.length !== GCM_NONCE_BYTES) throw new RangeError('SM4-GCM needs a 12-byte nonce')
    const first = new Uint8Array(16)
    first.set(nonce)
    first[15] = 1
    const padded = new Uint8Array(16 + data.length)
    padded.set(data, 16)
    const stream = provider.cipher.sm4Ctr(this.#key, first, padded)
    return { mask: stream.subarray(0, 16), text: stream.subarray(16) }
  }

  #tag(mask: Uint8Array, text: Uint8Array, beside: Uint8Array): Uint8Array {
    const lengths = new Uint8Array(16)
    const view = new DataView(lengths.buffer)
    for (const [at, bytes] of [[0, beside.length], [8, text.length]] as const) {
      view.setUint32(at, Math.floor(bytes / 0x2000_0000)) // lengths are in bits
      view.setUint32(at + 4, (bytes * 8) >>> 0)
    }
    const hash = ghash(this.#table, [beside, text, lengths])
    return hash.map((octet, at) => octet ^ mask[at]!)
  }
}

/** b·H for every octet b, as four words; and what falls off the end of a shift by eight, folded back (SP 800-38D 6.3, Shoup's tables). */
interface GhashTable {
  readonly words: readonly [Int32Array, Int32Array, Int32Array, Int32Array]
}

const REDUCTION = 0xe1 << 24

const folded: Int32Array = (() => {
  const table = new Int32Array(256)
  for (let octet = 0; octet < 256; octet++) {
    let [high, low] = [0, octet]
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1
      low >>>= 1
      high = (high >>> 1) ^ (carry ? REDUCTION : 0)
    }
    table[octet] = high
  }
  return table
})()

function ghashTable(h: Uint8Array): GhashTable {
  const words = [0, 1, 2, 3].map(() => new Int32Array(256)) as unknown as GhashTable['words']
  const view = new DataView(h.buffer, h.byteOffset, 16)
  let value = [0, 4, 8, 12].map((at) => view.getInt32(at)) as [number, number, number, number]
  for (let bit = 0x80; bit > 0; bit >>= 1) {
    value.forEach((word, index) => (words[index]![bit] = word))
    const carry = value[3] & 1
    const [a, b, c, d] = value
    value = [(a >>> 1) ^ (carry ? REDUCTION : 0), (b >>> 1) | (a << 31), (c >>> 1) | (b << 31), (d >>> 1) | (c << 31)]
  }
  for (let bit = 2; bit < 256; bit <<= 1) {
    for (let below = 1; below < bit; below++) for (const word of words) word[bit | below] = word[bit]! ^ word[below]!
  }
  return { words }
}

function ghash({ words: [m0, m1, m2, m3] }: GhashTable, parts: readonly Uint8Array[]): Uint8Array {
  const sum = new Uint8Array(16)
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 16) {
      const end = Math.min(16, part.length - at)
      for (let octet = 0; octet < end; octet++) sum[octet]! ^= part[at + octet]!
      let last = sum[15]!
      let [z0, z1, z2, z3] = [m0[last]!, m1[last]!, m2[last]!, m3[last]!]
      for (let octet = 14; octet >= 0; octet--) {
        const fold = folded[z3 & 0xff]!
        last = sum[octet]!
        z3 = ((z3 >>> 8) | (z2 << 24)) ^ m3[last]!
        z2 = ((z2 >>> 8) | (z1 << 24)) ^ m2[last]!
        z1 = ((z1 >>> 8) | (z0 << 24)) ^ m1[last]!
        z0 = (z0 >>> 8) ^ fold ^ m0[last]!
      }
      for (let octet = 0; octet < 4; octet++) {
        const shift = 24 - 8 * octet
        sum[octet] = z0 >>> shift
        sum[4 + octet] = z1 >>> shift
        sum[8 + octet] = z2 >>> shift
        sum[12 + octet] = z3 >>> shift
      }
    }
  }
  return sum
}
