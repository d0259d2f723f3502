import { Problem } from 'specs'
import { hmacSm3, sameMac } from '../sm3/sm3.ts'
import { randomBytes, sm4CtrDecrypt, sm4CtrEncrypt } from '../sm4/sm4.ts'

/** An SM4 key and an HMAC-SM3 key that travel and live together: 16 + 32 bytes. */
export interface KeyPair48 {
  readonly encryption: Uint8Array
  readonly mac: Uint8Array
}

export const KEY_PAIR_BYTES = 48
const WRAPPED_BYTES = 16 + KEY_PAIR_BYTES + 32

export function splitKeyPair(bytes: Uint8Array): KeyPair48 {
  if (bytes.length !== KEY_PAIR_BYTES) throw new Problem('envelope/undecryptable', { step: 'key length' })
  return { encryption: bytes.subarray(0, 16), mac: bytes.subarray(16) }
}

/** iv(16)‖SM4-CTR(content key)‖HMAC-SM3(iv‖ciphertext), both under the recipient's key-encryption key. */
export function wrapKey(contentKey: Uint8Array, kek: KeyPair48): Uint8Array {
  const iv = randomBytes(16)
  const ciphertext = sm4CtrEncrypt(kek.encryption, iv, contentKey)
  const wrapped = new Uint8Array(WRAPPED_BYTES)
  wrapped.set(iv)
  wrapped.set(ciphertext, 16)
  wrapped.set(hmacSm3(kek.mac, iv, ciphertext), 16 + KEY_PAIR_BYTES)
  return wrapped
}

/** @throws {Problem} envelope/undecryptable */
export function unwrapKey(wrapped: Uint8Array, kek: KeyPair48): Uint8Array {
  const iv = wrapped.subarray(0, 16)
  const ciphertext = wrapped.subarray(16, 16 + KEY_PAIR_BYTES)
  const genuine = wrapped.length === WRAPPED_BYTES && sameMac(wrapped.subarray(16 + KEY_PAIR_BYTES), hmacSm3(kek.mac, iv, ciphertext))
  if (!genuine) throw new Problem('envelope/undecryptable', { step: 'wrapped key' })
  return sm4CtrDecrypt(kek.encryption, iv, ciphertext)
}
