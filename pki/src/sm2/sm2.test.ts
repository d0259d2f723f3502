import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { problemOf } from '../../tests/a-region.ts'
import { sm2Vectors } from '../../tests/vectors.ts'
import * as der from '../der/writer.ts'
import { sm3 } from '../sm3/sm3.ts'
import { sm2Decrypt, sm2Encrypt } from './encryption.ts'
import { generateSm2KeyPair, loadPrivateKey, loadPublicKey, Sm2PrivateKey, zValue } from './keys.ts'
import { decodeSignature, encodeSignature } from './signature-encoding.ts'
import { sm2Sign, sm2Verify } from './signature.ts'

const { key, signature, encryption } = sm2Vectors
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const standardKey = new Sm2PrivateKey(key.secret, key.point)
const standardCiphertext = (parts: Partial<Record<'x' | 'y' | 'c3' | 'c2', Uint8Array>> = {}): Uint8Array => {
  const { x, y, c3, c2 } = { ...encryption, ...parts }
  return der.sequence(der.unsigned(x), der.unsigned(y), der.octetString(c3), der.octetString(c2))
}

describe('SM2 signatures (SEC-11)', () => {
  it('put the user identity and the key before the message, as GB/T 32918.5 A.2 shows', () => {
    expect(hex(zValue(key.point))).toBe(hex(signature.z))
    expect(hex(sm3(Buffer.concat([signature.z, signature.message])))).toBe(hex(signature.e))
    expect(sm2Verify(standardKey.publicKey, signature.message, encodeSignature(Buffer.concat([signature.r, signature.s])))).toBe(true)
  })
  it('hold for the message signed and for no other', () => {
    const made = sm2Sign(standardKey, Buffer.from('会诊意见'))
    expect(sm2Verify(standardKey.publicKey, Buffer.from('会诊意见'), made)).toBe(true)
    expect(sm2Verify(standardKey.publicKey, Buffer.from('会诊意见。'), made)).toBe(false)
  })
  it('are read as strict DER only', () => {
    const rs = Buffer.concat([signature.r, signature.s])
    const good = encodeSignature(rs)
    expect(hex(decodeSignature(good)!)).toBe(hex(rs))
    const longForm = Buffer.concat([Uint8Array.of(0x30, 0x81, good.length - 2), good.subarray(2)])
    const negative = der.sequence(der.element(0x02, signature.r), der.unsigned(signature.s)) // r begins with 0xf5
    for (const bad of [longForm, negative, Buffer.concat([good, good]), good.subarray(0, -1)]) expect(decodeSignature(bad)).toBeUndefined()
  })
})

describe('SM2 encryption (SEC-11)', () => {
  it('decrypts the example of GB/T 32918.5 C.2, order C1‖C3‖C2', () => {
    expect(hex(sm2Decrypt(standardKey, standardCiphertext()))).toBe(hex(encryption.message))
  })
  it('gives every length back and never the same ciphertext twice', () => {
    for (const length of [1, 31, 32, 33, 48, 4096]) {
      const plain = Uint8Array.from({ length }, (_, index) => index % 256)
      const sealed = sm2Encrypt(standardKey.publicKey, plain)
      expect(hex(sm2Decrypt(standardKey, sealed))).toBe(hex(plain))
      expect(hex(sealed)).not.toBe(hex(sm2Encrypt(standardKey.publicKey, plain)))
    }
  })
  it('refuses every altered part with one and the same problem', () => {
    const altered = (bytes: Uint8Array): Uint8Array => bytes.map((octet, index) => (index === 5 ? octet ^ 1 : octet))
    const bad = [
      standardCiphertext({ c2: altered(encryption.c2) }),
      standardCiphertext({ c3: altered(encryption.c3) }),
      standardCiphertext({ c3: encryption.c3.subarray(1) }),
      standardCiphertext({ c2: new Uint8Array(0) }),
      standardCiphertext().subarray(0, 40),
      new Uint8Array(0),
    ]
    for (const ciphertext of bad) expect(problemOf(() => sm2Decrypt(standardKey, ciphertext))).toBe('envelope/undecryptable')
  })
  it('refuses a point that is not on the curve before the private key touches it', () => {
    const y = Uint8Array.from(encryption.y)
    y[31]! ^= 1
    expect(problemOf(() => sm2Decrypt(standardKey, standardCiphertext({ y })))).toBe('envelope/undecryptable')
    expect(problemOf(() => sm2Decrypt(standardKey, standardCiphertext({ x: new Uint8Array(32), y: new Uint8Array(32) })))).toBe(
      'envelope/undecryptable',
    )
  })
  it('needs something to encrypt, since nothing looks like a failure', () => {
    expect(() => sm2Encrypt(standardKey.publicKey, new Uint8Array(0))).toThrow(RangeError)
  })
  it('keeps other keys out', () => {
    const other = loadPrivateKey(generateSm2KeyPair().privateKeyPem)
    expect(problemOf(() => sm2Decrypt(other, standardCiphertext()))).toBe('envelope/undecryptable')
  })
})

describe('SM2 keys', () => {
  it('come back from PKCS#8, in clear and under a passphrase', () => {
    const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
    const loaded = loadPrivateKey(privateKeyPem)
    expect(loaded.publicKey.toPem()).toBe(publicKeyPem)
    expect(loaded.publicKey.equals(loadPublicKey(publicKeyPem))).toBe(true)
    const locked = loaded.exportPem('口令 passphrase')
    expect(locked).toContain('BEGIN ENCRYPTED PRIVATE KEY')
    expect(loadPrivateKey(locked, '口令 passphrase').exportPem()).toBe(privateKeyPem)
    expect(problemOf(() => loadPrivateKey(locked))).toBe('certificate/wrong-passphrase')
    // A wrong passphrase shows as wrong padding, or one time in 256 as a structure that is no key.
    expect(['certificate/wrong-passphrase', 'certificate/invalid']).toContain(problemOf(() => loadPrivateKey(locked, 'wrong')))
  })
  it('are refused when the public half belongs to another key', () => {
    const [one, two] = [generateSm2KeyPair(), generateSm2KeyPair()]
    const body = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64')
    const mixed = Buffer.concat([body(one.privateKeyPem).subarray(0, -65), body(two.publicKeyPem).subarray(-65)])
    const pem = `-----BEGIN PRIVATE KEY-----\n${mixed.toString('base64')}\n-----END PRIVATE KEY-----\n`
    expect(problemOf(() => loadPrivateKey(pem))).toBe('certificate/invalid')
  })
  it('do not show their secret when printed or serialised', () => {
    const shown = `${inspect(standardKey, { depth: 9, showHidden: true })}${JSON.stringify(standardKey)}${String(standardKey)}`
    expect(shown).not.toContain(hex(key.secret))
    expect(shown).not.toContain([...key.secret.subarray(0, 4)].join(', '))
  })
})
