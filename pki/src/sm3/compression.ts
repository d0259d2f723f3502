import type { Sm3Hash } from '../provider/provider.ts'

/** IV, GB/T 32905-2016 4.1. */
const IV = [0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e] as const

const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))
/** P₀ and P₁, 4.4. */
const p0 = (x: number): number => x ^ rotate(x, 9) ^ rotate(x, 17)
const p1 = (x: number): number => x ^ rotate(x, 15) ^ rotate(x, 23)

/** T_j <<< (j mod 32), 4.2. */
const T = Int32Array.from({ length: 64 }, (_, j) => rotate(j < 16 ? 0x79cc4519 : 0x7a879d8a, j % 32))

/** SM3 in JavaScript, fed piece by piece. Used only where the runtime has none (sm-crypto-v2 hashes whole inputs only). */
export class Sm3 implements Sm3Hash {
  readonly #state = Int32Array.from(IV)
  readonly #block = new Uint8Array(64)
  readonly #words = new Int32Array(68)
  #length = 0
  #ended = false

  update(data: Uint8Array): this {
    if (this.#ended) throw new Error('the digest has been taken already')
    let filled = this.#length % 64
    this.#length += data.length
    for (let at = 0; at < data.length;) {
      const taken = Math.min(64 - filled, data.length - at)
      this.#block.set(data.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled === 64) {
        this.#compress()
        filled = 0
      }
    }
    return this
  }

  digest(): Uint8Array {
    const bits = this.#length * 8
    const padding = new Uint8Array(((119 - (this.#length % 64)) % 64) + 9) // one bit, zeros, 64-bit length: 5.2
    padding[0] = 0x80
    const view = new DataView(padding.buffer)
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32))
    view.setUint32(padding.length - 4, bits >>> 0)
    this.update(padding)
    this.#ended = true
    const digest = new Uint8Array(32)
    const out = new DataView(digest.buffer)
    this.#state.forEach((word, index) => out.setInt32(index * 4, word))
    return digest
  }

  /** CF, 5.3.2 and 5.3.3. */
  #compress(): void {
    const w = this.#words
    const block = new DataView(this.#block.buffer)
    for (let j = 0; j < 16; j++) w[j] = block.getInt32(j * 4)
    for (let j = 16; j < 68; j++) w[j] = p1(w[j - 16]! ^ w[j - 9]! ^ rotate(w[j - 3]!, 15)) ^ rotate(w[j - 13]!, 7) ^ w[j - 6]!
    let [a, b, c, d, e, f, g, h] = this.#state as unknown as [number, number, number, number, number, number, number, number]
    for (let j = 0; j < 64; j++) {
      const ss1 = rotate((rotate(a, 12) + e + T[j]!) | 0, 7)
      const ss2 = ss1 ^ rotate(a, 12)
      const ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c)
      const gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g)
      const tt1 = (ff + d + ss2 + (w[j]! ^ w[j + 4]!)) | 0
      const tt2 = (gg + h + ss1 + w[j]!) | 0
      d = c
      c = rotate(b, 9)
      b = a
      a = tt1
      h = g
      g = rotate(f, 19)
      f = e
      e = p0(tt2)
    }
    const v = this.#state
    for (const [index, word] of [a, b, c, d, e, f, g, h].entries()) v[index]! ^= word
  }
}
