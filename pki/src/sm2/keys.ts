import { Buffer } from 'node:buffer'
import { sm2 } from 'sm-crypto-v2'
import { Problem } from 'specs'
import { readWhole } from '../der/reader.ts'
import { decodePem, encodePem } from '../der/pem.ts'
import { provider } from '../provider/choose.ts'
import type { Signer, SmProvider, Verifier } from '../provider/provider.ts'
import { CURVE, DEFAULT_USER_ID } from './curve.ts'
import { decodePrivateKeyInfo, encodePrivateKeyInfo, encodePublicKeyInfo, readPublicKeyInfo } from './key-encoding.ts'
import { decryptPkcs8, encryptPkcs8 } from './pkcs8-encryption.ts'

/**
 * Z = SM3(ENTL‖ID‖a‖b‖x_G‖y_G‖x_A‖y_A), GB/T 32918.2-2016 5.5. ENTL is the length of the ID in bits, two octets.
 *
 * @param point 65 bytes, uncompressed.
 */
export function zValue(point: Uint8Array, userId = DEFAULT_USER_ID): Uint8Array {
  const id = Buffer.from(userId, 'utf8')
  const entl = Buffer.alloc(2)
  entl.writeUInt16BE(id.length * 8)
  return provider.digest.createSm3().update(entl).update(id).update(CURVE).update(point.subarray(1)).digest()
}

/** A public key checked to lie on the curve, with its Z and the imported handle kept: both cost as much as a verification. */
export class Sm2PublicKey {
  /** 65 bytes: 04‖x‖y. */
  readonly point: Uint8Array
  readonly z: Uint8Array
  readonly #verifier: Verifier

  constructor(point: Uint8Array, machine: SmProvider = provider) {
    this.point = point
    this.z = zValue(point)
    try {
      this.#verifier = machine.signature.verifier(point)
    } catch (cause) {
      throw new Problem('certificate/invalid', { reason: 'public key not on the curve' }, { cause })
    }
  }

  verify(message: Uint8Array, signatureDer: Uint8Array): boolean {
    return this.#verifier.verify(this.z, message, signatureDer)
  }

  equals(other: Sm2PublicKey): boolean {
    return Buffer.compare(this.point, other.point) === 0
  }

  toPem(): string {
    return encodePem('PUBLIC KEY', encodePublicKeyInfo(this.point))
  }
}

/** A private key that cannot be printed or serialised by accident; `exportPem` is the one way out. */
export class Sm2PrivateKey {
  readonly publicKey: Sm2PublicKey
  readonly #secret: Uint8Array
  readonly #signer: Signer

  constructor(secret: Uint8Array, point: Uint8Array, machine: SmProvider = provider) {
    this.publicKey = new Sm2PublicKey(point, machine)
    this.#secret = secret
    this.#signer = machine.signature.signer(secret, point)
  }

  sign(message: Uint8Array): Uint8Array {
    return this.#signer.sign(this.publicKey.z, message)
  }

  /** Hands the 32 secret bytes to one computation that no key handle of the runtime offers (SM2 decryption). */
  useSecret<T>(work: (secret: Uint8Array) => T): T {
    return work(this.#secret)
  }

  /** PKCS#8 PEM; with a passphrase, PBES2 with PBKDF2-HMAC-SHA-256 and SM4-CBC, as `openssl pkcs8 -v2 sm4-cbc` reads it. */
  exportPem(passphrase?: string): string {
    const plain = encodePrivateKeyInfo(this.#secret, this.publicKey.point)
    return passphrase === undefined ? encodePem('PRIVATE KEY', plain) : encodePem('ENCRYPTED PRIVATE KEY', encryptPkcs8(plain, passphrase))
  }
}

export function generateSm2KeyPair(): { privateKeyPem: string; publicKeyPem: string } {
  const { secret, point } = provider.signature.generate()
  return {
    privateKeyPem: encodePem('PRIVATE KEY', encodePrivateKeyInfo(secret, point)),
    publicKeyPem: encodePem('PUBLIC KEY', encodePublicKeyInfo(point)),
  }
}

/**
 * @param pem PKCS#8, in clear or encrypted as `exportPem` writes it.
 * @throws {Problem} certificate/invalid when it is not an SM2 key; certificate/wrong-passphrase when it cannot be decrypted.
 */
export function loadPrivateKey(pem: string, passphrase?: string): Sm2PrivateKey {
  const { secret, point } = decodePrivateKeyInfo(readPkcs8(pem, passphrase))
  const derived = Uint8Array.from(Buffer.from(sm2.getPublicKeyFromPrivateKey(Buffer.from(secret).toString('hex')), 'hex'))
  if (point && Buffer.compare(point, derived) !== 0) throw new Problem('certificate/invalid', { reason: 'public and private part differ' })
  return new Sm2PrivateKey(secret, derived)
}

function readPkcs8(pem: string, passphrase: string | undefined): Uint8Array {
  if (!pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')) return decodePem('PRIVATE KEY', pem)
  if (passphrase === undefined)
    throw new Problem('certificate/wrong-passphrase', { reason: 'the key is encrypted and no passphrase was given' })
  return decryptPkcs8(decodePem('ENCRYPTED PRIVATE KEY', pem), passphrase)
}

/** @throws {Problem} certificate/invalid when it is not an SM2 public key. */
export function loadPublicKey(pem: string): Sm2PublicKey {
  return new Sm2PublicKey(readWhole(decodePem('PUBLIC KEY', pem), 'public key', readPublicKeyInfo))
}
