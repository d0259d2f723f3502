import { describe, expect, it } from 'vitest'
import { EMPTY_SHA256, signed, uriEncode } from './signature-v4.ts'

// The example of "Signature Calculations for the Authorization Header", Amazon S3 API reference.
const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', region: 'us-east-1' }
const at = new Date('2013-05-24T00:00:00Z')
const signatureOf = (request: Parameters<typeof signed>[0]) => /Signature=([0-9a-f]+)/.exec(signed(request, credentials, at).authorization ?? '')?.[1]

describe('a request to an S3-compatible server', () => {
  it('is signed as the reference computes it', () => { // ARC-08
    const host = 'examplebucket.s3.amazonaws.com'
    expect(signatureOf({ method: 'GET', host, path: '/test.txt', query: {}, headers: { range: 'bytes=0-9' }, contentSha256: EMPTY_SHA256 })).toBe('f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41')
    expect(signatureOf({ method: 'GET', host, path: '/', query: { lifecycle: '' }, headers: {}, contentSha256: EMPTY_SHA256 })).toBe('fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543')
    expect(signatureOf({ method: 'GET', host, path: '/', query: { 'max-keys': '2', prefix: 'J' }, headers: {}, contentSha256: EMPTY_SHA256 })).toBe('34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7')
  })
  it('writes keys as RFC 3986 wants them', () => expect(uriEncode("a b*(!')/中")).toBe('a%20b%2A%28%21%27%29%2F%E4%B8%AD'))
})
