import { describe, expect, it } from 'vitest'
import { aRegion, problemOf } from '../../tests/a-region.ts'
import { signDocument, verifyDocument } from './signed-document.ts'

const now = Date.parse('2026-06-01T08:00:00Z')
const region = aRegion({ now })
const owner = region.party('hospital-a')
const grant = { owner: 'hospital-a', grantees: ['hospital-c'], expires: now + 1_000 }

describe('a signed document', () => {
  it('is recognised whatever the order of its members', () => {
    const signed = signDocument(owner, grant)
    const reordered = { expires: grant.expires, grantees: grant.grantees, owner: grant.owner }
    expect(verifyDocument(region.trust(), reordered, signed, now).party).toBe('hospital-a')
  })
  it('is refused when anything in it, or its signature, was changed', () => {
    const signed = signDocument(owner, grant)
    const trust = region.trust()
    expect(problemOf(() => verifyDocument(trust, { ...grant, expires: now + 2_000 }, signed, now))).toBe('envelope/bad-signature')
    expect(problemOf(() => verifyDocument(trust, { ...grant, more: true }, signed, now))).toBe('envelope/bad-signature')
    expect(problemOf(() => verifyDocument(trust, grant, { ...signed, signature: 'AAAA' }, now))).toBe('envelope/bad-signature')
    expect(problemOf(() => verifyDocument(trust, grant, { ...signed, signature: 'not base64' }, now))).toBe('envelope/bad-signature')
  })
  it('outlives a later revocation of its signer only where the moment was recorded by us', () => {
    const signed = signDocument(owner, grant)
    const trust = region.trust({ crlPem: region.crl([owner], { at: now + 5_000 }) })
    expect(problemOf(() => verifyDocument(trust, grant, signed, now))).toBe('certificate/revoked')
    expect(verifyDocument(trust, grant, signed, now, { historical: true }).party).toBe('hospital-a')
  })
  it('of a foreign network is refused', () => {
    const signed = signDocument(aRegion({ now }).party('hospital-a'), grant)
    expect(problemOf(() => verifyDocument(region.trust(), grant, signed, now))).toBe('certificate/untrusted')
  })
})
