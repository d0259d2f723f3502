import type { Sm2PrivateKey, Sm2PublicKey } from './keys.ts'

/** SM2 signature over SM3(Z‖message) with the default user ID (GB/T 32918.2-2016 6.1), DER. About half a millisecond. */
export function sm2Sign(privateKey: Sm2PrivateKey, message: Uint8Array): Uint8Array {
  return privateKey.sign(message)
}

/** False for every signature that is not genuine, malformed ones included; never throws. */
export function sm2Verify(publicKey: Sm2PublicKey, message: Uint8Array, signatureDer: Uint8Array): boolean {
  return publicKey.verify(message, signatureDer)
}
