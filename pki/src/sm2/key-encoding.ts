import { type DerReader, malformed, readWhole, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readBitStringOctets, readOid, readSmallInteger } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { isScalar } from './curve.ts'

const algorithm = (): Uint8Array => der.sequence(der.oid(oids.ecPublicKey), der.oid(oids.sm2Curve))

function readAlgorithm(reader: DerReader): void {
  const inner = reader.enter(Tag.sequence, 'key algorithm')
  const isSm2 = readOid(inner, 'key algorithm') === oids.ecPublicKey && readOid(inner, 'curve') === oids.sm2Curve
  inner.finish('key algorithm')
  if (!isSm2) throw malformed('not an SM2 key')
}

/** SubjectPublicKeyInfo (RFC 5480) of a 65-byte uncompressed point. */
export function encodePublicKeyInfo(point: Uint8Array): Uint8Array {
  return der.sequence(algorithm(), der.bitString(point))
}

/** Reads SubjectPublicKeyInfo where it stands. @returns the uncompressed point, not yet checked against the curve. */
export function readPublicKeyInfo(reader: DerReader): Uint8Array {
  const info = reader.enter(Tag.sequence, 'public key')
  readAlgorithm(info)
  const point = readBitStringOctets(info, 'public key')
  info.finish('public key')
  if (point.length !== 65 || point[0] !== 0x04) throw malformed('public key point')
  return Uint8Array.from(point)
}

/** PrivateKeyInfo (RFC 5208) around an ECPrivateKey (RFC 5915) with its public key, byte for byte as openssl writes it. */
export function encodePrivateKeyInfo(secret: Uint8Array, point: Uint8Array): Uint8Array {
  const ecPrivateKey = der.sequence(der.smallInteger(1), der.octetString(secret), der.explicit(1, der.bitString(point)))
  return der.sequence(der.smallInteger(0), algorithm(), der.octetString(ecPrivateKey))
}

/** @returns the secret and, where the file holds it, the public point. */
export function decodePrivateKeyInfo(bytes: Uint8Array): { secret: Uint8Array; point: Uint8Array | undefined } {
  return readWhole(bytes, 'private key', (reader) => {
    const info = reader.enter(Tag.sequence, 'private key')
    if (readSmallInteger(info, 'private key version') !== 0) throw malformed('private key version')
    readAlgorithm(info)
    const inner = info.content(Tag.octetString, 'private key')
    if (info.peek() === Tag.contextConstructed(0)) info.content(Tag.contextConstructed(0), 'attributes')
    info.finish('private key')
    return readWhole(inner, 'EC private key', readEcPrivateKey)
  })
}

function readEcPrivateKey(reader: DerReader): { secret: Uint8Array; point: Uint8Array | undefined } {
  const key = reader.enter(Tag.sequence, 'EC private key')
  if (readSmallInteger(key, 'EC private key version') !== 1) throw malformed('EC private key version')
  const secret = Uint8Array.from(key.content(Tag.octetString, 'EC private key'))
  if (key.peek() === Tag.contextConstructed(0)) key.content(Tag.contextConstructed(0), 'EC parameters')
  const holder = key.enterOptional(Tag.contextConstructed(1), 'EC public key')
  const point = holder && Uint8Array.from(readBitStringOctets(holder, 'EC public key'))
  holder?.finish('EC public key')
  key.finish('EC private key')
  if (!isScalar(secret) || (point && (point.length !== 65 || point[0] !== 0x04))) throw malformed('EC private key')
  return { secret, point }
}
