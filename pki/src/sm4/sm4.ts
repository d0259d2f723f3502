import { randomBytes as nodeRandomBytes } from 'node:crypto'
import { provider } from '../provider/choose.ts'

export const SM4_KEY_BYTES = 16
export const SM4_IV_BYTES = 16

/** From the operating system's random source. */
export function randomBytes(count: number): Uint8Array {
  return nodeRandomBytes(count)
}

/**
 * SM4-CTR (GB/T 32907-2016, mode as in GB/T 17964). It hides and does not protect: a MAC or digest must cover the result.
 *
 * @param key 16 bytes. @param iv 16 bytes, the first counter block; never twice under one key.
 */
export function sm4CtrEncrypt(key: Uint8Array, iv: Uint8Array, plain: Uint8Array): Uint8Array {
  if (key.length !== SM4_KEY_BYTES || iv.length !== SM4_IV_BYTES) throw new RangeError('SM4-CTR needs a 16-byte key and a 16-byte iv')
  return provider.cipher.sm4Ctr(key, iv, plain)
}

/** Counter mode is its own inverse. */
export const sm4CtrDecrypt: (key: Uint8Array, iv: Uint8Array, cipher: Uint8Array) => Uint8Array = sm4CtrEncrypt
