import { Buffer } from 'node:buffer'
import { sm2 } from 'sm-crypto-v2'
import { isProblem, Problem } from 'specs'
import { readWhole, Tag } from '../der/reader.ts'
import { readUnsigned } from '../der/values.ts'
import * as der from '../der/writer.ts'
import type { Sm2PrivateKey, Sm2PublicKey } from './keys.ts'

/** Keys only: bulk goes through SM4. */
const MAX_PLAIN_BYTES = 4096
/** Order of the parts after C1: C1‖C3‖C2 (GB/T 32918.4-2016 6.1), not the C1‖C2‖C3 of the drafts. */
const C1C3C2 = 1

/**
 * SM2 public-key encryption. The library is given and gives x‖y‖C3‖C2; DER is written and read here, because its own
 * reader neither checks lengths nor that C1 lies on the curve, and the latter would leak the private key.
 *
 * @param plain 1 to 4096 bytes; nothing cannot be told from a failed decryption.
 * @returns SEQUENCE { x, y INTEGER, hash, ciphertext OCTET STRING } (GM/T 0009-2012 7.2), as openssl writes it.
 */
export function sm2Encrypt(publicKey: Sm2PublicKey, plain: Uint8Array): Uint8Array {
  if (plain.length === 0 || plain.length > MAX_PLAIN_BYTES) throw new RangeError('SM2 encrypts 1 to 4096 bytes')
  const raw = Buffer.from(sm2.doEncrypt(plain, Buffer.from(publicKey.point).toString('hex'), C1C3C2, { asn1: false }), 'hex')
  const [x, y, hash, cipher] = [raw.subarray(0, 32), raw.subarray(32, 64), raw.subarray(64, 96), raw.subarray(96)]
  return der.sequence(der.unsigned(x), der.unsigned(y), der.octetString(hash), der.octetString(cipher))
}

/** @throws {Problem} envelope/undecryptable, whatever the reason: a reason would help whoever is guessing. */
export function sm2Decrypt(privateKey: Sm2PrivateKey, ciphertextDer: Uint8Array): Uint8Array {
  const plain = decryptOrNothing(privateKey, ciphertextDer)
  if (plain.length === 0) throw new Problem('envelope/undecryptable', { step: 'sm2' })
  return plain
}

function decryptOrNothing(privateKey: Sm2PrivateKey, ciphertextDer: Uint8Array): Uint8Array {
  const raw = readCiphertext(ciphertextDer)
  if (!raw || !isOnCurve(raw.subarray(0, 64))) return new Uint8Array(0)
  const plain = privateKey.useSecret((secret) =>
    sm2.doDecrypt(raw.toString('hex'), Buffer.from(secret).toString('hex'), C1C3C2, { output: 'array', asn1: false }),
  )
  return Uint8Array.from(plain) // the library answers [] when C3 does not fit
}

/** x‖y‖C3‖C2, or undefined when it is not the strict DER of one. */
function readCiphertext(bytes: Uint8Array): Buffer | undefined {
  try {
    return readWhole(bytes, 'SM2 ciphertext', (reader) => {
      const inner = reader.enter(Tag.sequence, 'SM2 ciphertext')
      const [x, y] = [readUnsigned(inner, 'x', 32), readUnsigned(inner, 'y', 32)]
      const [hash, cipher] = [inner.content(Tag.octetString, 'hash'), inner.content(Tag.octetString, 'ciphertext')]
      inner.finish('SM2 ciphertext')
      if (hash.length !== 32 || cipher.length === 0 || cipher.length > MAX_PLAIN_BYTES) return undefined
      return Buffer.concat([Buffer.alloc(32 - x.length), x, Buffer.alloc(32 - y.length), y, hash, cipher])
    })
  } catch (error) {
    if (isProblem(error)) return undefined
    throw error
  }
}

function isOnCurve(xy: Buffer): boolean {
  try {
    return sm2.verifyPublicKey(`04${xy.toString('hex')}`)
  } catch {
    return false // the library throws for a point that is not on the curve
  }
}
