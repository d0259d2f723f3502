import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { sm2Vectors, sm3Vectors, sm4Vectors } from '../../tests/vectors.ts'
import { encodeSignature } from '../sm2/signature-encoding.ts'
import type { CipherProvider, DigestProvider, SignatureProvider } from './provider.ts'

/** What every cryptographic machine must do, run against each kind we ship (SEC-11). */
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export function digestContract(digest: DigestProvider): void {
  describe(`SM3 by ${digest.name}`, () => {
    it.each(sm3Vectors.digests)('answers the example of GB/T 32905 of $message.length bytes', (vector) => {
      expect(hex(digest.createSm3().update(vector.message).digest())).toBe(hex(vector.digest))
    })
    it.each(sm3Vectors.hmacs)('authenticates with a key of $key.length bytes as openssl does', ({ key, message, mac }) => {
      expect(hex(digest.hmacSm3(key, [message]))).toBe(hex(mac))
      expect(hex(digest.hmacSm3(key, [message.subarray(0, 1), message.subarray(1)]))).toBe(hex(mac))
    })
    it('gives the same digest however the message is cut', () => {
      const message = Uint8Array.from({ length: 300 }, (_, index) => index % 251)
      const whole = hex(digest.createSm3().update(message).digest())
      for (const cut of [0, 1, 55, 56, 63, 64, 65, 127, 128, 299]) {
        const pieces = digest.createSm3().update(message.subarray(0, cut)).update(message.subarray(cut))
        expect(hex(pieces.digest())).toBe(whole)
      }
    })
    it('refuses more input after the digest was taken', () => {
      const hash = digest.createSm3()
      hash.digest()
      expect(() => hash.update(new Uint8Array(1))).toThrow()
    })
  })
}

export function cipherContract(cipher: CipherProvider): void {
  const { block, ctr } = sm4Vectors
  describe(`SM4 by ${cipher.name}`, () => {
    it('enciphers the example of GB/T 32907, also after a million rounds', () => {
      // CBC over zero blocks with the plaintext as iv enciphers the plaintext again and again: block n is round n.
      const rounds = cipher.sm4Cbc('encrypt', block.key, block.plain, new Uint8Array(16 * 1_000_000))
      expect(hex(rounds.subarray(0, 16))).toBe(hex(block.cipher))
      expect(hex(rounds.subarray(16 * 999_999, 16 * 1_000_000))).toBe(hex(block.afterMillionRounds))
    })
    it('counts over the whole 128 bits in counter mode', () => {
      expect(hex(cipher.sm4Ctr(ctr.key, ctr.iv, ctr.plain))).toBe(hex(ctr.cipher))
      expect(hex(cipher.sm4Ctr(ctr.key, ctr.iv, ctr.cipher))).toBe(hex(ctr.plain))
    })
    it.each([0, 1, 15, 16, 17, 64])('gives %i bytes back through both modes', (length) => {
      const plain = Uint8Array.from({ length }, (_, index) => index)
      expect(hex(cipher.sm4Ctr(ctr.key, ctr.iv, cipher.sm4Ctr(ctr.key, ctr.iv, plain)))).toBe(hex(plain))
      const sealed = cipher.sm4Cbc('encrypt', ctr.key, ctr.iv, plain)
      expect(sealed.length).toBe(16 * (Math.floor(length / 16) + 1))
      expect(hex(cipher.sm4Cbc('decrypt', ctr.key, ctr.iv, sealed))).toBe(hex(plain))
    })
    it('does not touch its input', () => {
      const plain = new Uint8Array(40).fill(7)
      cipher.sm4Ctr(ctr.key, ctr.iv, plain)
      cipher.sm4Cbc('encrypt', ctr.key, ctr.iv, plain)
      expect(plain.every((octet) => octet === 7)).toBe(true)
    })
    it('refuses CBC whose padding is wrong or which is cut off', () => {
      const sealed = Uint8Array.from(cipher.sm4Cbc('encrypt', ctr.key, ctr.iv, new Uint8Array(16)))
      sealed[15]! ^= 0xff // turns the last octet of the padding from 0x10 to 0xef
      expect(() => cipher.sm4Cbc('decrypt', ctr.key, ctr.iv, sealed)).toThrow()
      expect(() => cipher.sm4Cbc('decrypt', ctr.key, ctr.iv, sealed.subarray(0, 17))).toThrow()
    })
  })
}

export function signatureContract(signature: SignatureProvider): void {
  const { key, signature: example } = sm2Vectors
  const standard = encodeSignature(Buffer.concat([example.r, example.s]))
  describe(`SM2 by ${signature.name}`, () => {
    it('accepts the signature of GB/T 32918.5 A.2', () => {
      expect(signature.verifier(key.point).verify(example.z, example.message, standard)).toBe(true)
    })
    it('signs what it verifies, differently each time', () => {
      const signer = signature.signer(key.secret, key.point)
      const [first, second] = [signer.sign(example.z, example.message), signer.sign(example.z, example.message)]
      expect(hex(first)).not.toBe(hex(second))
      for (const made of [first, second]) expect(signature.verifier(key.point).verify(example.z, example.message, made)).toBe(true)
    })
    it('rejects another message, another user, another key', () => {
      const verifier = signature.verifier(key.point)
      expect(verifier.verify(example.z, Buffer.from('message Digest'), standard)).toBe(false)
      expect(verifier.verify(new Uint8Array(32), example.message, standard)).toBe(false)
      expect(signature.verifier(signature.generate().point).verify(example.z, example.message, standard)).toBe(false)
    })
    it('answers false, and never throws, for what is no signature', () => {
      const verifier = signature.verifier(key.point)
      const zero = encodeSignature(new Uint8Array(64))
      const order = Buffer.from('fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123'.repeat(2), 'hex')
      const trailing = Buffer.concat([standard, Uint8Array.of(0)])
      for (const bad of [new Uint8Array(0), new Uint8Array(70), zero, encodeSignature(order), trailing, standard.subarray(1)]) {
        expect(verifier.verify(example.z, example.message, bad)).toBe(false)
      }
    })
    it('makes keys of 32 and 65 bytes and refuses a point beside the curve', () => {
      const made = signature.generate()
      expect([made.secret.length, made.point.length, made.point[0]]).toEqual([32, 65, 4])
      const beside = Uint8Array.from(made.point)
      beside[64]! ^= 1
      expect(() => signature.verifier(beside)).toThrow()
    })
  })
}
