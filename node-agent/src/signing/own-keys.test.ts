import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issuePersonCertificate, parseCertificate, parseCsr, verifyDocument } from 'pki'
import { createLog, kekSourceOf, openDatabase, Vault, type Database, type User } from 'service-kit'
import { HospitalId, PersonRequest, Problem, services, type PersonAnswer } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aRegion } from '../../../pki/tests/a-region.ts'
import type { Region } from '../region/region.ts'
import { listKeys, signingMigrations } from './key-store.ts'
import { OwnKeys, type SigningSettings } from './own-keys.ts'
import type { SigningPerson } from './signer.ts'

const C = HospitalId.parse('hospital-c')
const origin = { address: '10.0.0.9', device: 'test' }
const usual: SigningSettings = { by: 'person', unlockedMinutes: 10, withoutCertificate: 'hospital' }

let folder: string
let db: Database
let vault: Vault
let clock: number
let password: string
let region: ReturnType<typeof aRegion>
let isOnline: boolean
let hasNewAuthority: boolean
let asked: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signing-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await db.migrate('signing', signingMigrations)
  await db.run('CREATE TABLE account (id TEXT PRIMARY KEY, disabled INTEGER NOT NULL)')
  await db.run("INSERT INTO account (id, disabled) VALUES ('chen', 0)")
  vault = await Vault.open({ db, kek: kekSourceOf({ keyFile: join(folder, 'vault.kek') }) })
  ;[clock, password, isOnline, hasNewAuthority, asked] = [Date.now(), 'right-Pass-1', true, false, []]
  region = aRegion({ now: clock })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

/** The hub's part: certifies what the hospital asks for. */
function hubAnswer(service: string, body: unknown): PersonAnswer | null {
  if (!isOnline) throw new Problem('region/hub-unreachable')
  asked.push(service)
  if (service === services.personRevoke) return null
  const { csr, userId, name, title } = PersonRequest.parse(body)
  const { publicKeyPem } = parseCsr(csr)
  const subject = { userId, name, title, hospitalId: C, organisation: '澄江省立医院', regionId: region.regionId, publicKeyPem }
  return { certificateChain: [issuePersonCertificate(region.ca, subject, { days: 365, now: clock }), region.ca.certificatePem] }
}

function keys(settings: Partial<SigningSettings> = {}): OwnKeys {
  const place = {
    regionId: region.regionId,
    trust: region.trust(),
    get isConnected() {
      return isOnline
    },
    nameOf: () => '澄江省立医院',
    isOfFormerAuthority: () => hasNewAuthority,
    onConnected: () => undefined,
    line: { request: (_to: string, service: string, body: unknown) => new Promise((resolve) => resolve(hubAnswer(service, body))) },
  }
  return new OwnKeys({
    db,
    vault,
    log: createLog({ name: 'test', level: 'silent' }),
    region: place as unknown as Region,
    hospitalId: C,
    settings: { ...usual, ...settings },
    confirmPassword: async (_username, shown) => {
      if (shown !== password) throw new Problem('access/wrong-credentials')
    },
    now: () => clock,
  })
}

const chen = (over: Partial<User> = {}, sessionId = 's1'): SigningPerson => ({
  user: { id: 'chen', username: 'chen', name: '陈思远', title: '主任医师', roles: [], entitlements: [], authMethod: 'password', ...over },
  sessionId,
})
const text = { opinion: '无出血' }

describe('a doctor’s own key', () => {
  it('signs after the password was shown again, in that session and for a while only', async () => {
    // SEC-11
    const signer = keys()
    await expect(signer.sign(chen(), text)).rejects.toMatchObject({ code: 'signing/password-needed' })
    await expect(signer.unlock(chen(), 'wrong', origin)).rejects.toMatchObject({ code: 'signing/wrong-password' })
    expect(await signer.unlock(chen(), password, origin)).toMatchObject({ by: 'person', secretNeeded: false })
    const signature = await signer.sign(chen(), text)
    expect(verifyDocument(region.trust(), text, signature!, clock).person).toMatchObject({ userId: 'chen', name: '陈思远', title: '主任医师', hospitalId: C })
    await expect(signer.sign(chen({}, 's2'), text)).rejects.toMatchObject({ code: 'signing/password-needed' })
    clock += 10 * 60_000
    await expect(signer.sign(chen(), text)).rejects.toMatchObject({ code: 'signing/password-needed' })
  })

  it('is one key, also when two first signatures are made at the same moment', async () => {
    const signer = keys()
    await Promise.all([1, 2, 3].map(() => signer.unlock(chen(), password, origin)))
    expect(await listKeys(db)).toHaveLength(1)
    expect(await Promise.all([signer.sign(chen(), text), signer.sign(chen(), text)])).toMatchObject([{ signature: expect.any(String) as string }, {}])
    // One wrong password does not stand in the way of the next.
    const tries = await Promise.allSettled([signer.unlock(chen(), 'wrong', origin), signer.unlock(chen(), password, origin)])
    expect(tries.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })

  it('asks for each signature where the hospital wants it so', async () => {
    const signer = keys({ unlockedMinutes: 0 })
    await signer.unlock(chen(), password, origin)
    await signer.sign(chen(), text)
    await expect(signer.sign(chen(), text)).rejects.toMatchObject({ code: 'signing/password-needed' })
  })

  it('lies under the password and under the vault: neither alone opens it, and nothing of it is in the database in clear', async () => {
    const signer = keys()
    await signer.unlock(chen(), password, origin)
    const [row] = await listKeys(db)
    expect(row!.sealedKey).not.toContain('PRIVATE KEY')
    const inner = vault.open(row!.sealedKey, `signing-key/${row!.keyId}`)
    expect(inner).toContain('ENCRYPTED PRIVATE KEY')
    // The same password after a restart opens the same key.
    await keys().unlock(chen(), password, origin)
    expect(await listKeys(db)).toHaveLength(1)
  })

  it('is certified anew under the authority’s new key at the next signature; what it signed before stays genuine', async () => {
    // SEC-11
    const signer = keys()
    await signer.unlock(chen(), password, origin)
    const before = await signer.sign(chen(), text)
    hasNewAuthority = true
    const after = await signer.sign(chen(), text)
    expect(asked).toEqual([services.personCertify, services.personCertify])
    for (const signature of [before!, after!]) expect(verifyDocument(region.trust(), text, signature, clock).person?.userId).toBe('chen')
    // While the region is away the certificate of the former authority does: it counts until its end.
    isOnline = false
    expect(await signer.sign(chen(), text)).toBeDefined()
  })

  it('makes way for a new one when the password was changed; what the former signed stays genuine', async () => {
    const signer = keys()
    await signer.unlock(chen(), password, origin)
    const before = await signer.sign(chen(), text)
    clock += 60_000
    password = 'other-Pass-2'
    await signer.unlock(chen(), password, origin)
    const after = await signer.sign(chen(), text)
    const [now, former] = await listKeys(db)
    expect([now!.endedAt, former!.endReason]).toEqual([null, 'superseded'])
    for (const signature of [before!, after!]) expect(verifyDocument(region.trust(), text, signature, clock).person?.userId).toBe('chen')
    expect(parseCertificate(before!.certificateChain[0]!).serial).not.toBe(parseCertificate(after!.certificateChain[0]!).serial)
  })

  it('of somebody who signs in elsewhere has a password of its own, which locks after five wrong ones', async () => {
    const signer = keys()
    const person = chen({ authMethod: 'oidc' })
    expect(await signer.state(person)).toMatchObject({ secretNeeded: true, secretIsNew: true })
    await expect(signer.unlock(person, 'short', origin)).rejects.toMatchObject({ code: 'access/password-weak' })
    await signer.unlock(person, 'for-signing-only', origin)
    expect(await signer.sign(person, text)).toBeDefined()
    for (let guess = 0; guess < 5; guess++) await expect(signer.unlock(person, `guess-${guess}-xx`, origin)).rejects.toMatchObject({ code: 'signing/wrong-password' })
    await expect(signer.unlock(person, 'for-signing-only', origin)).rejects.toMatchObject({ code: 'access/locked' })
    clock += 15 * 60_000 + 1
    expect(await signer.unlock(person, 'for-signing-only', origin)).toMatchObject({ secretNeeded: false })
  })

  it('is certified anew when the doctor’s title has changed', async () => {
    const signer = keys()
    await signer.unlock(chen(), password, origin)
    await signer.sign(chen(), text)
    const promoted = chen({ title: '教授' })
    const signature = await signer.sign(promoted, text)
    expect(verifyDocument(region.trust(), text, signature!, clock).person?.title).toBe('教授')
    expect(asked).toEqual([services.personCertify, services.personCertify])
  })

  it('without a certificate lets the hospital sign, or nobody, as the hospital has set', async () => {
    isOnline = false
    const lenient = keys()
    await lenient.unlock(chen(), password, origin)
    expect(await lenient.sign(chen(), text)).toBeUndefined()
    const strict = keys({ withoutCertificate: 'refuse' })
    await strict.unlock(chen(), password, origin)
    await expect(strict.sign(chen(), text)).rejects.toMatchObject({ code: 'signing/no-certificate' })
    isOnline = true
    expect(await strict.sign(chen(), text)).toBeDefined()
  })

  it('ends with the account, at once here and at the region as soon as it can be told', async () => {
    // SEC-01
    const signer = keys()
    await signer.unlock(chen(), password, origin)
    await db.run("UPDATE account SET disabled = 1 WHERE id = 'chen'")
    isOnline = false
    await signer.endOfDisabled()
    await expect(signer.sign(chen(), text)).rejects.toMatchObject({ code: 'signing/password-needed' })
    expect((await listKeys(db))[0]!.endReason).toBe('affiliation-changed')
    isOnline = true
    await signer.tellEnds()
    await signer.tellEnds()
    expect(asked.filter((service) => service === services.personRevoke)).toHaveLength(1)
  })
})
