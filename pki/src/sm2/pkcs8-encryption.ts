import { Buffer } from 'node:buffer'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { Problem } from 'specs'
import { malformed, readWhole, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readOid, readSmallInteger } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { provider } from '../provider/choose.ts'

/** Rounds of PBKDF2, a tenth of a second here and for whoever guesses: the passphrase must be long all the same. */
const ITERATIONS = 210_000
/** A file may ask for more rounds than we write, but not keep us busy for minutes. */
const MAX_ITERATIONS = 10_000_000

const keyFrom = (passphrase: string, salt: Uint8Array, iterations: number): Buffer =>
  pbkdf2Sync(Buffer.from(passphrase, 'utf8'), salt, iterations, 16, 'sha256')

/** EncryptedPrivateKeyInfo, PBES2 (RFC 8018 6.2). The PRF is SHA-256 because openssl refuses hmacWithSM3 here. */
export function encryptPkcs8(plain: Uint8Array, passphrase: string): Uint8Array {
  const salt = randomBytes(16)
  const iv = randomBytes(16)
  const prf = der.sequence(der.oid(oids.hmacWithSha256), der.nullValue())
  const kdf = der.sequence(der.oid(oids.pbkdf2), der.sequence(der.octetString(salt), der.smallInteger(ITERATIONS), prf))
  const cipher = der.sequence(der.oid(oids.sm4Cbc), der.octetString(iv))
  const algorithm = der.sequence(der.oid(oids.pbes2), der.sequence(kdf, cipher))
  return der.sequence(algorithm, der.octetString(provider.cipher.sm4Cbc('encrypt', keyFrom(passphrase, salt, ITERATIONS), iv, plain)))
}

/** @throws {Problem} certificate/invalid for another scheme, certificate/wrong-passphrase when the padding does not come out right. */
export function decryptPkcs8(bytes: Uint8Array, passphrase: string): Uint8Array {
  const { salt, iterations, iv, ciphertext } = readWhole(bytes, 'encrypted private key', (reader) => {
    const info = reader.enter(Tag.sequence, 'encrypted private key')
    const algorithm = info.enter(Tag.sequence, 'encryption scheme')
    expectOid(readOid(algorithm, 'encryption scheme'), oids.pbes2)
    const parameters = algorithm.enter(Tag.sequence, 'encryption parameters')
    algorithm.finish('encryption scheme')

    const kdf = parameters.enter(Tag.sequence, 'key derivation')
    expectOid(readOid(kdf, 'key derivation'), oids.pbkdf2)
    const kdfParameters = kdf.enter(Tag.sequence, 'key derivation')
    kdf.finish('key derivation')
    const salt = kdfParameters.content(Tag.octetString, 'salt')
    const iterations = readSmallInteger(kdfParameters, 'iterations')
    if (kdfParameters.peek() === Tag.integer && readSmallInteger(kdfParameters, 'key length') !== 16) throw malformed('key length')
    const prf = kdfParameters.enter(Tag.sequence, 'prf')
    expectOid(readOid(prf, 'prf'), oids.hmacWithSha256)
    prf.content(Tag.null, 'prf')
    prf.finish('prf')
    kdfParameters.finish('key derivation')

    const cipher = parameters.enter(Tag.sequence, 'cipher')
    expectOid(readOid(cipher, 'cipher'), oids.sm4Cbc)
    const iv = cipher.content(Tag.octetString, 'iv')
    cipher.finish('cipher')
    parameters.finish('encryption parameters')
    const ciphertext = info.content(Tag.octetString, 'encrypted private key')
    info.finish('encrypted private key')
    return { salt, iterations, iv, ciphertext }
  })
  if (iterations < 1 || iterations > MAX_ITERATIONS || iv.length !== 16) throw malformed('encryption parameters')
  try {
    return provider.cipher.sm4Cbc('decrypt', keyFrom(passphrase, salt, iterations), iv, ciphertext)
  } catch (cause) {
    throw new Problem('certificate/wrong-passphrase', {}, { cause })
  }
}

function expectOid(found: string, wanted: string): void {
  if (found !== wanted) throw malformed(`algorithm ${found}`)
}
