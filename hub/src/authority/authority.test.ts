import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCsr, generateSm2KeyPair, parseCrl, TrustStore } from 'pki'
import { RegionId } from 'specs'
import { A, B, C, regionId } from '../../tests/support/builders.ts'
import { initAuthority, openAuthority, type AuthorityOptions } from './authority.ts'
import { authorityFiles } from './files.ts'

let options: AuthorityOptions
beforeEach(async () => {
  options = { dir: await mkdtemp(join(tmpdir(), 'authority-')), regionId, regionName: '云岭区域影像网' }
})
afterEach(() => rm(options.dir, { recursive: true }))

const aRequest = (party = C) => {
  const { privateKeyPem } = generateSm2KeyPair()
  return createCsr({ party, organisation: '自称医院', regionId, privateKeyPem })
}

describe('the authority of a region', () => {
  it('is made once: a repeated set-up keeps every key and certificate', async () => {
    const first = await initAuthority(options)
    const files = authorityFiles(options.dir)
    const paths = [files.root, files.region, files.hub].flatMap(({ certificate, privateKey }) => [certificate, privateKey])
    const texts = () => Promise.all(paths.map((path) => readFile(path, 'utf8')))
    const before = await texts()
    const second = await initAuthority(options)
    expect(await texts()).toEqual(before)
    expect(second.hub.certificate.serial).toBe(first.hub.certificate.serial)
  })

  it('keeps private keys for the owner’s eyes only', async () => {
    await initAuthority(options)
    const files = authorityFiles(options.dir)
    for (const { privateKey } of [files.root, files.region, files.hub]) expect((await stat(privateKey)).mode & 0o077).toBe(0)
  })

  it('works without the root’s folder, which belongs into a safe', async () => {
    const made = await initAuthority(options)
    await rm(join(options.dir, 'root'), { recursive: true })
    const authority = await openAuthority(options)
    expect(authority.root.fingerprintSm3).toBe(made.root.fingerprintSm3)
    expect(authority.certify(aRequest(), { id: C, name: '澄江省立医院' }).chain).toHaveLength(2)
  })

  it('says what to do when there is none, when it is of another region, and when half of it is lost', async () => {
    await expect(openAuthority(options)).rejects.toThrow(/init/)
    await initAuthority(options)
    await expect(openAuthority({ ...options, regionId: RegionId.parse('elsewhere') })).rejects.toThrow(/region yunling/)
    await rm(authorityFiles(options.dir).region.privateKey)
    await expect(initAuthority(options)).rejects.toThrow(/region-ca\.key\.pem is missing/)
  })

  it('certifies the key of a request, but the name that the registry holds', async () => {
    // SEC-11
    const authority = await initAuthority(options)
    const { certificate, chain } = authority.certify(aRequest(B), { id: A, name: '云溪县人民医院' })
    expect([certificate.party, certificate.subject.o, certificate.subject.ou]).toEqual([A, '云溪县人民医院', regionId])
    const trust = new TrustStore({ rootPem: authority.root.pem, regionId })
    expect(trust.verifyChain(chain, Date.now()).party).toBe(A)
    expect(trust.verifyChain(authority.hub.certificateChain, Date.now()).party).toBe('hub')
  })

  it('refuses a request that is altered or no request', async () => {
    const authority = await initAuthority(options)
    const request = aRequest()
    const middle = Math.floor(request.length / 2)
    const altered = request.slice(0, middle) + (request[middle] === 'A' ? 'B' : 'A') + request.slice(middle + 1)
    for (const text of [altered, 'no request', request.slice(0, 100)]) {
      expect(() => authority.certify(text, { id: C, name: 'C' })).toThrow(expect.objectContaining({ code: 'certificate/invalid' }))
    }
  })

  it('lists what no longer counts, so that everybody who trusts the root refuses it', async () => {
    const authority = await initAuthority(options)
    const { certificate, chain } = authority.certify(aRequest(), { id: C, name: 'C' })
    const crl = authority.revocationList([{ serial: certificate.serial, at: Date.now() }], 2)
    expect(parseCrl(crl).number).toBe(2)
    const trust = new TrustStore({ rootPem: authority.root.pem, regionId, crlPem: crl })
    expect(() => trust.verifyChain(chain, Date.now())).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
  })
})
