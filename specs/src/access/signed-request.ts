/**
 * Requests of service accounts, signed with SM2 (GB/T 32918.2, user ID 1234567812345678, DER):
 *
 *     Authorization: LIANPIAN-SM2 keyId=<id>, timestamp=<epoch ms>, nonce=<16 to 64 of A-Z a-z 0-9 - _>, bodySm3=<hex>, signature=<base64url>
 *
 * The signature is over the UTF-8 of `signedRequestText()`. `bodySm3` is the SM3 digest of the body as sent, of nothing when there is
 * none. A request is good for five minutes around its time stamp, once.
 */
export interface SignedRequest {
  /** The service that is called: `hub` or the hospital's identifier. A signature for one is worth nothing at another. */
  readonly audience: string
  readonly method: string
  /** Path and query exactly as in the request line. */
  readonly target: string
  /** Lower-case hex. */
  readonly bodySm3: string
  /** Epoch ms. */
  readonly timestamp: number
  readonly nonce: string
  readonly keyId: string
}

export const SIGNED_REQUEST_SCHEME = 'LIANPIAN-SM2'
export const SIGNED_REQUEST_VALID_MS = 5 * 60_000

/** What is signed: one line each. No field can contain a line feed, so two requests never have the same text. */
export function signedRequestText({ audience, method, target, bodySm3, timestamp, nonce, keyId }: SignedRequest): string {
  return [`${SIGNED_REQUEST_SCHEME}-V1`, audience, keyId, method.toUpperCase(), target, bodySm3, String(timestamp), nonce].join('\n')
}

export type PresentedRequest = Pick<SignedRequest, 'keyId' | 'timestamp' | 'nonce' | 'bodySm3'> & { readonly signature: string }

/** @returns undefined for whatever does not have the form. */
export function parseSignedRequest(authorization: string): PresentedRequest | undefined {
  const [, scheme, list = ''] = /^([\w-]+) +([\x20-\x7e]{1,2000})$/.exec(authorization) ?? []
  if (scheme?.toUpperCase() !== SIGNED_REQUEST_SCHEME) return undefined
  const fields = new Map<string, string>()
  for (const part of list.split(',')) {
    const [, name, value] = /^ *(\w+)=([\w.~+/=-]*) *$/.exec(part) ?? []
    if (name === undefined || value === undefined || fields.has(name)) return undefined
    fields.set(name, value)
  }
  const field = (name: string, form: RegExp) => {
    const value = fields.get(name) ?? ''
    return form.test(value) ? value : undefined
  }
  const keyId = field('keyId', /^[\w-]{1,64}$/)
  const timestamp = field('timestamp', /^\d{1,15}$/)
  const nonce = field('nonce', /^[\w-]{16,64}$/)
  const bodySm3 = field('bodySm3', /^[0-9a-f]{64}$/)
  const signature = field('signature', /^[\w-]{40,200}$/)
  if (keyId === undefined || timestamp === undefined || nonce === undefined || bodySm3 === undefined || signature === undefined) return undefined
  return { keyId, timestamp: Number(timestamp), nonce, bodySm3, signature }
}
