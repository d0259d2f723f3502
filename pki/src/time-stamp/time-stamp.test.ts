import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aRegion, problemOf, reasonOf } from '../../tests/a-region.ts'
import {
  answerTimeStampRequest,
  createTimeStampRequest,
  generateSm2KeyPair,
  issueCrl,
  issueServiceCertificate,
  loadTimeStampAuthority,
  parseTimeStampToken,
  sm3,
  tokenOfResponse,
  verifyTimeStamp,
} from '../index.ts'

const now = 1_800_000_000_123
const DAY_MS = 86_400_000
const region = aRegion({ now })
const digest = sm3(new TextEncoder().encode('签名'))

function anAuthority(profile: 'time-stamp' | 'service' = 'time-stamp') {
  const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
  const subject = { name: '云岭区域时间戳', organisation: '云岭区域影像网', regionId: region.regionId, publicKeyPem }
  const leaf = issueServiceCertificate(region.ca, subject, { days: 365, now, profile })
  return { certificateChain: [leaf, region.ca.certificatePem], privateKeyPem }
}
const authority = loadTimeStampAuthority(anAuthority())

describe('a time stamp (RFC 3161 with SM2 and SM3)', () => {
  it('says to the millisecond when a digest was shown, and repeats the nonce of the request', () => {
    const { request, nonce } = createTimeStampRequest(digest)
    const token = tokenOfResponse(answerTimeStampRequest(authority, request, now))
    expect(token.nonce).toBe(nonce)
    const { at, certificate } = verifyTimeStamp(region.trust(), token, digest)
    expect([at, certificate.subject.cn]).toEqual([now, '云岭区域时间戳'])
    // Years later: the authority's certificate has run out, the stamp stands.
    expect(verifyTimeStamp(region.trust(), parseTimeStampToken(token.bytes), digest).at).toBe(now)
  })

  it('is of no use for another digest, altered, under another root or when the authority was revoked before', () => {
    const token = tokenOfResponse(answerTimeStampRequest(authority, createTimeStampRequest(digest).request, now))
    expect(reasonOf(() => verifyTimeStamp(region.trust(), token, sm3(new Uint8Array(1))))).toBe(
      'time-stamp/invalid: imprint of something else',
    )
    const altered = Uint8Array.from(token.bytes)
    altered[altered.length - 5]! ^= 1
    expect(problemOf(() => verifyTimeStamp(region.trust(), parseTimeStampToken(altered), digest))).toBe('time-stamp/invalid')
    expect(reasonOf(() => verifyTimeStamp(aRegion({ now }).trust(), token, digest))).toBe('time-stamp/invalid: certificate/untrusted')
    const { serial } = authority.certificate
    const revoked = (at: number) =>
      region.trust({ crlPem: issueCrl(region.ca, { revoked: [{ serial, at }], number: 2, nextUpdateMs: now + DAY_MS, now }) })
    expect(reasonOf(() => verifyTimeStamp(revoked(now - DAY_MS), token, digest))).toBe('time-stamp/invalid: certificate/revoked')
    expect(verifyTimeStamp(revoked(now + DAY_MS), token, digest).at).toBe(now)
  })

  it('comes from a certificate for time stamps alone', () => {
    expect(problemOf(() => loadTimeStampAuthority(anAuthority('service')))).toBe('certificate/invalid')
    expect(problemOf(() => authority.certificate.party)).toBe('certificate/invalid')
  })

  it('is read strictly: any bytes are a token or a problem', () => {
    const token = tokenOfResponse(answerTimeStampRequest(authority, createTimeStampRequest(digest).request, now))
    fc.assert(
      fc.property(fc.nat(token.bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Uint8Array.from(token.bytes)
        altered[at]! ^= change
        let believed = false
        try {
          believed = verifyTimeStamp(region.trust(), parseTimeStampToken(altered), digest).at !== now
        } catch (error) {
          expect(error).toMatchObject({ code: 'time-stamp/invalid' })
        }
        expect(believed).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
})
