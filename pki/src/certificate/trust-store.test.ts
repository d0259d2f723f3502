import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { aRegion, problemOf, reasonOf } from '../../tests/a-region.ts'
import { decodePem, encodePem } from '../der/pem.ts'
import { PartyId, RegionId } from 'specs'
import { generateSm2KeyPair } from '../sm2/keys.ts'
import { createIntermediateCa, issueCertificate } from './authority.ts'
import { parseCertificate } from './certificate.ts'
import { issueCrl } from './revocation-list.ts'
import { TrustStore } from './trust-store.ts'

const DAY_MS = 86_400_000
const now = Date.parse('2026-06-01T08:00:00Z')
const region = aRegion({ now })
const foreign = aRegion({ now })
const hospital = region.party('hospital-a', { days: 100 })

describe('believing a chain', () => {
  it('returns the leaf of a chain to the pinned root, with or without the root sent along', () => {
    const trust = region.trust()
    expect(trust.verifyChain(hospital.certificateChain, now).party).toBe('hospital-a')
    expect(trust.verifyChain([...hospital.certificateChain, region.root.certificatePem], now).party).toBe('hospital-a')
  })
  it('refuses another root, even one of the same name', () => {
    const chain = foreign.party('hospital-a').certificateChain
    expect(reasonOf(() => region.trust().verifyChain(chain, now))).toBe('certificate/untrusted: issuer key')
    expect(problemOf(() => region.trust().verifyChain([...chain, foreign.root.certificatePem], now))).toBe('certificate/untrusted')
    expect(problemOf(() => region.trust().verifyChain([hospital.certificateChain[0]!, foreign.ca.certificatePem], now))).toBe(
      'certificate/untrusted',
    )
  })
  it('refuses a certificate altered in any part after it was signed', () => {
    const bytes = decodePem('CERTIFICATE', hospital.certificate.pem)
    const at = Buffer.from(bytes).lastIndexOf('hospital-a')
    const renamed = Uint8Array.from(bytes)
    renamed[at + 9] = 'b'.charCodeAt(0)
    expect(problemOf(() => region.trust().verifyChain([encodePem('CERTIFICATE', renamed), region.ca.certificatePem], now))).toBe(
      'certificate/untrusted',
    )
  })
  it('refuses chains that are empty, incomplete, endless, or end in an authority as the speaker', () => {
    const [leaf, ca] = [hospital.certificate.pem, region.ca.certificatePem]
    const reasons = [[], [leaf], [ca], [ca, leaf], [leaf, leaf, ca], [leaf, ca, ca, ca, ca], [region.root.certificatePem]].map((chain) =>
      reasonOf(() => region.trust().verifyChain(chain, now)).replace('certificate/untrusted: ', ''),
    )
    const speaker = 'a certificate authority cannot speak for a party'
    expect(reasons).toEqual(['chain length', 'issuer name', speaker, speaker, 'issuer name', 'chain length', speaker])
    expect(problemOf(() => region.trust().verifyChain(['not a certificate'], now))).toBe('certificate/invalid')
  })
  it('keeps regions under one root apart', () => {
    const trust = new TrustStore({ rootPem: region.root.certificatePem, regionId: aRegion({ regionId: 'elsewhere' }).regionId })
    expect(reasonOf(() => trust.verifyChain(hospital.certificateChain, now))).toBe('certificate/untrusted: other region')
    // A certificate straight from the root has no region authority that vouches for the region it claims.
    const { party, certificate } = hospital
    const subject = { party, organisation: '医院', regionId: region.regionId, publicKeyPem: certificate.publicKey.toPem() }
    const direct = issueCertificate(region.root, subject, { days: 1, now })
    expect(reasonOf(() => region.trust().verifyChain([direct], now))).toBe('certificate/untrusted: other region')
  })
  it('asks for the validity again each time, for leaf and authority', () => {
    const trust = region.trust()
    expect(trust.verifyChain(hospital.certificateChain, now).party).toBe('hospital-a')
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now + 101 * DAY_MS))).toBe('certificate/expired')
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now - 2 * 3_600_000))).toBe('certificate/expired')
    expect(trust.verifyChain(hospital.certificateChain, now + 99 * DAY_MS).party).toBe('hospital-a')
  })
  it('pins only a genuine self-signed root', () => {
    for (const rootPem of [region.ca.certificatePem, hospital.certificate.pem]) {
      expect(problemOf(() => new TrustStore({ rootPem }))).toBe('certificate/untrusted')
    }
  })
})

describe('revocation', () => {
  it('works from the next call on, also for a chain believed a moment ago', () => {
    const trust = region.trust({ crlPem: region.crl([], { number: 1 }) })
    expect(trust.verifyChain(hospital.certificateChain, now).party).toBe('hospital-a')
    trust.setCrl(region.crl([hospital], { number: 2 }))
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now))).toBe('certificate/revoked')
    expect(trust.verifyChain(region.party('hospital-b').certificateChain, now).party).toBe('hospital-b')
  })
  it('works whatever our clock says, but leaves the past to those who recorded it', () => {
    const trust = region.trust({ crlPem: region.crl([hospital], { at: now + DAY_MS }) })
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now))).toBe('certificate/revoked')
    expect(trust.verifyChain(hospital.certificateChain, now, { historical: true }).party).toBe('hospital-a')
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now + DAY_MS, { historical: true }))).toBe('certificate/revoked')
  })
  it('goes by the region’s own list: one of a foreign authority is refused or never believed', () => {
    const trust = region.trust()
    trust.verifyChain(hospital.certificateChain, now)
    const forged = foreign.crl([hospital])
    trust.setCrl(forged) // its authority is not known: it waits, and nothing is decided by it
    expect(trust.verifyChain(hospital.certificateChain, now).party).toBe('hospital-a')
    expect(trust.crlStatus(now)).toMatchObject({ confirmed: false })
  })
  it('refuses a list of our authority that somebody else altered', () => {
    const trust = region.trust()
    trust.verifyChain(hospital.certificateChain, now)
    const bytes = Uint8Array.from(decodePem('X509 CRL', region.crl([hospital])))
    const at = Buffer.from(bytes).indexOf(Buffer.from(hospital.certificate.serial, 'hex'))
    bytes[at + 3]! ^= 1
    expect(reasonOf(() => trust.setCrl(encodePem('X509 CRL', bytes)))).toBe('certificate/untrusted: CRL signature')
    // The same list at the start, before the authority is known, is found out by the first chain.
    const starting = region.trust({ crlPem: encodePem('X509 CRL', bytes) })
    expect(reasonOf(() => starting.verifyChain(hospital.certificateChain, now))).toBe('certificate/untrusted: CRL signature')
    starting.setCrl(region.crl([], { number: 3 }))
    expect(starting.verifyChain(hospital.certificateChain, now).party).toBe('hospital-a')
  })
  it('does not go back to an older list, which would bring a revoked party back', () => {
    const trust = region.trust()
    trust.verifyChain(hospital.certificateChain, now)
    trust.setCrl(region.crl([hospital], { number: 5 }))
    expect(problemOf(() => trust.setCrl(region.crl([], { number: 4 })))).toBe('certificate/invalid')
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now))).toBe('certificate/revoked')
  })
  it('is still applied when the next list is overdue, and says so', () => {
    const trust = region.trust({ crlPem: region.crl([hospital], { number: 9, nextUpdateMs: now + DAY_MS }) })
    expect(problemOf(() => trust.verifyChain(hospital.certificateChain, now + 2 * DAY_MS))).toBe('certificate/revoked')
    expect(trust.crlStatus(now + 2 * DAY_MS)).toEqual({ number: 9, nextUpdate: now + DAY_MS, overdue: true, confirmed: true })
  })
})

describe('authorities that the directory names', () => {
  const next = createIntermediateCa(region.root, { name: '云岭区域证书机构 G2', regionId: region.regionId, days: 1825, now })
  const leafOf = (authority: { certificatePem: string; privateKeyPem: string }) => {
    const { publicKeyPem } = generateSm2KeyPair()
    return issueCertificate(authority, { party: PartyId.parse('hospital-c'), organisation: 'C', regionId: region.regionId, publicKeyPem }, { days: 100, now })
  }

  it('are believed when the pinned root certified them for our region, and only then', () => {
    // SEC-11
    const trust = region.trust()
    expect(reasonOf(() => trust.verifyLeaf(leafOf(next), now))).toBe('certificate/untrusted: unknown authority')
    trust.learnAuthority(next.certificatePem)
    trust.learnAuthority(region.ca.certificatePem)
    for (const authority of [next, region.ca]) expect(trust.verifyLeaf(leafOf(authority), now).party).toBe('hospital-c')
    expect(problemOf(() => trust.learnAuthority(foreign.ca.certificatePem))).toBe('certificate/untrusted')
    expect(problemOf(() => trust.learnAuthority(hospital.certificate.pem))).toBe('certificate/untrusted')
    const elsewhere = createIntermediateCa(region.root, { name: '别的区域', regionId: RegionId.parse('elsewhere'), days: 10, now })
    expect(reasonOf(() => trust.learnAuthority(elsewhere.certificatePem))).toBe('certificate/untrusted: other region')
    expect(problemOf(() => trust.verifyLeaf(foreign.party('hospital-c').certificate.pem, now))).toBe('certificate/untrusted')
  })

  it('have lists of their own, which wait until their authority is known', () => {
    const trust = region.trust({ crlPem: region.crl([hospital], { number: 9 }) })
    const theirs = leafOf(next)
    const { serial } = parseCertificate(theirs)
    trust.setCrl(issueCrl(next, { revoked: [{ serial, at: now }], number: 3, nextUpdateMs: now + DAY_MS, now }))
    for (const { certificatePem } of [next, region.ca]) trust.learnAuthority(certificatePem)
    expect(problemOf(() => trust.verifyLeaf(theirs, now))).toBe('certificate/revoked')
    expect(problemOf(() => trust.verifyLeaf(hospital.certificate.pem, now))).toBe('certificate/revoked')
    expect(trust.crlStatus(now)).toMatchObject({ number: 9, confirmed: true })
  })
})
