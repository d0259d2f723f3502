import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createCsr, generateSm2KeyPair, loadPrivateKey, parseCertificate, sm2Sign, type Sm2PrivateKey } from 'pki'
import type { AuditTrail, Database, Log, Vault } from 'service-kit'
import { canonicalJson, HUB, isProblem, parseWith, PersonAnswer, Problem, services, type DetachedSignature, type EpochMs, type HospitalId, type RegionId, type RevocationReasonName, type SigningKeyState } from 'specs'
import { isRenewalDue } from '../certificate/renewal.ts'
import type { Region } from '../region/region.ts'
import { countFailure, currentKey, endKey, forgetFailures, insertKey, keysOfDisabledAccounts, markTold, saveCertificate, untoldEnds, type SigningKeyRow } from './key-store.ts'
import type { DocumentSigner, SigningPerson } from './signer.ts'

export interface SigningSettings {
  /** `person`: doctors sign with keys of their own; `hospital`: the hospital signs and names the doctor. */
  readonly by: 'person' | 'hospital'
  /** How long one entry of the password is good for, in this session. 0: for one signature. */
  readonly unlockedMinutes: number
  /** While no certificate can be had because the region is out of reach: sign as the hospital, or not at all. */
  readonly withoutCertificate: 'hospital' | 'refuse'
}

export interface OwnKeysParts {
  readonly db: Database
  readonly log: Log
  readonly region: Region
  readonly vault: Pick<Vault, 'seal' | 'open'>
  readonly audit?: Pick<AuditTrail, 'within'> | undefined
  readonly hospitalId: HospitalId
  readonly settings: SigningSettings
  /** @throws {Problem} access/wrong-credentials, access/locked */
  readonly confirmPassword: (username: string, password: string, origin: { address: string; device: string }) => Promise<void>
  readonly now?: () => EpochMs
}

const FAILURES = { most: 5, lockMs: 15 * 60_000 }
const SECRET_MIN_LENGTH = 8
const CALL_TIMEOUT_MS = 5_000
/** With "once per signature": time for the signature that the password was entered for. */
const ONE_SIGNATURE_MS = 60_000

interface Unlocked {
  readonly userId: string
  readonly keyId: string
  readonly key: Sm2PrivateKey
  readonly until: EpochMs
}

/**
 * Doctors' SM2 keys, made at the hospital and kept there: encrypted under the owner's password and sealed by the vault, so that
 * whoever administers the machine cannot sign as a doctor. The region's authority certifies person, title and hospital.
 */
export class OwnKeys implements DocumentSigner {
  readonly #parts: OwnKeysParts
  readonly #now: () => EpochMs
  /** By session: a signature belongs to the person who sits there now. */
  readonly #unlocked = new Map<string, Unlocked>()
  readonly #unlocking = new Map<string, Promise<unknown>>()
  #telling: Promise<void> = Promise.resolve()

  constructor(parts: OwnKeysParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    parts.region.onConnected(() => void this.tellEnds())
  }

  async state(person: SigningPerson): Promise<SigningKeyState> {
    const { settings, region, db } = this.#parts
    const { regionId } = region
    if (settings.by === 'hospital' || regionId === undefined) return nothing('hospital')
    const held = await currentKey(db, person.user.id, regionId)
    const unlocked = this.#unlockedFor(person, held)
    return {
      by: 'person',
      secretNeeded: unlocked === undefined,
      secretIsNew: held === undefined && !hasPassword(person),
      unlockedUntil: unlocked?.until ?? null,
      certificate: shownCertificate(held),
    }
  }

  /** One after the other for each person: two first signatures at the same moment make one key, not two that take each other's place. */
  unlock(person: SigningPerson, secret: string, origin: { address: string; device: string }): Promise<SigningKeyState> {
    const { id } = person.user
    const before = this.#unlocking.get(id) ?? Promise.resolve()
    const mine = before.catch(() => undefined).then(() => this.#unlock(person, secret, origin))
    this.#unlocking.set(id, mine)
    const forget = () => void (this.#unlocking.get(id) === mine && this.#unlocking.delete(id))
    mine.then(forget, forget)
    return mine
  }

  async #unlock(person: SigningPerson, secret: string, origin: { address: string; device: string }): Promise<SigningKeyState> {
    const { db, settings, region } = this.#parts
    const { regionId } = region
    if (settings.by === 'hospital' || regionId === undefined) return nothing('hospital')
    const held = await currentKey(db, person.user.id, regionId)
    await this.#confirm(person, held, secret, origin)
    const opened = held && this.#open(held, secret)
    // The password was changed since: nobody can open the former key any more, so it makes way for a new one.
    const { row, key } = held && opened ? { row: held, key: opened } : await this.#make(person, regionId, secret, held)
    if (row.failures > 0) await forgetFailures(db, row.keyId)
    await this.#certify(person, row, key).catch((error: unknown) => {
      if (!isProblem(error)) throw error
      this.#parts.log.info({ code: error.code }, 'no certificate for a signing key now; asked again at the next signature')
    })
    const until = this.#now() + (settings.unlockedMinutes * 60_000 || ONE_SIGNATURE_MS)
    this.#unlocked.set(person.sessionId, { userId: person.user.id, keyId: row.keyId, key, until })
    return this.state(person)
  }

  async sign(person: SigningPerson, document: unknown): Promise<DetachedSignature | undefined> {
    const { db, settings, region } = this.#parts
    const { regionId } = region
    if (settings.by === 'hospital' || regionId === undefined) return undefined
    const held = await currentKey(db, person.user.id, regionId)
    const unlocked = this.#unlockedFor(person, held)
    if (!held || !unlocked) throw new Problem('signing/password-needed')
    const chain = await this.#certify(person, held, unlocked.key).catch((error: unknown) => {
      if (isProblem(error) && settings.withoutCertificate === 'hospital') return undefined
      throw isProblem(error) ? new Problem('signing/no-certificate', { reason: error.code }, { cause: error }) : error
    })
    if (settings.unlockedMinutes === 0) this.#unlocked.delete(person.sessionId)
    if (!chain) return undefined
    const signature = sm2Sign(unlocked.key, Buffer.from(canonicalJson(document), 'utf8'))
    return { signature: Buffer.from(signature).toString('base64'), certificateChain: [...chain] }
  }

  lock(sessionId: string): void {
    this.#unlocked.delete(sessionId)
  }

  /** The owner or an administrator ends a key; what it signed stays signed. @returns whether it was in use. */
  async end(keyId: string, reason: RevocationReasonName): Promise<boolean> {
    const { db, audit } = this.#parts
    const ended = await db.write(async (tx) => {
      if (!(await endKey(tx, keyId, reason, this.#now()))) return false
      await audit?.within(tx, { action: 'certificate.revoke', outcome: 'success', object: { type: 'key', id: keyId }, reason })
      return true
    })
    for (const [sessionId, unlocked] of this.#unlocked) if (unlocked.keyId === keyId) this.#unlocked.delete(sessionId)
    if (ended) void this.tellEnds()
    return ended
  }

  /** Called when accounts have changed: whoever may not sign in may not sign. */
  async endOfDisabled(): Promise<void> {
    for (const keyId of await keysOfDisabledAccounts(this.#parts.db)) await this.end(keyId, 'affiliation-changed')
  }

  /** The region revokes what has ended here; what cannot be told now is told at the next connection. */
  tellEnds(): Promise<void> {
    const { db, region, log } = this.#parts
    this.#telling = this.#telling.then(async () => {
      const { regionId } = region
      if (regionId === undefined || !region.isConnected) return
      for (const { keyId, serial, reason } of await untoldEnds(db, regionId)) {
        try {
          await region.line.request(HUB, services.personRevoke, { serial, reason }, { timeoutMs: CALL_TIMEOUT_MS })
          await markTold(db, keyId)
        } catch (error) {
          log.warn({ err: error, serial }, 'the end of a signing key is not told yet')
          return
        }
      }
    })
    return this.#telling
  }

  async stop(): Promise<void> {
    await this.#telling
    this.#unlocked.clear()
  }

  #unlockedFor({ user, sessionId }: SigningPerson, held: SigningKeyRow | undefined): Unlocked | undefined {
    const unlocked = this.#unlocked.get(sessionId)
    if (!unlocked) return undefined
    if (unlocked.until > this.#now() && unlocked.userId === user.id && unlocked.keyId === held?.keyId) return unlocked
    this.#unlocked.delete(sessionId)
    return undefined
  }

  /** Whose password is here shows it; others have a secret of their own for signing, which only their key knows. */
  async #confirm(person: SigningPerson, held: SigningKeyRow | undefined, secret: string, origin: { address: string; device: string }): Promise<void> {
    if (hasPassword(person)) {
      await this.#parts.confirmPassword(person.user.username, secret, origin).catch((error: unknown) => {
        // 401 would sign the page out.
        throw isProblem(error) && error.code === 'access/wrong-credentials' ? new Problem('signing/wrong-password', {}, { cause: error }) : error
      })
      return
    }
    if (!held) {
      if (secret.length < SECRET_MIN_LENGTH) throw new Problem('access/password-weak', { faults: ['too-short'], minLength: SECRET_MIN_LENGTH })
      return
    }
    if (held.lockedUntil > this.#now()) throw new Problem('access/locked', { retryAfterSeconds: Math.ceil((held.lockedUntil - this.#now()) / 1_000) })
    if (this.#open(held, secret)) return
    await this.#parts.db.write((tx) => countFailure(tx, held, FAILURES, this.#now()))
    throw new Problem('signing/wrong-password')
  }

  #open({ keyId, sealedKey }: SigningKeyRow, secret: string): Sm2PrivateKey | undefined {
    try {
      return loadPrivateKey(this.#parts.vault.open(sealedKey, contextOf(keyId)), secret)
    } catch (error) {
      if (isProblem(error) && error.code === 'certificate/wrong-passphrase') return undefined
      throw error
    }
  }

  async #make({ user }: SigningPerson, regionId: RegionId, secret: string, former: SigningKeyRow | undefined) {
    const { db, vault, audit } = this.#parts
    const key = loadPrivateKey(generateSm2KeyPair().privateKeyPem)
    const keyId = randomUUID()
    const row = { keyId, userId: user.id, regionId, sealedKey: vault.seal(key.exportPem(secret), contextOf(keyId)), createdAt: this.#now(), name: user.name, title: user.title }
    await db.write(async (tx) => {
      if (former) await endKey(tx, former.keyId, 'superseded', this.#now())
      await insertKey(tx, row)
      await audit?.within(tx, { action: former ? 'key.rotate' : 'certificate.issue', outcome: 'success', object: { type: 'key', id: keyId }, facts: { owner: user.id } })
    })
    const made: SigningKeyRow = { ...row, certificateChain: null, serial: null, expires: null, endedAt: null, endReason: null, failures: 0, lockedUntil: 0 }
    return { row: made, key }
  }

  /** A certificate that is good now and names the person as they are called now. @throws {Problem} region/hub-unreachable, certificate/… */
  async #certify({ user }: SigningPerson, row: SigningKeyRow, key: Sm2PrivateKey): Promise<readonly string[]> {
    const { region, db, hospitalId } = this.#parts
    const { trust } = region
    if (!trust) throw new Problem('region/not-joined')
    const held = row.certificateChain
    const isGood = held !== null && row.name === user.name && row.title === user.title && isCertified(held, this.#now())
    const certificate = isGood && parseCertificate(held[0]!)
    if (certificate && !isRenewalDue(certificate, this.#now()) && !region.isOfFormerAuthority(certificate)) return held
    try {
      const csr = createCsr({ party: hospitalId, organisation: region.nameOf(hospitalId), regionId: row.regionId, privateKeyPem: key.exportPem() })
      const wish = { csr, userId: user.id, name: user.name, title: user.title }
      const answer = await region.line.request(HUB, services.personCertify, wish, { timeoutMs: CALL_TIMEOUT_MS })
      const { certificateChain } = parseWith(PersonAnswer, answer, services.personCertify)
      const issued = trust.verifyChain(certificateChain, this.#now())
      const isOurs = issued.person?.userId === user.id && issued.person.hospitalId === hospitalId && issued.publicKey.equals(key.publicKey)
      if (!isOurs) throw new Problem('certificate/invalid', { reason: 'person' })
      const { serial, notAfter: expires } = issued
      await db.write((tx) => saveCertificate(tx, row.keyId, { chain: certificateChain, serial, expires, name: user.name, title: user.title }))
      return certificateChain
    } catch (error) {
      if (isGood && isProblem(error)) return held // there is time left to renew it
      throw error
    }
  }
}

const contextOf = (keyId: string) => `signing-key/${keyId}`
const hasPassword = ({ user }: SigningPerson) => user.authMethod.startsWith('password')

function isCertified([leaf]: readonly string[], now: EpochMs): boolean {
  if (leaf === undefined) return false
  const { notBefore, notAfter } = parseCertificate(leaf)
  return notBefore <= now && now < notAfter
}

function shownCertificate(row: SigningKeyRow | undefined): SigningKeyState['certificate'] {
  const [leaf] = row?.certificateChain ?? []
  if (leaf === undefined) return null
  const { serial, subject, notBefore, notAfter } = parseCertificate(leaf)
  return { serial, subject: [subject.cn, subject.title, subject.o].filter(Boolean).join(' '), notBefore, expires: notAfter }
}

const nothing = (by: 'hospital'): SigningKeyState => ({ by, secretNeeded: false, secretIsNew: false, unlockedUntil: null, certificate: null })
