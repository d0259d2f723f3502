import { Buffer } from 'node:buffer'
import { PartyId, RegionId } from 'specs'
import { describe, expect, it } from 'vitest'
import { aRegion, problemOf } from '../../tests/a-region.ts'
import { decodePem, encodePem } from '../der/pem.ts'
import { generateSm2KeyPair } from '../sm2/keys.ts'
import { createIntermediateCa, issueCertificate } from './authority.ts'
import { parseCertificate } from './certificate.ts'
import { loadIdentity } from './identity.ts'
import { createCsr, parseCsr } from './request.ts'
import { parseCrl } from './revocation-list.ts'

const DAY_MS = 86_400_000
const now = Date.parse('2026-06-01T08:00:00Z')
const region = aRegion({ now })
const hospital = region.party('hospital-a', { now, days: 365, serial: '00a1b2' })

describe('a certificate of a hospital', () => {
  it('names party, organisation and region, and what its key is for', () => {
    const { certificate } = hospital
    expect(certificate.subject).toMatchObject({ cn: 'hospital-a', o: '医院 hospital-a', ou: 'yunling', c: 'CN' })
    expect(certificate.issuer).toMatchObject({ cn: '云岭区域证书机构', ou: 'yunling' })
    expect([certificate.party, certificate.serial, certificate.isCa, certificate.pathLen]).toEqual(['hospital-a', 'a1b2', false, undefined])
    expect(certificate.keyUsage.has('digitalSignature') && certificate.keyUsage.has('keyEncipherment')).toBe(true)
    expect(certificate.keyUsage.has('keyCertSign')).toBe(false)
    expect(certificate.authorityKeyId).toBe(parseCertificate(region.ca.certificatePem).subjectKeyId)
  })
  it('holds an hour before it was issued, for clocks that are behind, and never longer than its authority', () => {
    expect([hospital.certificate.notBefore, hospital.certificate.notAfter]).toEqual([now - 3_600_000, now + 365 * DAY_MS])
    const ambitious = region.party('hospital-b', { now, days: 36_500 })
    expect(ambitious.certificate.notAfter).toBe(parseCertificate(region.ca.certificatePem).notAfter)
  })
  it('gets an unpredictable serial number of 16 octets', () => {
    const serials = new Set(Array.from({ length: 5 }, () => region.party('hospital-c').certificate.serial))
    expect(serials.size).toBe(5)
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/)
  })
  it('is the same text however its PEM was wrapped', () => {
    const wrapped = encodePem('CERTIFICATE', decodePem('CERTIFICATE', hospital.certificate.pem)).replaceAll('\n', '\r\n')
    expect(parseCertificate(`  ${wrapped}`).pem).toBe(hospital.certificate.pem)
  })
  it('of an authority names nobody who could send a message', () => {
    expect(problemOf(() => parseCertificate(region.ca.certificatePem).party)).toBe('certificate/invalid')
  })
})

describe('an authority', () => {
  const ask = (regionId: string, keys = generateSm2KeyPair()): string =>
    createCsr({
      party: PartyId.parse('hospital-z'),
      organisation: '医院',
      regionId: RegionId.parse(regionId),
      privateKeyPem: keys.privateKeyPem,
    })

  it('certifies a request as it stands, or the names it vouches for itself', () => {
    const csr = parseCsr(ask('yunling'))
    expect(csr).toMatchObject({ party: 'hospital-z', organisation: '医院', regionId: 'yunling' })
    const renamed = parseCertificate(issueCertificate(region.ca, { ...csr, organisation: '第二人民医院' }, { days: 1, now }))
    expect([renamed.subject.o, renamed.publicKey.equals(csr.publicKey)]).toEqual(['第二人民医院', true])
  })
  it('refuses a request for another region', () => {
    expect(problemOf(() => issueCertificate(region.ca, ask('elsewhere'), { days: 1, now }))).toBe('certificate/invalid')
  })
  it('refuses a request whose signature is of another key: no proof of possession', () => {
    const [mine, theirs] = [decodePem('CERTIFICATE REQUEST', ask('yunling')), decodePem('CERTIFICATE REQUEST', ask('yunling'))]
    const stolen = Uint8Array.from(mine)
    // Both requests have the same names, so the keys stand at the same place: put the other party's key in.
    const at = Buffer.from(mine).indexOf(Buffer.from('2a811ccf5501822d034200', 'hex')) + 11
    stolen.set(Buffer.from(theirs).subarray(at, at + 65), at)
    expect(problemOf(() => parseCsr(encodePem('CERTIFICATE REQUEST', stolen)))).toBe('certificate/invalid')
  })
  it('of a region makes no further authorities', () => {
    const below = { name: 'sub', regionId: region.regionId, days: 1, now }
    expect(problemOf(() => createIntermediateCa(region.ca, below))).toBe('certificate/invalid')
  })
  it('is not a hospital, nor one whose key does not fit', () => {
    const leaf = { certificatePem: hospital.certificate.pem, privateKeyPem: hospital.privateKey.exportPem() }
    expect(problemOf(() => issueCertificate(leaf, ask('yunling'), { days: 1, now }))).toBe('certificate/invalid')
    const mixed = { certificatePem: region.ca.certificatePem, privateKeyPem: region.root.privateKeyPem }
    expect(problemOf(() => issueCertificate(mixed, ask('yunling'), { days: 1, now }))).toBe('certificate/invalid')
  })
})

describe('an identity', () => {
  it('keeps the chain without the root and refuses a key that is not the certificate’s', () => {
    const chain = [...hospital.certificateChain, region.root.certificatePem]
    const loaded = loadIdentity({ certificateChain: chain, privateKeyPem: hospital.privateKey.exportPem() })
    expect([loaded.party, loaded.certificateChain]).toEqual(['hospital-a', hospital.certificateChain])
    const { privateKeyPem } = generateSm2KeyPair()
    expect(problemOf(() => loadIdentity({ certificateChain: chain, privateKeyPem }))).toBe('certificate/invalid')
    expect(problemOf(() => loadIdentity({ certificateChain: [], privateKeyPem }))).toBe('certificate/invalid')
  })
})

describe('a revocation list', () => {
  it('tells number, next issue and who was revoked since when', () => {
    const list = parseCrl(region.crl([hospital], { number: 7, at: now + 5_000, nextUpdateMs: now + DAY_MS }))
    expect([list.number, list.thisUpdate, list.nextUpdate]).toEqual([7, now, now + DAY_MS])
    expect([...list.revoked]).toEqual([['a1b2', now + 5_000]])
    expect(parseCrl(region.crl([])).revoked.size).toBe(0)
  })
})
