import { randomUUID } from 'node:crypto'
import { isRequestSignature, loadPublicKey, parseCertificate, type Sm2PublicKey } from 'pki'
import { parseSignedRequest, Problem, SIGNED_REQUEST_VALID_MS } from 'specs'
import type { Headers, SignedIn } from '../../http/user.ts'
import { change, type Ground } from '../ground.ts'
import { assignmentsOf, type RoleAssignment } from '../role/store.ts'
import { readUser } from '../session/sessions.ts'
import { insertAccount, isUsable, listAccounts, readAccount } from '../store.ts'

export interface ServiceKey {
  readonly id: string
  readonly description: string
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string
  readonly expiresAt: number | null
  readonly createdAt: number
  readonly lastUsedAt: number | null
}

export interface ServiceAccount {
  readonly id: string
  readonly username: string
  readonly name: string
  readonly disabled: boolean
  readonly validUntil: number | null
  readonly roles: readonly RoleAssignment[]
  readonly keys: readonly ServiceKey[]
}

const KEY_COLUMNS = 'id, account_id AS "accountId", description, public_key AS "publicKey", expires_at AS "expiresAt", created_at AS "createdAt", last_used_at AS "lastUsedAt"'
/** The time of the last use is for people: it need not be exact. */
const USE_NOTED_EVERY_MS = 60_000

/** Accounts of programs: no password, requests signed with SM2 keys; rights and scopes as people have them. */
export class ServiceAccounts {
  readonly #ground: Ground
  readonly #keys = new Map<string, Sm2PublicKey>()

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async list(): Promise<ServiceAccount[]> {
    const services = (await listAccounts(this.#ground.db)).filter(({ kind }) => kind === 'service')
    return Promise.all(services.map(({ id }) => this.read(id)))
  }

  async read(id: string): Promise<ServiceAccount> {
    const { db } = this.#ground
    const { kind, username, name, disabled, validUntil } = await readAccount(db, id)
    if (kind !== 'service') throw new Problem('request/not-found', { what: 'service account' })
    const keys = await db.all<ServiceKey & { accountId: string }>(`SELECT ${KEY_COLUMNS} FROM service_key WHERE account_id = $1 ORDER BY created_at, id`, [id])
    return { id, username, name, disabled, validUntil, roles: await assignmentsOf(db, 'account', id), keys: keys.map(({ accountId: _, ...key }) => key) }
  }

  /** @throws {Problem} request/conflict when the name is taken. */
  async create({ username, name, validUntil }: { username: string; name: string; validUntil: number | null }): Promise<ServiceAccount> {
    const { now } = this.#ground
    const id = await change(this.#ground, async (tx) => {
      const made = await insertAccount(tx, { kind: 'service', username, name, validUntil, password: '' }, now())
      return { result: made, events: [event(made, { created: username })] }
    })
    return this.read(id)
  }

  /** @param pem Public key or certificate (SM2). @throws {Problem} certificate/invalid */
  async addKey(accountId: string, { pem, description, expiresAt }: { pem: string; description: string; expiresAt: number | null }): Promise<ServiceAccount> {
    const { now } = this.#ground
    await this.read(accountId)
    const certificate = pem.includes('BEGIN CERTIFICATE') ? parseCertificate(pem) : undefined
    const publicKey = (certificate?.publicKey ?? loadPublicKey(pem)).toPem()
    const id = `key-${randomUUID()}`
    const until = Math.min(expiresAt ?? Infinity, certificate?.notAfter ?? Infinity)
    await change(this.#ground, async (tx) => {
      await tx.run('INSERT INTO service_key (id, account_id, public_key, description, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6)', [
        id,
        accountId,
        publicKey,
        description,
        Number.isFinite(until) ? until : null,
        now(),
      ])
      return { result: undefined, events: [event(accountId, { addedKey: id })] }
    })
    return this.read(accountId)
  }

  async removeKey(accountId: string, keyId: string): Promise<void> {
    await change(this.#ground, async (tx) => {
      const removed = await tx.run('DELETE FROM service_key WHERE id = $1 AND account_id = $2', [keyId, accountId])
      if (removed === 0) throw new Problem('request/not-found', { what: 'key' })
      return { result: undefined, events: [event(accountId, { removedKey: keyId })] }
    })
  }

  /**
   * Whose request it is. The digest of the body is part of what is signed; the face holds the body against it while it is read.
   * @returns undefined when the header is of another scheme.
   * @throws {Problem} access/request-signature
   */
  async signedIn(authorization: string, request: Headers): Promise<SignedIn | undefined> {
    if (!/^lianpian-sm2 /i.test(authorization)) return undefined
    const { db, now, party, log } = this.#ground
    const refused = (reason: string) => new Problem('access/request-signature', { reason })
    const presented = parseSignedRequest(authorization)
    if (presented === undefined) throw refused('form')
    const at = now()
    if (Math.abs(at - presented.timestamp) > SIGNED_REQUEST_VALID_MS) throw refused('timestamp')
    const key = await db.get<ServiceKey & { accountId: string }>(`SELECT ${KEY_COLUMNS} FROM service_key WHERE id = $1`, [presented.keyId])
    const called = { audience: party, method: request.method ?? '', target: request.originalUrl ?? '' }
    if (key === undefined || (key.expiresAt !== null && key.expiresAt <= at)) throw refused('key')
    if (!isRequestSignature(presented, called, this.#keyOf(key.publicKey))) throw refused('signature')
    const account = await readAccount(db, key.accountId)
    if (!isUsable(account, at)) throw refused('account')
    // Last, so that a forged request cannot use up the nonce of a genuine one.
    const fresh = await db.run('INSERT INTO service_nonce (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING', [
      `${key.id} ${presented.nonce}`,
      presented.timestamp + SIGNED_REQUEST_VALID_MS + 1_000,
    ])
    if (fresh === 0) throw refused('replayed')
    if (at - (key.lastUsedAt ?? 0) > USE_NOTED_EVERY_MS) {
      db.run('UPDATE service_key SET last_used_at = $1 WHERE id = $2', [at, key.id]).catch((error: unknown) => log.warn({ err: error }, 'the use of a key was not noted'))
      db.run('UPDATE account SET last_used_at = $1 WHERE id = $2', [at, account.id]).catch((error: unknown) => log.warn({ err: error }, 'the use of an account was not noted'))
    }
    const user = await readUser(db, account, 'service')
    return { user, sessionId: `${key.id}`, by: 'signature', strong: true }
  }

  #keyOf(pem: string): Sm2PublicKey {
    const known = this.#keys.get(pem)
    if (known !== undefined) return known
    const loaded = loadPublicKey(pem)
    this.#keys.set(pem, loaded)
    return loaded
  }

  /** Nonces whose requests are stale anyway. */
  async sweep(): Promise<void> {
    await this.#ground.db.run('DELETE FROM service_nonce WHERE expires_at < $1', [this.#ground.now()])
  }
}

const event = (id: string, facts: Record<string, unknown>) =>
  ({ action: 'account.service', outcome: 'success', object: { type: 'account', id }, facts }) as const
