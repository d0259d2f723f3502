import { Buffer } from 'node:buffer'
import { signedRequestText, SIGNED_REQUEST_SCHEME, type PresentedRequest } from 'specs'
import { randomBytes } from '../sm4/sm4.ts'
import { sm2Sign, sm2Verify } from '../sm2/signature.ts'
import { sm3Hex } from '../sm3/sm3.ts'
import type { Sm2PrivateKey, Sm2PublicKey } from '../sm2/keys.ts'

export interface RequestToSign {
  readonly audience: string
  readonly method: string
  readonly url: string | URL
  readonly body?: Uint8Array | string
}

/**
 * The `Authorization` header with which a service account calls (see specs/src/access/signed-request.ts).
 * @param now Epoch ms; clocks may differ by five minutes.
 */
export function signRequest(request: RequestToSign, key: { id: string; privateKey: Sm2PrivateKey }, now: number): string {
  const { pathname, search } = new URL(request.url)
  const bodySm3 = sm3Hex(Buffer.from(request.body ?? ''))
  const nonce = Buffer.from(randomBytes(18)).toString('base64url')
  const text = signedRequestText({ ...request, target: pathname + search, bodySm3, timestamp: now, nonce, keyId: key.id })
  const signature = Buffer.from(sm2Sign(key.privateKey, Buffer.from(text))).toString('base64url')
  return `${SIGNED_REQUEST_SCHEME} keyId=${key.id}, timestamp=${now}, nonce=${nonce}, bodySm3=${bodySm3}, signature=${signature}`
}

/** Whether the key has signed exactly this request. Time and repetition are the caller's to judge. */
export function isRequestSignature(presented: PresentedRequest, called: { audience: string; method: string; target: string }, publicKey: Sm2PublicKey): boolean {
  const text = signedRequestText({ ...called, ...presented })
  return sm2Verify(publicKey, Buffer.from(text), Buffer.from(presented.signature, 'base64url'))
}
