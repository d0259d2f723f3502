/**
 * What we need from a cryptographic machine. Everything above this interface (certificates, envelopes, transfer) is the
 * same on Node, where it is native, on Deno, where it is partly JavaScript, and one day behind a card or a key server.
 */
export interface Sm3Hash {
  update(data: Uint8Array): this
  /** Ends the hash; 32 bytes. */
  digest(): Uint8Array
}

export interface DigestProvider {
  readonly name: string
  createSm3(): Sm3Hash
  /** HMAC-SM3 over the parts one after another, 32 bytes. */
  hmacSm3(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array
}

export interface CipherProvider {
  readonly name: string
  /** SM4-CTR with a 128-bit big-endian counter beginning at `iv`; enciphering and deciphering are the same. */
  sm4Ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array
  /** SM4-CBC with PKCS#7 padding; deciphering throws an Error when the padding is wrong. */
  sm4Cbc(direction: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array
}

export interface Signer {
  /** DER of SM2(SM3(z‖message)). */
  sign(z: Uint8Array, message: Uint8Array): Uint8Array
}

export interface Verifier {
  /** False for every signature that is not genuine, including one that cannot be parsed. */
  verify(z: Uint8Array, message: Uint8Array, signatureDer: Uint8Array): boolean
}

export interface SignatureProvider {
  readonly name: string
  /** A fresh key pair: 32-byte secret and 65-byte uncompressed point. */
  generate(): { secret: Uint8Array; point: Uint8Array }
  /** Throws an Error when the point is not on the curve. */
  verifier(point: Uint8Array): Verifier
  signer(secret: Uint8Array, point: Uint8Array): Signer
}

export interface SmProvider {
  readonly digest: DigestProvider
  readonly cipher: CipherProvider
  readonly signature: SignatureProvider
}
