import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { sm2Vectors } from '../../tests/vectors.ts'
import { chooseProvider } from './choose.ts'
import { nativeCipher, nativeDigest, nativeSignature } from './native.ts'
import { hmacOver, portableCipher, portableDigest, portableSignature } from './portable.ts'
import { withVectorCounterMode } from './vector.ts'
import { cipherContract, digestContract, signatureContract } from './provider.contract.ts'

digestContract(nativeDigest)
digestContract(portableDigest)
// What Deno runs: its node:crypto has the hash but not the HMAC.
digestContract({
  name: 'node:crypto hash',
  createSm3: nativeDigest.createSm3,
  hmacSm3: (key, parts) => hmacOver(nativeDigest.createSm3, key, parts),
})
cipherContract(nativeCipher)
cipherContract(portableCipher)
cipherContract(withVectorCounterMode(nativeCipher))
cipherContract(withVectorCounterMode(portableCipher))
signatureContract(nativeSignature)
signatureContract(portableSignature)

describe('the machines of this process', () => {
  it('are the native ones on Node', () => {
    const { digest, cipher, signature } = chooseProvider()
    expect([digest, signature]).toEqual([nativeDigest, nativeSignature])
    expect(cipher.name).toBe(`vector, ${nativeCipher.name}`)
  })
  it('accept each other’s signatures', () => {
    const { z } = sm2Vectors.signature
    const message = Buffer.from('会诊意见')
    for (const [signing, verifying] of [
      [nativeSignature, portableSignature],
      [portableSignature, nativeSignature],
    ] as const) {
      for (let round = 0; round < 20; round++) {
        const { secret, point } = signing.generate()
        const made = signing.signer(secret, point).sign(z, message)
        expect(verifying.verifier(point).verify(z, message, made)).toBe(true)
      }
    }
  })
})
