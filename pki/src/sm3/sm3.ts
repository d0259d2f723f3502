import { Buffer } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import type { Sm3Hex } from 'specs'
import { provider } from '../provider/choose.ts'

const asHex = (digest: Uint8Array): Sm3Hex => Buffer.from(digest).toString('hex') as Sm3Hex

/** SM3 digest, 32 bytes (GB/T 32905-2016). */
export function sm3(data: Uint8Array): Uint8Array {
  return provider.digest.createSm3().update(data).digest()
}

export function sm3Hex(data: Uint8Array): Sm3Hex {
  return asHex(sm3(data))
}

/** SM3 of something too large to hold: `update` as pieces arrive, `digestHex` once at the end. */
export interface StreamingSm3 {
  update(data: Uint8Array): this
  digestHex(): Sm3Hex
}

export function createSm3(): StreamingSm3 {
  const hash = provider.digest.createSm3()
  return {
    update(data) {
      hash.update(data)
      return this
    },
    digestHex: () => asHex(hash.digest()),
  }
}

/** HMAC-SM3 (GB/T 15852.2, RFC 2104) over the parts one after another, 32 bytes. Whoever puts parts of variable length side by side frames them. */
export function hmacSm3(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return provider.digest.hmacSm3(key, parts)
}

/** Compares two authentication codes in a time that does not tell where they differ. */
export function sameMac(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
