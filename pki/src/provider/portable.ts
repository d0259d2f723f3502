import { Buffer } from 'node:buffer'
import { sm2, sm4 } from 'sm-crypto-v2'
import { Sm3 } from '../sm3/compression.ts'
import { decodeSignature, encodeSignature } from '../sm2/signature-encoding.ts'
import type { CipherProvider, DigestProvider, Signer, SignatureProvider, Sm3Hash, Verifier } from './provider.ts'

/** JavaScript only, for runtimes whose node:crypto lacks the SM algorithms (Deno lacks all but the SM3 hash). */
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => Buffer.from(text, 'hex')

export const portableDigest: DigestProvider = {
  name: 'portable',
  createSm3: () => new Sm3(),
  hmacSm3: (key, parts) => hmacOver(() => new Sm3(), key, parts),
}

/** RFC 2104 over any SM3; the block of SM3 is 64 bytes. */
export function hmacOver(createSm3: () => Sm3Hash, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const block = new Uint8Array(64)
  block.set(key.length > 64 ? createSm3().update(key).digest() : key)
  const inner = createSm3().update(block.map((octet) => octet ^ 0x36))
  for (const part of parts) inner.update(part)
  return createSm3()
    .update(block.map((octet) => octet ^ 0x5c))
    .update(inner.digest())
    .digest()
}

/** Adds one to a big-endian counter, modulo its size. */
function increment(counter: Uint8Array): void {
  for (let octet = counter.length - 1; octet >= 0; octet--) {
    counter[octet] = counter[octet]! + 1 // a Uint8Array keeps the low eight bits
    if (counter[octet] !== 0) return
  }
}

export const portableCipher: CipherProvider = {
  name: 'sm-crypto-v2',
  sm4Ctr(key, iv, data) {
    // The library has no CTR: the key stream is ECB over the counter blocks.
    const counters = new Uint8Array(Math.ceil(data.length / 16) * 16)
    const counter = Uint8Array.from(iv)
    for (let at = 0; at < counters.length; at += 16) {
      counters.set(counter, at)
      increment(counter)
    }
    const stream = sm4.encrypt(counters, key, { mode: 'ecb', padding: 'none', output: 'array' })
    const result = new Uint8Array(data.length)
    for (let at = 0; at < data.length; at++) result[at] = data[at]! ^ stream[at]!
    return result
  },
  sm4Cbc(direction, key, iv, data) {
    const options = { mode: 'cbc', padding: 'none', output: 'array', iv: Uint8Array.from(iv) } as const
    if (direction === 'encrypt') {
      const pad = 16 - (data.length % 16)
      const padded = new Uint8Array(data.length + pad).fill(pad)
      padded.set(data)
      return sm4.encrypt(padded, key, options)
    }
    if (data.length === 0 || data.length % 16 !== 0) throw new Error('not whole SM4 blocks')
    const padded = sm4.decrypt(data, key, options)
    const pad = padded[padded.length - 1]!
    if (pad < 1 || pad > 16 || padded.subarray(-pad).some((octet) => octet !== pad)) throw new Error('wrong padding')
    return padded.subarray(0, -pad)
  },
}

/** e = SM3(z‖message), GB/T 32918.2 6.1 A2. */
const digestOf = (z: Uint8Array, message: Uint8Array): Uint8Array => new Sm3().update(z).update(message).digest()

export const portableSignature: SignatureProvider = {
  name: 'sm-crypto-v2',
  generate() {
    const pair = sm2.generateKeyPairHex()
    return { secret: fromHex(pair.privateKey), point: fromHex(pair.publicKey) }
  },
  verifier(point): Verifier {
    const key = hex(point)
    if (!sm2.verifyPublicKey(key)) throw new Error('the point is not on the curve')
    let precomputed: ReturnType<typeof sm2.precomputePublicKey> | undefined
    return {
      verify(z, message, signatureDer) {
        const signature = decodeSignature(signatureDer) // checks 1 ≤ r, s < n, which the library does not
        if (!signature) return false
        precomputed ??= sm2.precomputePublicKey(key)
        return sm2.doVerifySignature(digestOf(z, message), hex(signature), precomputed, { hash: false, der: false })
      },
    }
  },
  signer(secret): Signer {
    const key = hex(secret)
    return { sign: (z, message) => encodeSignature(fromHex(sm2.doSignature(digestOf(z, message), key, { hash: false, der: false }))) }
  },
}
