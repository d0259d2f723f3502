import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCsr, createRootCa, generateSm2KeyPair, loadPrivateKey, parseCrl, renewIntermediateCa, TrustStore } from 'pki'
import { RegionId } from 'specs'
import { A, B, C, regionId } from '../../tests/support/builders.ts'
import { aSafe } from '../../tests/support/safe.ts'
import { openAuthority } from './authority.ts'
import { authorityFiles } from './files.ts'
import type { AuthorityOptions } from './held.ts'
import { ensureAuthority, initAuthority, type SetUpOptions } from './set-up.ts'
import { authorityRequest, importAuthority } from './succession.ts'

const rootPassphrase = 'correct horse battery'
let options: SetUpOptions & AuthorityOptions
beforeEach(async () => {
  options = { dir: await mkdtemp(join(tmpdir(), 'authority-')), regionId, regionName: '云岭区域影像网', rootPassphrase }
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

  it('keeps the root’s key under a passphrase, which is made up and told once when nobody gives one', async () => {
    // SEC-11
    const { madePassphrase } = await ensureAuthority({ ...options, rootPassphrase: undefined })
    const key = await readFile(authorityFiles(options.dir).root.privateKey, 'utf8')
    expect(key).toContain('BEGIN ENCRYPTED PRIVATE KEY')
    expect(() => loadPrivateKey(key, 'another')).toThrow(expect.objectContaining({ code: 'certificate/wrong-passphrase' }))
    expect(loadPrivateKey(key, madePassphrase).publicKey.equals((await openAuthority(options)).root.publicKey)).toBe(true)
    expect((await ensureAuthority(options)).madePassphrase).toBeUndefined()
  })

  it('encrypts a root’s key that an earlier version left in clear', async () => {
    await initAuthority(options)
    const files = authorityFiles(options.dir)
    const clear = loadPrivateKey(await readFile(files.root.privateKey, 'utf8'), rootPassphrase).exportPem()
    await rename(files.root.certificate, files.earlierRoot.certificate)
    await rm(files.root.privateKey)
    await writeFile(files.earlierRoot.privateKey, clear)
    await ensureAuthority(options)
    await expect(stat(files.earlierRoot.privateKey)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(loadPrivateKey(await readFile(files.root.privateKey, 'utf8'), rootPassphrase).exportPem()).toBe(clear)
  })

  it('works without the root’s folder, which belongs into a safe', async () => {
    const made = await initAuthority(options)
    await rm(join(options.dir, 'root'), { recursive: true })
    const authority = await openAuthority(options)
    expect(authority.root.fingerprintSm3).toBe(made.root.fingerprintSm3)
    expect(authority.certify(aRequest(), { id: C, name: '澄江省立医院' }).chain).toHaveLength(2)
  })

  it('seals its keys once there is a vault, and a repeated set-up still finds everything in place', async () => {
    // SEC-11
    await initAuthority(options)
    const safe = aSafe()
    const before = await openAuthority({ ...options, safe })
    for (const { privateKey } of [authorityFiles(options.dir).region, authorityFiles(options.dir).hub]) expect(await readFile(privateKey, 'utf8')).not.toContain('PRIVATE KEY')
    await ensureAuthority(options)
    expect((await openAuthority({ ...options, safe })).hub.certificate.serial).toBe(before.hub.certificate.serial)
    await expect(openAuthority(options)).rejects.toThrow(/sealed by the vault/)
  })

  it('is certified anew by a root that came out of the safe for it, and goes on as before', async () => {
    const first = await initAuthority(options)
    const member = first.certify(aRequest(), { id: C, name: 'C' })
    const root = { certificatePem: await readFile(authorityFiles(options.dir).root.certificate, 'utf8'), privateKeyPem: await readFile(authorityFiles(options.dir).root.privateKey, 'utf8'), passphrase: rootPassphrase }
    await rm(join(options.dir, 'root'), { recursive: true })
    const renewed = renewIntermediateCa(root, await authorityRequest(options), { days: 7_000 })
    expect(await importAuthority(options, renewed)).toBe('certificate')
    const second = await openAuthority(options)
    expect(second.certificate.notAfter).toBeGreaterThan(first.certificate.notAfter)
    const trust = new TrustStore({ rootPem: second.root.pem, regionId })
    expect(trust.verifyChain([member.chain[0]!, second.certificate.pem], Date.now()).party).toBe(C)
    const stranger = createRootCa({ name: '别的根', days: 10 })
    const theirs = renewIntermediateCa(stranger, await authorityRequest(options), { days: 10 })
    await expect(importAuthority(options, theirs)).rejects.toMatchObject({ code: 'certificate/untrusted' })
  })

  it('renews the hub before its certificate runs out, and the hub still opens what was sealed for the former key', async () => {
    const now = Date.now()
    const before = await initAuthority({ ...options, now: () => now })
    const later = now + 4.5 * 365 * 86_400_000
    const after = await openAuthority({ ...options, now: () => later })
    expect(after.hub.certificate.serial).not.toBe(before.hub.certificate.serial)
    expect(after.hub.otherKeys?.some((key) => key.publicKey.equals(before.hub.certificate.publicKey))).toBe(true)
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
