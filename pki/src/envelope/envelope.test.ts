import { Buffer } from 'node:buffer'
import { type EpochMs, MessageId, PartyId } from 'specs'
import { describe, expect, it } from 'vitest'
import { aRegion, problemOf } from '../../tests/a-region.ts'
import { loadIdentity } from '../certificate/identity.ts'
import { TrustStore } from '../certificate/trust-store.ts'
import { sm2Sign } from '../sm2/signature.ts'
import { Opener } from './opener.ts'
import { ReplayGuard } from './replay-guard.ts'
import { Sealer } from './sealer.ts'

const DAY_MS = 86_400_000
const now = Date.parse('2026-06-01T08:00:00Z')
const region = aRegion({ now })
const [submitter, expert, stranger] = [region.party('hospital-a'), region.party('hospital-c'), region.party('hospital-b')]
const body = Buffer.from('{"question":"右肺结节，请会诊"}')
const maxAgeMs = 7 * DAY_MS

const clock = (at: EpochMs) => ({ now: () => at })
const seal = (options: Partial<Parameters<Sealer['seal']>[0]> = {}, from = submitter, at = now): string =>
  new Sealer(from, clock(at)).seal({ recipients: [expert.certificate], body, ...options })
const opener = (who = expert, at = now, trust = region.trust()): Opener => new Opener(who, trust, { ...clock(at), maxAgeMs })

type Parts = Record<'header' | 'ciphertext' | 'mac' | 'signature', string>
const parts = (text: string): Parts => JSON.parse(text) as Parts
const headerOf = (text: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(parts(text).header, 'base64').toString()) as Record<string, unknown>
/** Somebody alters the header and signs it again with the key at hand. */
const resigned = (text: string, change: Record<string, unknown>, by = submitter): string => {
  const header = Buffer.from(JSON.stringify({ ...headerOf(text), ...change }))
  const signature = Buffer.from(sm2Sign(by.privateKey, Buffer.concat([header, Buffer.from(parts(text).mac, 'base64')])))
  return JSON.stringify({ ...parts(text), header: header.toString('base64'), signature: signature.toString('base64') })
}

describe('a sealed envelope (AGT-06, SEC-11)', () => {
  it('opens for each of its recipients and names the sender by the certificate', () => {
    const id = MessageId.parse('3f0e8f5e-4a9c-4c0e-9d4b-2f8b1f1d7a10')
    const text = seal({ id, recipients: [expert.certificate, stranger.certificate] })
    for (const who of [expert, stranger]) {
      const opened = opener(who).open(text)
      expect(opened).toMatchObject({ id, sender: 'hospital-a', sealedAt: now })
      expect(Buffer.from(opened.body).toString()).toBe(body.toString())
      expect(opened.certificate.serial).toBe(submitter.certificate.serial)
    }
  })
  it('carries nothing of the content in clear', () => {
    const text = seal()
    const wire =
      text +
      Object.values(parts(text))
        .map((part) => Buffer.from(part, 'base64').toString('latin1'))
        .join('')
    expect(wire).not.toContain('question')
    expect(wire).not.toContain(body.subarray(12, 24).toString('latin1'))
  })
  it.each([0, 1, 16, 1_000_000])('carries %i bytes', (length) => {
    const content = new Uint8Array(length).fill(0x5a)
    expect(Buffer.compare(opener().open(seal({ body: content })).body, content)).toBe(0)
  })
  it('encrypts the same body differently each time', () => {
    const sealer = new Sealer(submitter, clock(now))
    const [one, two] = [1, 2].map(() => parts(sealer.seal({ recipients: [expert.certificate], body })))
    expect(one!.ciphertext).not.toBe(two!.ciphertext)
  })
  it('renews the key for a recipient after an hour and keeps it until then', () => {
    let at = now
    const sealer = new Sealer(submitter, { now: () => at })
    const kek = (): unknown =>
      (headerOf(sealer.seal({ recipients: [expert.certificate], body }))['recipients'] as { encryptedKek: string }[])[0]!.encryptedKek
    const first = kek()
    at += 3_599_000
    expect(kek()).toBe(first)
    at += 2_000
    expect(kek()).not.toBe(first)
  })
  it('is not sealed for an authority, for nobody, or beyond 4 MiB', () => {
    const sealer = new Sealer(submitter, clock(now))
    const authority = region.trust().root
    expect(problemOf(() => sealer.seal({ recipients: [authority], body }))).toBe('certificate/invalid')
    expect(() => sealer.seal({ recipients: [], body })).toThrow(RangeError)
    expect(problemOf(() => seal({ body: new Uint8Array(3.2 * 1024 * 1024) }))).toBe('request/too-large')
  })
})

describe('an envelope is refused, each time for its own reason (AGT-06, SEC-11)', () => {
  it('forged: signed by another key under the sender’s certificate', () => {
    expect(problemOf(() => opener().open(resigned(seal(), {}, stranger)))).toBe('envelope/bad-signature')
  })
  it('altered: another MAC, another header, another signature', () => {
    const flip = (base64: string): string => {
      const bytes = Buffer.from(base64, 'base64')
      bytes[bytes.length - 1]! ^= 1
      return bytes.toString('base64')
    }
    const text = seal()
    expect(problemOf(() => opener().open(JSON.stringify({ ...parts(text), mac: flip(parts(text).mac) })))).toBe('envelope/bad-signature')
    expect(problemOf(() => opener().open(JSON.stringify({ ...parts(text), signature: flip(parts(text).signature) })))).toBe(
      'envelope/bad-signature',
    )
    const later = Buffer.from(JSON.stringify({ ...headerOf(text), sealedAt: now + 1 })).toString('base64')
    expect(problemOf(() => opener().open(JSON.stringify({ ...parts(text), header: later })))).toBe('envelope/bad-signature')
  })
  it('altered: a body changed by one bit', () => {
    const text = seal()
    const ciphertext = Buffer.from(parts(text).ciphertext, 'base64')
    ciphertext[3]! ^= 1
    const altered = JSON.stringify({ ...parts(text), ciphertext: ciphertext.toString('base64') })
    expect(problemOf(() => opener().open(altered))).toBe('envelope/undecryptable')
  })
  it('addressed to somebody else', () => {
    expect(problemOf(() => opener(stranger).open(seal()))).toBe('envelope/wrong-audience')
  })
  it('addressed to us by the sender, but without a key for us', () => {
    expect(problemOf(() => opener(stranger).open(resigned(seal(), { audience: ['hospital-b'] })))).toBe('envelope/undecryptable')
  })
  it('encrypted for a certificate of ours whose key we no longer have', () => {
    const renewed = region.party('hospital-c')
    expect(problemOf(() => opener(renewed).open(seal()))).toBe('envelope/undecryptable')
  })
  it('too old, or sealed in the future; unless its age does not matter', () => {
    const old = seal({}, submitter, now - maxAgeMs - 1)
    expect(problemOf(() => opener().open(old))).toBe('envelope/expired')
    expect(opener().open(old, { anyAge: true }).sender).toBe('hospital-a')
    expect(opener().open(seal({}, submitter, now - maxAgeMs)).sender).toBe('hospital-a')
    expect(problemOf(() => opener().open(seal({}, submitter, now + 300_001)))).toBe('envelope/expired')
    expect(opener().open(seal({}, submitter, now + 299_999)).sender).toBe('hospital-a')
  })
  it('sealed by somebody other than the owner of the channel', () => {
    const from = PartyId.parse('hospital-b')
    expect(problemOf(() => opener().open(seal(), { from }))).toBe('envelope/wrong-sender')
    expect(opener().open(seal({}, stranger), { from }).sender).toBe('hospital-b')
  })
  it('sealed by a revoked hospital; but what we received before stays readable', () => {
    const text = seal()
    const trust = region.trust({ crlPem: region.crl([submitter], { at: now + DAY_MS }) })
    expect(problemOf(() => opener(expert, now + 2 * DAY_MS, trust).open(text))).toBe('certificate/revoked')
    expect(opener(expert, now + 2 * DAY_MS, trust).open(text, { receivedAt: now + 1_000 }).sender).toBe('hospital-a')
    expect(problemOf(() => opener(expert, now + 2 * DAY_MS, trust).open(text, { receivedAt: now + DAY_MS }))).toBe('certificate/revoked')
  })
  it('sealed with an expired certificate', () => {
    const brief = region.party('hospital-d', { days: 1 })
    expect(problemOf(() => opener(expert, now + 2 * DAY_MS).open(seal({}, brief)))).toBe('certificate/expired')
  })
  it('sealed by a member of a foreign network with the same names', () => {
    const impostor = aRegion({ now }).party('hospital-a')
    expect(problemOf(() => opener().open(seal({}, impostor)))).toBe('certificate/untrusted')
  })
  it('sealed in another region of the same root', () => {
    const elsewhere = new TrustStore({ rootPem: region.root.certificatePem, regionId: aRegion({ regionId: 'elsewhere' }).regionId })
    expect(problemOf(() => opener(expert, now, elsewhere).open(seal()))).toBe('certificate/untrusted')
  })
  it('replayed: the second time, and only the second time', () => {
    const guard = new ReplayGuard({ maxAgeMs, ...clock(now) })
    const opened = opener().open(seal())
    guard.rememberOnce(opened)
    expect(problemOf(() => guard.rememberOnce(opened))).toBe('envelope/replayed')
    guard.rememberOnce(opener().open(seal()))
    expect(guard.size).toBe(2)
  })
  it('not an envelope at all', () => {
    const text = seal()
    const { mac, ...withoutMac } = parts(text)
    const bad = ['', 'null', '[]', '{}', '{"header":1}', JSON.stringify(withoutMac), JSON.stringify({ ...parts(text), extra: '' })]
    bad.push(JSON.stringify({ ...parts(text), mac: mac.replace('=', '') }), JSON.stringify({ ...parts(text), header: 'bm90IGpzb24=' }))
    bad.push(JSON.stringify({ ...parts(text), ciphertext: `${parts(text).ciphertext}\n` }), ' '.repeat(4 * 1024 * 1024 + 1))
    for (const candidate of bad) expect(problemOf(() => opener().open(candidate))).toBe('envelope/malformed')
    expect(problemOf(() => opener().open(resigned(text, { v: 2 })))).toBe('envelope/malformed')
    expect(problemOf(() => opener().open(resigned(text, { alg: 'none' })))).toBe('envelope/malformed')
    expect(problemOf(() => opener().open(resigned(text, { iv: 'AAAA' })))).toBe('envelope/malformed')
  })
})

describe('the order of the checks', () => {
  it('tells a stranger nothing but that it is a stranger: chain before signature, signature before audience and age', () => {
    const impostor = aRegion({ now }).party('hospital-a')
    expect(problemOf(() => opener(stranger).open(resigned(seal({}, impostor), { sealedAt: 0 }, stranger)))).toBe('certificate/untrusted')
    expect(problemOf(() => opener(stranger).open(resigned(seal(), { sealedAt: 0 }, stranger)))).toBe('envelope/bad-signature')
    expect(problemOf(() => opener(stranger).open(resigned(seal(), { sealedAt: 0 })))).toBe('envelope/wrong-audience')
  })
  it('opens what a renewed certificate of the same key was not named in', () => {
    const { privateKey } = expert
    const renewed = { ...expert, certificate: { ...expert.certificate, serial: 'ff' } }
    expect(renewed.privateKey).toBe(privateKey)
    expect(opener(renewed).open(seal()).sender).toBe('hospital-a')
    expect(loadIdentity({ certificateChain: expert.certificateChain, privateKeyPem: privateKey.exportPem() }).party).toBe('hospital-c')
  })
})

describe('a replay guard', () => {
  it('forgets an id once it would be refused as expired, and refuses rather than forgets a fresh one', () => {
    let at = now
    const guard = new ReplayGuard({ maxAgeMs: 1_000, now: () => at, capacity: 2 })
    const remember = (sealedAt: EpochMs): void => guard.rememberOnce({ id: MessageId.parse(crypto.randomUUID()), sealedAt })
    remember(now)
    remember(now + 500)
    expect(problemOf(() => remember(now))).toBe('request/too-many')
    at = now + 1_001
    remember(at)
    expect(guard.size).toBe(2)
  })
})
