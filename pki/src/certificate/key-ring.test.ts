import { PartyId } from 'specs'
import { describe, expect, it } from 'vitest'
import { aRegion, problemOf } from '../../tests/a-region.ts'
import {
  createCsr,
  generateSm2KeyPair,
  type Identity,
  issueCertificate,
  issueCrl,
  issuePersonCertificate,
  KeyRing,
  loadDecryptionKey,
  loadIdentity,
  Opener,
  parseCertificate,
  parseCrl,
  Sealer,
  signDocument,
  verifyDocument,
} from '../index.ts'

const now = 1_800_000_000_000
const DAY_MS = 86_400_000
const region = aRegion({ now })
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

function opener(identity: Identity, at = now) {
  return new Opener(identity, region.trust(), { now: () => at, maxAgeMs: DAY_MS })
}

describe('a key ring', () => {
  it('signs with the newest key and goes on opening what was sealed for the ones before', () => {
    // SEC-11
    const ring = new KeyRing(region.party('hospital-c'))
    const reader = opener(ring)
    const sender = new Sealer(region.party('hospital-a'), { now: () => now })
    const former = ring.certificate
    const before = sender.seal({ recipients: [former], body: '续期之前' })
    ring.renew(region.party('hospital-c'))
    expect(ring.certificate.serial).not.toBe(former.serial)
    expect(text(reader.open(before).body)).toBe('续期之前')
    expect(text(reader.open(sender.seal({ recipients: [ring.certificate], body: '之后' })).body)).toBe('之后')
    expect(verifyDocument(region.trust(), { a: 1 }, signDocument(ring, { a: 1 }), now).serial).toBe(ring.certificate.serial)
  })

  it('opens what was sealed for a key whose certificate is still on its way to us', () => {
    const { certificate, privateKey } = region.party('hospital-c')
    const ring = new KeyRing(region.party('hospital-c'))
    const sealed = new Sealer(region.party('hospital-a'), { now: () => now }).seal({ recipients: [certificate], body: '先到' })
    expect(problemOf(() => opener(ring).open(sealed))).toBe('envelope/undecryptable')
    ring.expect(privateKey)
    expect(text(opener(ring).open(sealed).body)).toBe('先到')
  })

  it('takes no certificate of somebody else', () => {
    const ring = new KeyRing(region.party('hospital-c'))
    expect(problemOf(() => ring.renew(region.party('hospital-b')))).toBe('certificate/invalid')
  })

  it('opens with the encryption key and signs with the signature key where there are two (GM/T 0015)', () => {
    const ring = new KeyRing(aDualParty('hospital-c'))
    const encryption = ring.encryption!.certificate
    expect([ring.certificate.keyUsage.has('keyEncipherment'), encryption.keyUsage.has('digitalSignature')]).toEqual([false, false])
    const sender = new Sealer(region.party('hospital-a'), { now: () => now })
    expect(text(opener(ring).open(sender.seal({ recipients: [encryption], body: '双证' })).body)).toBe('双证')
    expect(problemOf(() => sender.seal({ recipients: [ring.certificate], body: 'x' }))).toBe('certificate/invalid')
    expect(problemOf(() => region.trust().verifyChain([encryption.pem, region.ca.certificatePem], now))).toBe('certificate/untrusted')
  })
})

describe('content that waits inside messages', () => {
  const reader = region.party('hospital-c')
  const sealedBy = (sender: Identity) => new Sealer(sender, { now: () => now }).seal({ recipients: [reader.certificate], body: '病史' })

  it('is read when its sender has been certified anew, and when the certificate has run out since', () => {
    const sender = region.party('hospital-a', { days: 30 })
    const sealed = sealedBy(sender)
    expect(opener(reader, now + 100 * DAY_MS).open(sealed, { anyAge: true }).sender).toBe('hospital-a')
    const trust = region.trust({ crlPem: crlOf(sender, 'superseded') })
    const after = new Opener(reader, trust, { now: () => now + DAY_MS, maxAgeMs: DAY_MS })
    expect(after.open(sealed, { anyAge: true }).sender).toBe('hospital-a')
    // The message around it gets no such leave.
    expect(problemOf(() => after.open(sealed))).toBe('certificate/revoked')
  })

  it('is refused when the certificate was revoked for any reason but its replacement', () => {
    const sender = region.party('hospital-a')
    const sealed = sealedBy(sender)
    for (const reason of ['key-compromise', 'cessation-of-operation', 'unspecified'] as const) {
      const reading = new Opener(reader, region.trust({ crlPem: crlOf(sender, reason) }), { now: () => now, maxAgeMs: DAY_MS })
      expect(problemOf(() => reading.open(sealed, { anyAge: true }))).toBe('certificate/revoked')
    }
  })
})

describe('the certificate of a person', () => {
  const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
  const subject = {
    userId: 'u-17',
    hospitalId: PartyId.parse('hospital-c'),
    name: 'hospital-a',
    title: '主任医师',
    organisation: '澄江省立医院',
    regionId: region.regionId,
  }
  const leaf = issuePersonCertificate(region.ca, { ...subject, publicKeyPem }, { days: 365, now })
  const chain = [leaf, region.ca.certificatePem]

  it('names person, title and hospital', () => {
    const { person, kind, keyUsage } = parseCertificate(leaf)
    expect(kind).toBe('person')
    expect(person).toEqual({
      userId: 'u-17',
      hospitalId: 'hospital-c',
      name: 'hospital-a',
      title: '主任医师',
      organisation: '澄江省立医院',
    })
    expect(keyUsage.has('keyEncipherment')).toBe(false)
  })

  it('signs documents and speaks for no hospital, even if the person is called like one', () => {
    // SEC-11
    expect(problemOf(() => loadIdentity({ certificateChain: chain, privateKeyPem }))).toBe('certificate/invalid')
    expect(region.trust().verifyChain(chain, now).kind).toBe('person')
    const impostor: Identity = {
      ...region.party('hospital-a'),
      certificateChain: chain,
      privateKey: loadDecryptionKey({ certificatePem: leaf, privateKeyPem }).privateKey,
    }
    const forged = new Sealer(impostor, { now: () => now }).seal({ recipients: [region.party('hospital-c').certificate], body: 'x' })
    expect(problemOf(() => opener(region.party('hospital-c')).open(forged))).toBe('certificate/invalid')
  })
})

describe('a revocation list', () => {
  it('says why', () => {
    const party = region.party('hospital-a')
    expect(parseCrl(crlOf(party, 'key-compromise')).reasons.get(party.certificate.serial)).toBe('key-compromise')
    expect(parseCrl(region.crl([party])).reasons.get(party.certificate.serial)).toBe('unspecified')
  })
})

function crlOf({ certificate: { serial } }: Identity, reason: 'superseded' | 'key-compromise' | 'cessation-of-operation' | 'unspecified') {
  return issueCrl(region.ca, { revoked: [{ serial, at: now, reason }], number: 2, nextUpdateMs: now + 30 * DAY_MS, now })
}

function aDualParty(name: string): Identity {
  const certify = (profile: 'party-signature' | 'party-encryption') => {
    const { privateKeyPem } = generateSm2KeyPair()
    const csr = createCsr({ party: PartyId.parse(name), organisation: name, regionId: region.regionId, privateKeyPem })
    return { certificatePem: issueCertificate(region.ca, csr, { days: 365, now, profile }), privateKeyPem }
  }
  const [signature, encryption] = [certify('party-signature'), certify('party-encryption')]
  const identity = loadIdentity({
    certificateChain: [signature.certificatePem, region.ca.certificatePem],
    privateKeyPem: signature.privateKeyPem,
  })
  return { ...identity, encryption: loadDecryptionKey(encryption) }
}
