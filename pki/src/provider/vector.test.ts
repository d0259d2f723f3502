import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { nativeCipher } from './native.ts'
import { withVectorCounterMode } from './vector.ts'

describe('a cipher with a vector kernel', () => {
  const [key, iv, long] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2), new Uint8Array(100_000).fill(3)]
  const expected = nativeCipher.sm4Ctr(key, iv, long)

  it('asks the kernel for long texts only, which it makes once', () => {
    // SEC-11
    let made = 0
    const asked: number[] = []
    const cipher = withVectorCounterMode(nativeCipher, () => {
      made += 1
      return {
        encrypt(ownKey, ownIv, data) {
          asked.push(data.length)
          return Uint8Array.from(nativeCipher.sm4Ctr(ownKey, ownIv, data))
        },
      }
    })
    for (let round = 0; round < 3; round++) cipher.sm4Ctr(key, iv, long)
    cipher.sm4Ctr(key, iv, long.subarray(0, 100))
    expect(made).toBe(1)
    expect(asked.filter((length) => length === long.length)).toHaveLength(3)
    expect(asked).not.toContain(100)
  })
  it('never uses a kernel that answers wrongly, or none at all', () => {
    const wrong = withVectorCounterMode(nativeCipher, () => ({ encrypt: (_key, _iv, data) => Uint8Array.from(data) }))
    const none = withVectorCounterMode(nativeCipher, () => {
      throw new Error('no vector instructions')
    })
    for (const cipher of [wrong, none]) expect(Buffer.from(cipher.sm4Ctr(key, iv, long)).equals(Buffer.from(expected))).toBe(true)
  })
})
