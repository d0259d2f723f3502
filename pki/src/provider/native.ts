import { Buffer } from 'node:buffer'
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSign,
  createVerify,
  generateKeyPairSync,
} from 'node:crypto'
import { encodePrivateKeyInfo, encodePublicKeyInfo } from '../sm2/key-encoding.ts'
import type { CipherProvider, DigestProvider, Signer, SignatureProvider, Verifier } from './provider.ts'

/** OpenSSL through node:crypto. */
export const nativeDigest: DigestProvider = {
  name: 'node:crypto',
  createSm3() {
    const hash = createHash('sm3')
    return {
      update(data) {
        hash.update(data)
        return this
      },
      digest: () => hash.digest(),
    }
  },
  hmacSm3(key, parts) {
    const hmac = createHmac('sm3', key)
    for (const part of parts) hmac.update(part)
    return hmac.digest()
  },
}

export const nativeCipher: CipherProvider = {
  name: 'node:crypto',
  // A stream cipher keeps nothing back, so the one buffer of update() is the whole answer and is not copied again.
  sm4Ctr: (key, iv, data) => createCipheriv('sm4-ctr', key, iv).update(data),
  sm4Cbc(direction, key, iv, data) {
    const cipher = direction === 'encrypt' ? createCipheriv('sm4-cbc', key, iv) : createDecipheriv('sm4-cbc', key, iv)
    return Buffer.concat([cipher.update(data), cipher.final()])
  },
}

export const nativeSignature: SignatureProvider = {
  name: 'node:crypto',
  generate() {
    const pair = generateKeyPairSync('ec', { namedCurve: 'SM2' })
    // These handles would sign ECDSA: only the numbers are taken. PKCS#8 alone is safe, 'sec1' aborts Node 20.
    const pkcs8 = pair.privateKey.export({ format: 'der', type: 'pkcs8' })
    const spki = pair.publicKey.export({ format: 'der', type: 'spki' })
    if (pkcs8.length !== 138 || spki.length !== 91) throw new Error('unexpected encoding of an SM2 key pair')
    return { secret: Uint8Array.from(pkcs8.subarray(36, 68)), point: Uint8Array.from(spki.subarray(26)) }
  },
  verifier(point): Verifier {
    const key = createPublicKey({ key: Buffer.from(encodePublicKeyInfo(point)), format: 'der', type: 'spki' })
    return {
      verify(z, message, signatureDer) {
        try {
          return createVerify('sm3').update(z).update(message).verify(key, signatureDer)
        } catch {
          return false // OpenSSL throws on what is not a DER signature: not genuine either
        }
      },
    }
  },
  signer(secret, point): Signer {
    const key = createPrivateKey({ key: Buffer.from(encodePrivateKeyInfo(secret, point)), format: 'der', type: 'pkcs8' })
    // createSign('sm3') signs SM3(what it was given), so z comes first; crypto.sign('sm3', …) would put the Z of an empty ID before it.
    return { sign: (z, message) => createSign('sm3').update(z).update(message).sign(key) }
  },
}
