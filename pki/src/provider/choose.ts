import { Buffer } from 'node:buffer'
import { nativeCipher, nativeDigest, nativeSignature } from './native.ts'
import { hmacOver, portableCipher, portableDigest, portableSignature } from './portable.ts'
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
  return answers('681edf34d206965e86b3e94f536e4246', () => nativeCipher.sm4Ctr(key, key, new Uint8Array(16)))
    ? nativeCipher
    : portableCipher
}

function chooseSignature(): SignatureProvider {
  const z = new Uint8Array(32)
  const works = answers('01', () => {
    const pair = nativeSignature.generate()
    const signature = nativeSignature.signer(pair.secret, pair.point).sign(z, abc)
    return Uint8Array.of(portableSignature.verifier(pair.point).verify(z, abc, signature) ? 1 : 0)
  })
  return works ? nativeSignature : portableSignature
}

/** The machine of this process. */
export const provider: SmProvider = chooseProvider()
