import { Buffer } from 'node:buffer'
import { sm2, sm3 } from 'sm-crypto'
import { expect, it } from 'vitest'
import { sm2Decrypt, sm2Encrypt, sm2Sign, sm2Verify, sm3Hex } from '../../src/index.ts'
import { DerReader, Tag } from '../../src/der/reader.ts'
import { readUnsigned } from '../../src/der/values.ts'
import * as der from '../../src/der/writer.ts'
import { Sm2PrivateKey } from '../../src/sm2/keys.ts'
import { sm2Vectors } from '../vectors.ts'

/** What many Chinese hospital products use in pages and Node; written independently of OpenSSL and of sm-crypto-v2. */
const { secret, point } = sm2Vectors.key
const key = new Sm2PrivateKey(secret, point)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const message = Buffer.from('右肺结节，请会诊')
const octets = [...message]

it('sm-crypto and we compute the same digest and accept each other’s signatures (SEC-11)', () => {
  expect(sm3(octets)).toBe(sm3Hex(message))
  const ours = hex(sm2Sign(key, message))
  expect(sm2.doVerifySignature(octets, ours, hex(point), { der: true, hash: true })).toBe(true)
  const theirs = sm2.doSignature(octets, hex(secret), { der: true, hash: true, publicKey: hex(point) })
  expect(sm2Verify(key.publicKey, message, Buffer.from(theirs, 'hex'))).toBe(true)
})

it('sm-crypto and we decrypt what the other encrypted, its x‖y‖C3‖C2 being our DER (SEC-11)', () => {
  const theirs = Buffer.from(sm2.doEncrypt(octets, hex(point), 1), 'hex')
  const parts = [theirs.subarray(0, 32), theirs.subarray(32, 64), theirs.subarray(64, 96), theirs.subarray(96)] as const
  const asDer = der.sequence(der.unsigned(parts[0]), der.unsigned(parts[1]), der.octetString(parts[2]), der.octetString(parts[3]))
  expect(hex(sm2Decrypt(key, asDer))).toBe(hex(message))

  const ours = new DerReader(sm2Encrypt(key.publicKey, message)).enter(Tag.sequence, 'ciphertext')
  const number = (): string => hex(readUnsigned(ours, 'coordinate', 32)).padStart(64, '0')
  const raw = number() + number() + hex(ours.content(Tag.octetString, 'hash')) + hex(ours.content(Tag.octetString, 'ciphertext'))
  expect(sm2.doDecrypt(raw, hex(secret), 1, { output: 'array' })).toEqual(octets)
})
