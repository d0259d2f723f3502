import { sbox } from './tower-field.ts'

const FK = [0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc] as const

export const rotateLeft = (word: number, bits: number): number => ((word << bits) | (word >>> (32 - bits))) >>> 0

/** The linear part L of a round (GB/T 32907-2016 6.2.2). */
export const spread = (word: number): number =>
  (word ^ rotateLeft(word, 2) ^ rotateLeft(word, 10) ^ rotateLeft(word, 18) ^ rotateLeft(word, 24)) >>> 0

/** The 32 round keys of a 16-byte key (GB/T 32907-2016 7.3). */
export function roundKeys(key: Uint8Array): Uint32Array {
  const view = new DataView(key.buffer, key.byteOffset, 16)
  let words = FK.map((constant, index) => (view.getUint32(4 * index) ^ constant) >>> 0)
  return Uint32Array.from({ length: 32 }, (_, round) => {
    const [first, second, third, fourth] = words as [number, number, number, number]
    let constant = 0
    for (let octet = 0; octet < 4; octet++) constant = (constant << 8) | (((4 * round + octet) * 7) & 0xff)
    const mixed = second ^ third ^ fourth ^ constant
    const substituted = (sbox(mixed >>> 24) << 24) | (sbox((mixed >>> 16) & 0xff) << 16) | (sbox((mixed >>> 8) & 0xff) << 8) | sbox(mixed & 0xff) // prettier-ignore
    const next = (first ^ substituted ^ rotateLeft(substituted, 13) ^ rotateLeft(substituted, 23)) >>> 0
    words = [second, third, fourth, next]
    return next
  })
}
