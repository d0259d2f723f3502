import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCsr, createRootCa, generateSm2KeyPair, KeyRing, loadIdentity, Opener, parseCertificate, parseCrl, renewIntermediateCa, Sealer, TrustStore } from 'pki'
import { HUB } from 'specs'
import { C, regionId } from '../../tests/support/builders.ts'
import { openAuthority, type Authority } from './authority.ts'
import { authorityFiles } from './files.ts'
import { initAuthority, type SetUpOptions } from './set-up.ts'
import { importAuthority, nextAuthorityRequest, nextName } from './succession.ts'

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS
const began = Date.parse('2026-03-01T08:00:00Z')
let now: number
let options: SetUpOptions
beforeEach(async () => {
  now = began
  options = { dir: await mkdtemp(join(tmpdir(), 'succession-')), regionId, regionName: '云岭区域影像网', rootPassphrase: 'correct horse battery', now: () => now }
})
afterEach(() => rm(options.dir, { recursive: true }))

const requestOf = (privateKeyPem: string) => createCsr({ party: C, organisation: '澄江省立医院', regionId, privateKeyPem })
const hospital = { id: C, name: '澄江省立医院' }
/** As the root's keeper answers, far from the hub. */
async function answer(request: string) {
  const { root } = authorityFiles(options.dir)
  const [certificatePem, privateKeyPem] = await Promise.all([readFile(root.certificate, 'utf8'), readFile(root.privateKey, 'utf8')])
  return renewIntermediateCa({ certificatePem, privateKeyPem, passphrase: 'correct horse battery' }, request, { days: 3_650, now })
}
async function changeKey(): Promise<void> {
  expect(await importAuthority(options, await answer(await nextAuthorityRequest(options)))).toBe('next-authority')
}
const trustOf = (authority: Authority) => {
  const trust = new TrustStore({ rootPem: authority.root.pem, regionId })
  for (const { pem } of [authority.certificate, ...authority.formerCertificates]) trust.learnAuthority(pem)
  return trust
}

describe('a region authority that changes its key', () => {
  it('goes on with the new one while it runs, and what the former one certified still counts', async () => {
    // SEC-11
    const authority = await initAuthority(options)
    const [former, hubBefore] = [authority.certificate, authority.hub.certificate]
    const member = authority.certify(requestOf(generateSm2KeyPair().privateKeyPem), hospital)
    await changeKey()
    expect(authority.certificate.serial).toBe(former.serial) // nothing has changed in the running hub so far
    expect(await authority.refresh()).toEqual(['authority', 'hub', 'time-stamp'])
    expect([authority.certificate.subject.cn, authority.certificate.subject.ou]).toEqual(['云岭区域影像网 G2', regionId])
    expect(authority.certificate.subjectKeyId).not.toBe(former.subjectKeyId)
    expect(authority.formerCertificates.map(({ serial }) => serial)).toEqual([former.serial])
    expect(authority.hub.certificate.authorityKeyId).toBe(authority.certificate.subjectKeyId)
    expect(authority.timeStamps.certificate.authorityKeyId).toBe(authority.certificate.subjectKeyId)
    expect(authority.hub.otherKeys?.some((key) => key.publicKey.equals(hubBefore.publicKey))).toBe(true)
    // Whoever pins the root believes both, with or without the directory's help.
    const trust = new TrustStore({ rootPem: authority.root.pem, regionId })
    expect(trust.verifyChain(member.chain, now).party).toBe(C)
    expect(trust.verifyChain(authority.hub.certificateChain, now).party).toBe(HUB)
    const next = authority.certify(requestOf(generateSm2KeyPair().privateKeyPem), hospital)
    expect(trust.verifyLeaf(next.certificate.pem, now).authorityKeyId).toBe(authority.certificate.subjectKeyId)
    expect(await authority.refresh()).toEqual([])
    const restarted = await openAuthority(options)
    expect([restarted.certificate.serial, restarted.hub.certificate.serial]).toEqual([authority.certificate.serial, authority.hub.certificate.serial])
  })

  it('keeps envelopes readable in both directions across the change', async () => {
    const authority = await initAuthority(options)
    const { privateKeyPem } = generateSm2KeyPair()
    const member = loadIdentity({ certificateChain: authority.certify(requestOf(privateKeyPem), hospital).chain, privateKeyPem })
    const trust = trustOf(authority)
    const clock = () => now
    const forFormerHub = new Sealer(member, { now: clock }).seal({ recipients: [authority.hub.certificate], body: 'sealed before' })
    const opener = new Opener(authority.hub, trust, { now: clock, maxAgeMs: DAY_MS })
    const sealer = new Sealer(authority.hub, { now: clock })
    await changeKey()
    await authority.refresh()
    expect(opener.open(forFormerHub).sender).toBe(C)
    const told = sealer.seal({ recipients: [member.certificate], body: 'sealed after' })
    const opened = new Opener(new KeyRing(member), new TrustStore({ rootPem: authority.root.pem, regionId }), { now: clock, maxAgeMs: DAY_MS }).open(told)
    expect([opened.sender, opened.certificate.authorityKeyId]).toEqual([HUB, authority.certificate.subjectKeyId])
  })

  it('has two lists: the former authority’s still says who of its own no longer counts, until it runs out itself', async () => {
    // SEC-11
    const authority = await initAuthority(options)
    const member = authority.certify(requestOf(generateSm2KeyPair().privateKeyPem), hospital)
    const former = authority.certificate
    now = began + 8 * YEAR_MS
    await changeKey()
    await authority.refresh()
    expect(authority.listing).toEqual([former.subjectKeyId, authority.certificate.subjectKeyId])
    const revoked = [{ serial: member.certificate.serial, at: now }]
    const [theirs, ours] = [authority.revocationList(revoked, 7, former.subjectKeyId), authority.revocationList([], 8)]
    expect([parseCrl(theirs).authorityKeyId, parseCrl(ours).authorityKeyId]).toEqual(authority.listing)
    const trust = new TrustStore({ rootPem: authority.root.pem, regionId })
    for (const list of [ours, theirs]) trust.setCrl(list) // both wait until their authority is known
    trust.learnAuthority(authority.certificate.pem)
    trust.learnAuthority(former.pem)
    expect(() => trust.verifyChain(member.chain, began + DAY_MS)).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
    expect(trust.verifyChain(authority.hub.certificateChain, now).party).toBe(HUB)
    now = former.notAfter + DAY_MS
    expect(authority.listing).toEqual([authority.certificate.subjectKeyId])
  })

  it('asks for the same key again when the request got lost, and takes only an answer of its root for it', async () => {
    const authority = await initAuthority(options)
    const request = await nextAuthorityRequest(options)
    const again = await nextAuthorityRequest(options)
    const certificate = await answer(request)
    expect(parseCertificate(await answer(again)).publicKey.equals(parseCertificate(certificate).publicKey)).toBe(true)
    const stranger = createRootCa({ name: '别的根', days: 10, now })
    await expect(importAuthority(options, renewIntermediateCa(stranger, request, { days: 10, now }))).rejects.toMatchObject({ code: 'certificate/untrusted' })
    const { privateKeyPem } = generateSm2KeyPair()
    const other = await answer(createCsr({ party: HUB, organisation: 'x', regionId, privateKeyPem }))
    await expect(importAuthority(options, other)).rejects.toThrow(/another key/)
    expect(await authority.refresh()).toEqual([])
    expect(await importAuthority(options, certificate)).toBe('next-authority')
  })

  it('survives a crash in the middle of the import: repeating it ends it', async () => {
    await initAuthority(options)
    const files = authorityFiles(options.dir)
    const [key, certificate] = [files.region.privateKey, files.region.certificate]
    const formerCertificate = await readFile(certificate, 'utf8')
    const answered = await answer(await nextAuthorityRequest(options))
    const next = await readFile(files.nextRegionKey, 'utf8')
    await importAuthority(options, answered)
    // The new key is in place, its certificate is not, and the last copy of the key has not been removed.
    await writeFile(certificate, formerCertificate)
    await writeFile(files.nextRegionKey, next)
    await expect(openAuthority(options)).rejects.toThrow(/import-authority/)
    expect(await importAuthority(options, answered)).toBe('certificate')
    expect((await openAuthority(options)).certificate.pem).toBe(parseCertificate(answered).pem)
    await expect(readFile(files.nextRegionKey)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readFile(key, 'utf8')).toBe(next)
  })

  it('can do so again', async () => {
    expect([nextName('云岭'), nextName('云岭 G2'), nextName('云岭 G9')]).toEqual(['云岭 G2', '云岭 G3', '云岭 G10'])
    const authority = await initAuthority(options)
    for (const generation of [2, 3]) {
      now += YEAR_MS
      await changeKey()
      await authority.refresh()
      expect(authority.certificate.subject.cn).toBe(`云岭区域影像网 G${generation}`)
    }
    expect(authority.formerCertificates.map(({ subject }) => subject.cn)).toEqual(['云岭区域影像网 G2', '云岭区域影像网'])
  })
})

describe('the hub while it runs for years', () => {
  it('is certified anew in time, without a restart', async () => {
    // SEC-11
    const authority = await initAuthority(options)
    const before = authority.hub.certificate
    now = began + 3.5 * YEAR_MS
    expect(await authority.refresh()).toEqual([])
    now = began + 4.5 * YEAR_MS
    expect(await authority.refresh()).toEqual(['hub', 'time-stamp'])
    expect(authority.hub.certificate.notAfter).toBeGreaterThan(before.notAfter)
    expect(authority.hub.otherKeys?.some((key) => key.publicKey.equals(before.publicKey))).toBe(true)
    expect(await authority.refresh()).toEqual([])
  })

  it('makes its own certificate anew when a crash left half of it', async () => {
    await initAuthority(options)
    const { hub } = authorityFiles(options.dir)
    await writeFile(hub.privateKey, generateSm2KeyPair().privateKeyPem)
    const authority = await openAuthority(options)
    expect(authority.hub.certificate.publicKey.equals(authority.hub.privateKey.publicKey)).toBe(true)
  })
})
