import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TrustStore, createCsr, generateSm2KeyPair, parseCertificate, renewIntermediateCa } from 'pki'
import { kekSourceOf, openDatabase, Vault } from 'service-kit'
import { HUB, PartyId, RegionId, type CertificateRow, type LinkStatus } from 'specs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { importAuthority, nextAuthorityRequest } from '../../../hub/src/authority/succession.ts'
import { OpensslJudge } from '../../../pki/tests/openssl-judge.ts'
import { ApiUser } from '../../../scripts/region/api.ts'
import { A, C } from '../../src/access/builders.ts'
import { password, rootPassphrase, TestRegion, type TestHospital } from '../support/region.ts'

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

describe('a region authority that changes its key', () => {
  it('does so beside its work: the hub and every node go over by themselves, and nobody’s line ends', async () => {
    // SEC-11, FED-06
    const admin = await c.signIn('admin')
    const link = async () => admin.get<LinkStatus>('/api/link')
    await vi.waitFor(async () => expect((await link()).state).toBe('connected'), soon)
    const [since, former, hubBefore] = [(await link()).since, c.node.region.identity.certificate, c.node.region.membership?.hubCertificateChain]
    const sealedBefore = c.node.region.line.sealFor([HUB], { n: 1 })
    await answerOfTheRoot()
    await region.hub.lookAfterCertificates()
    await vi.waitFor(() => {
      const { authorityKeyId } = c.node.region.identity.certificate
      expect(authorityKeyId).not.toBe(former.authorityKeyId)
      expect(authorityKeyId).toBe(parseCertificate(c.node.region.membership?.hubCertificateChain[1] ?? '').subjectKeyId)
    }, soon)
    expect(c.node.region.membership?.hubCertificateChain[0]).not.toBe(hubBefore?.[0])
    expect([(await link()).state, (await link()).since]).toEqual(['connected', since])
    // What the former key certified counts until its end; the hub goes on signing the list that would say otherwise.
    const { directory, trust } = c.node.region
    expect(directory?.formerAuthorities?.map((pem) => parseCertificate(pem).subjectKeyId)).toEqual([former.authorityKeyId])
    expect(trust?.verifyLeaf(former.pem, Date.now()).party).toBe(C)
    expect(sealedBefore).not.toBe('')
    const security = await ApiUser.signIn(authority, 'security', password)
    await security.send('POST', `/api/certificates/${former.serial}/revoke`, { code: 'key-compromise', reason: '演练' })
    await vi.waitFor(() => expect(() => trust?.verifyLeaf(former.pem, Date.now())).toThrow(expect.objectContaining({ code: 'certificate/revoked' })), soon)
    const lists = c.node.region.directory
    const judge = new OpensslJudge()
    expect([judge.revocationList(lists?.crl ?? '', directory?.hubCertificateChain?.[1] ?? ''), judge.revocationList(lists?.formerCrls?.[0] ?? '', directory?.formerAuthorities?.[0] ?? '')]).toEqual(['ok', 'ok'])
    expect(judge.serialsOn(lists?.formerCrls?.[0] ?? '')).toContain(former.serial)
    expect(judge.certificate(c.node.region.identity.certificate.pem, directory?.hubCertificateChain?.[1] ?? '')).toBe('ok')
    judge.close()
    const published = await (await fetch(`${authority}/ca/former.pem`)).text()
    expect(published).toContain(directory?.formerAuthorities?.[0] ?? 'no former authority')
    expect(published).toContain(lists?.formerCrls?.[0] ?? 'no former list')
  }, 60_000)

  it('is remembered by hub and node over a restart, and a new hospital joins under the new key', async () => {
    const before = c.node.region.identity.certificate.serial
    await c.stop()
    await c.startAgain()
    const admin = await c.signIn('admin')
    await vi.waitFor(async () => expect((await admin.get<LinkStatus>('/api/link')).state).toBe('connected'), soon)
    expect(c.node.region.identity.certificate.authorityKeyId).toBe(parseCertificate(c.node.region.membership?.hubCertificateChain[1] ?? '').subjectKeyId)
    expect(before).not.toBe('')
    const a = await region.add(A, '云溪县人民医院', ['submitter'])
    expect(a.node.region.identity.certificate.authorityKeyId).toBe(c.node.region.identity.certificate.authorityKeyId)
    await vi.waitFor(() => expect(c.node.region.line.sealFor([A], { n: 1 })).toContain('header'), soon)
  }, 60_000)
})

/** As the two administrators do it: a request from the hub's folder, the root's certificate back into it, while the hub runs. */
async function answerOfTheRoot(): Promise<void> {
  const dir = join(region.folder, 'hub')
  const db = await openDatabase({ dialect: 'sqlite', file: join(dir, 'hub.sqlite') })
  const safe = await Vault.open({ db, kek: kekSourceOf({ keyFile: join(dir, 'keys', 'vault.kek') }) })
  const options = { dir, regionId: RegionId.parse('yunling'), regionName: '云岭区域影像网', safe }
  const [certificatePem, privateKeyPem] = await Promise.all(['certificate.pem', 'key.pem'].map((name) => readFile(join(dir, 'root', name), 'utf8')))
  const root = { certificatePem: certificatePem ?? '', privateKeyPem: privateKeyPem ?? '', passphrase: rootPassphrase }
  expect(await importAuthority(options, renewIntermediateCa(root, await nextAuthorityRequest(options), { days: 3_650 }))).toBe('next-authority')
  safe.close()
  await db.close()
}
