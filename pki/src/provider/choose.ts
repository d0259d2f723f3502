import { Buffer } from 'node:buffer'
import { encodeSignature } from '../sm2/signature-encoding.ts'
import { nativeCipher, nativeDigest, nativeSignature } from './native.ts'
import { hmacOver, portableCipher, portableDigest, portableSignature } from './portable.ts'
import { withVectorCounterMode } from './vector.ts'
import type { CipherProvider, DigestProvider, SignatureProvider, SmProvider } from './provider.ts'

/**
 * Takes the native machine for each algorithm it really has, by a known answer: a name in a list proves nothing, and a
 * wrong cipher is worse than a slow one.
 */
export function chooseProvider(): SmProvider {
  return { digest: chooseDigest(), cipher: chooseCipher(), signature: chooseSignature() }
}

/** False when the runtime refuses; a runtime that answers wrongly is refused too. */
function answers(expectedHex: string, compute: () => Uint8Array): boolean {
  try {
    return Buffer.from(compute()).toString('hex') === expectedHex
  } catch {
    return false // "unknown digest", "unknown cipher": exactly what is being asked
  }
}

const abc = Buffer.from('abc')
const example = {
  point: Buffer.from(
    '0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13',
    'hex',
  ),
  z: Buffer.from('b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3', 'hex'),
  message: Buffer.from('message digest'),
  signature: encodeSignature(
    Buffer.from(
      'f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa',
      'hex',
    ),
  ),
}
const key = Buffer.from('0123456789abcdeffedcba9876543210', 'hex')

function chooseDigest(): DigestProvider {
  // GB/T 32905-2016 A.1
  const hashes = answers('66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0', () =>
    nativeDigest.createSm3().update(abc).digest(),
  )
  if (!hashes) return portableDigest
  const expected = Buffer.from(portableDigest.hmacSm3(key, [abc])).toString('hex')
  if (answers(expected, () => nativeDigest.hmacSm3(key, [abc]))) return nativeDigest
  const createSm3 = nativeDigest.createSm3
  return { name: 'node:crypto hash', createSm3, hmacSm3: (macKey, parts) => hmacOver(createSm3, macKey, parts) }
}

function chooseCipher(): CipherProvider {
  // GB/T 32907-2016 A.1 as the first block of a key stream: the counter is the example's plaintext.
  const isNative = answers('681edf34d206965e86b3e94f536e4246', () => nativeCipher.sm4Ctr(key, key, new Uint8Array(16)))
  return withVectorCounterMode(isNative ? nativeCipher : portableCipher)
}

function chooseSignature(): SignatureProvider {
  // GB/T 32918.5-2017 A.2 must verify: then what our own signature verifies under is SM2 and not ECDSA, which OpenSSL does with some SM2 keys.
  const works = answers('0101', () => {
    const standard = nativeSignature.verifier(example.point).verify(example.z, example.message, example.signature)
    const pair = nativeSignature.generate()
    const signature = nativeSignature.signer(pair.secret, pair.point).sign(example.z, abc)
    return Uint8Array.of(Number(standard), Number(nativeSignature.verifier(pair.point).verify(example.z, abc, signature)))
  })
  return works ? nativeSignature : portableSignature
}

/** The machine of this process. */
export const provider: SmProvider = chooseProvider()
