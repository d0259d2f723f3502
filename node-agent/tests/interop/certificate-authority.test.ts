import { TrustStore, createCsr, generateSm2KeyPair } from 'pki'
import { PartyId, RegionId, type CertificateRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ApiUser } from '../../../scripts/region/api.ts'
import { C } from '../../src/access/builders.ts'
import { password, TestRegion, type TestHospital } from '../support/region.ts'

const soon = { timeout: 20_000, interval: 50 }
let region: TestRegion
let c: TestHospital
let authority: string

beforeAll(async () => {
  // A quarter of an hour of validity after an hour that is past: due as soon as it is issued.
  region = await TestRegion.start('yunling', '云岭区域影像网', { certificates: { nodeDays: 0.01 }, ca: { http: { host: '127.0.0.1', port: 0 } } })
  c = await region.add(C, '澄江省立医院', ['processor'])
  authority = `http://127.0.0.1:${region.hub.caPort}`
}, 60_000)
afterAll(() => region?.stop())

describe('the certificate authority on a listener of its own', () => {
  it('is reached there and nowhere else', async () => {
    const security = await ApiUser.signIn(authority, 'security', password)
    const { rows } = await security.get<{ rows: CertificateRow[] }>('/api/certificates')
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(['party', 'hub', 'time-stamp', 'authority']))
    const outside = await region.security()
    await expect(outside.get('/api/certificates')).rejects.toMatchObject({ code: 'request/not-found' })
    expect((await fetch(`${region.hubUrl}/ca/crl.pem`)).status).toBe(404)
  })

  it('issues for an interface by its request, renews it, and ends both', async () => {
    // SEC-11
    const security = await ApiUser.signIn(authority, 'security', password)
    const request = () => {
      const { privateKeyPem } = generateSm2KeyPair()
      return createCsr({ party: PartyId.parse('his'), organisation: 'HIS', regionId: RegionId.parse('yunling'), privateKeyPem })
    }
    const issued = await security.send<{ row: CertificateRow; chain: string[] }>('POST', '/api/certificates', { csr: request(), name: 'HIS 接口', hospitalId: C })
    const trust = new TrustStore({ rootPem: (await region.admin.get<{ rootCertificate: string }>('/api/region')).rootCertificate })
    expect(trust.verifyChain(issued.chain, Date.now()).kind).toBe('service')
    const renewed = await security.send<{ row: CertificateRow }>('POST', `/api/certificates/${issued.row.serial}/renew`, { csr: request() })
    expect(renewed.row).toMatchObject({ subject: 'HIS 接口', hospitalId: C, current: true })
    await security.send('POST', `/api/certificates/${renewed.row.serial}/revoke`, { code: 'key-compromise', reason: '密钥泄露' })
    trust.setCrl(await (await fetch(`${authority}/ca/crl.pem`)).text())
    const status = (serial: string) => fetch(`${authority}/ca/status/${serial}`).then((answer) => answer.json())
    expect(await status(renewed.row.serial)).toMatchObject({ status: 'revoked', reason: 'key-compromise' })
    expect(await status(issued.row.serial)).toMatchObject({ status: 'good' })
  })
})

describe('a node whose certificate runs out', () => {
  it('renews it by itself', async () => {
    // SEC-11, FED-06
    const security = await ApiUser.signIn(authority, 'security', password)
    await vi.waitFor(async () => {
      const { rows } = await security.get<{ rows: CertificateRow[] }>('/api/certificates?kind=party')
      expect(rows.length).toBeGreaterThan(1)
      expect(rows.find(({ current }) => current)?.serial).toBe(c.node.region.identity.certificate.serial)
    }, soon)
  }, 30_000)
})
