import { HospitalId, HUB, Problem, RenewalRequest, type RenewalAnswer } from 'specs'
import { issueCertificate, KeyRing, loadPrivateKey, Opener, Sealer, TrustStore } from 'pki'
import { describe, expect, it } from 'vitest'
import { aRegion } from '../../../pki/tests/a-region.ts'
import { isRenewalDue, renewCertificates } from './renewal.ts'

const now = Date.now()
const DAY_MS = 86_400_000
const C = HospitalId.parse('hospital-c')

describe('a certificate', () => {
  it('is renewed when a third of its life is left, not before', () => {
    const certificate = { notBefore: now - 200 * DAY_MS, notAfter: now + 100 * DAY_MS }
    expect([isRenewalDue(certificate, now - DAY_MS), isRenewalDue(certificate, now + DAY_MS)]).toEqual([false, true])
  })
})

describe('renewing', () => {
  const region = aRegion({ now })
  const certify = (csr: string) => issueCertificate(region.ca, csr, { days: 365, now })

  function parts(ring: KeyRing, answer: (request: RenewalRequest) => RenewalAnswer) {
    const kept: string[] = []
    return {
      kept,
      ring,
      trust: new TrustStore({ rootPem: region.root.certificatePem, regionId: region.regionId }),
      regionId: region.regionId,
      hospitalId: C,
      hospitalName: '澄江省立医院',
      dual: false,
      timeoutMs: 1,
      now: () => now,
      line: { request: (to: string, _service: string, body: unknown) => new Promise((resolve) => resolve(to === HUB ? answer(RenewalRequest.parse(body)) : null)) },
      keepKey: async (pem: string) => {
        kept.push('key')
        return loadPrivateKey(pem)
      },
      keepCertificates: async () => void kept.push('certificates'),
    }
  }

  it('keeps the key before it asks and the certificate before it signs', async () => {
    const ring = new KeyRing(region.party('hospital-c'))
    const former = ring.certificate.serial
    const renewal = parts(ring, ({ csr }) => {
      expect(renewal.kept).toEqual(['key'])
      return { certificateChain: [certify(csr), region.ca.certificatePem] }
    })
    await renewCertificates(renewal)
    expect(renewal.kept).toEqual(['key', 'certificates'])
    expect(ring.certificate.serial).not.toBe(former)
  })

  it('loses nothing when the answer is lost: what is sealed for the new certificate already is read', async () => {
    const ring = new KeyRing(region.party('hospital-c'))
    const former = ring.certificate.serial
    let issued = ''
    const renewal = parts(ring, ({ csr }) => {
      issued = certify(csr)
      throw new Problem('region/hub-unreachable')
    })
    await expect(renewCertificates(renewal)).rejects.toMatchObject({ code: 'region/hub-unreachable' })
    expect(ring.certificate.serial).toBe(former)
    const recipient = renewal.trust.verifyChain([issued, region.ca.certificatePem], now)
    const sealed = new Sealer(region.party('hospital-a'), { now: () => now }).seal({ recipients: [recipient], body: 'x' })
    expect(new Opener(ring, renewal.trust, { now: () => now, maxAgeMs: DAY_MS }).open(sealed).sender).toBe('hospital-a')
  })

  it('takes no certificate of another hospital, another key or another root', async () => {
    const other = region.party('hospital-b')
    const elsewhere = aRegion({ now })
    const answers: ((request: RenewalRequest) => RenewalAnswer)[] = [
      () => ({ certificateChain: [...other.certificateChain] }),
      () => ({ certificateChain: [...region.party('hospital-c').certificateChain] }),
      ({ csr }) => ({ certificateChain: [issueCertificate(elsewhere.ca, csr, { days: 1, now }), elsewhere.ca.certificatePem] }),
    ]
    for (const answer of answers) {
      const ring = new KeyRing(region.party('hospital-c'))
      const former = ring.certificate.serial
      const renewal = parts(ring, answer)
      await expect(renewCertificates(renewal)).rejects.toThrow(Problem)
      expect([ring.certificate.serial, renewal.kept]).toEqual([former, ['key']])
    }
  })
})
