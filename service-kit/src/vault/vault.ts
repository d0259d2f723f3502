import { Buffer } from 'node:buffer'
import { GCM_NONCE_BYTES, hmacSm3, randomBytes, Sm4Gcm } from 'pki'
import { Problem } from 'specs'
import type { Database, Migration, Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Kek, KekSource } from './kek.ts'

export const vaultMigrations: readonly Migration[] = [
  {
    name: '0001-vault-key',
    up: [
      `CREATE TABLE vault_key (kid INTEGER PRIMARY KEY, purpose TEXT NOT NULL, sealed_key TEXT NOT NULL, kek_id TEXT NOT NULL,
        active_from BIGINT NOT NULL, created_at BIGINT NOT NULL)`,
    ],
  },
]

/** `seal`: data keys, one after another; `index`: the key of blind indexes, one for good. */
type KeyPurpose = 'seal' | 'index'

interface KeyRow {
  readonly kid: number
  readonly purpose: KeyPurpose
  readonly sealedKey: string
  readonly kekId: string
  readonly activeFrom: number
}

interface DataKey {
  readonly kid: number
  readonly activeFrom: number
  readonly cipher: Sm4Gcm
}

export interface VaultOptions {
  readonly db: Database
  readonly kek: KekSource
  readonly log?: Log
  readonly now?: () => number
  /** Other processes on the same database must learn of a new key before anything is sealed with it. */
  readonly keySpreadMs?: number
}

const FORM = 'v1'
/** What this vault has sealed begins so; nothing else a column may have held before does. */
export const isSealed = (text: string): boolean => text.startsWith(`${FORM}.`)

/**
 * Keeps values unreadable at rest (GB/T 22239 8.1.4.8 b): SM4-GCM under data keys that lie, themselves sealed, in the database; the key
 * over them comes from outside. Whoever steals database, backup or disk without that key has nothing.
 */
export class Vault {
  readonly #options: VaultOptions
  readonly #now: () => number
  #kek!: Kek
  #keys = new Map<number, DataKey>()
  #indexKey!: Uint8Array
  #timer: ReturnType<typeof setInterval> | undefined

  private constructor(options: VaultOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  /**
   * @throws An Error for the administrator when sealed data exist and the key is missing or another one: a new key would make them
   *   unreadable for good, so none is made.
   */
  static async open(options: VaultOptions): Promise<Vault> {
    const vault = new Vault(options)
    await options.db.migrate('vault', vaultMigrations)
    await vault.#unlock()
    // Another process may change keys.
    if (options.db.dialect === 'postgres') {
      vault.#timer = setInterval(() => void vault.refresh(), 10_000)
      vault.#timer.unref()
    }
    return vault
  }

  /** What other processes have changed: data keys, or the key over them, which is then read anew. Asked regularly where there may be others. */
  async refresh(): Promise<void> {
    try {
      await this.#load().catch(() => this.#unlock())
    } catch (error) {
      this.#options.log?.error({ err: error }, 'the keys of the data at rest were not read anew; those known here go on')
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** @param context where the value belongs, for example `exam/<id>/phone`: elsewhere it does not open. */
  seal(value: string | Uint8Array, context: string): string {
    const { kid, cipher } = this.#current()
    const nonce = randomBytes(GCM_NONCE_BYTES)
    const plain = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    return `${FORM}.${kid}.${Buffer.concat([nonce, cipher.seal(nonce, plain, beside(kid, context))]).toString('base64url')}`
  }

  /** @throws {Problem} vault/unreadable */
  open(sealed: string, context: string): string {
    return Buffer.from(this.openBytes(sealed, context)).toString('utf8')
  }

  /** @throws {Problem} vault/unreadable */
  openBytes(sealed: string, context: string): Uint8Array {
    const [form, kidText, content, ...rest] = sealed.split('.')
    const kid = Number(kidText)
    const key = form === FORM && rest.length === 0 ? this.#keys.get(kid) : undefined
    if (key === undefined || content === undefined) throw new Problem('vault/unreadable', { context, reason: 'key' })
    const bytes = Buffer.from(content, 'base64url')
    const plain = key.cipher.open(bytes.subarray(0, GCM_NONCE_BYTES), bytes.subarray(GCM_NONCE_BYTES), beside(kid, context))
    if (plain === undefined) throw new Problem('vault/unreadable', { context, reason: 'changed' })
    return plain
  }

  /** Finds equal values without telling them (HMAC-SM3, cut to 128 bits). @param context the kind of value: equal ones of two kinds differ. */
  blindIndex(text: string, context: string): string {
    return Buffer.from(hmacSm3(this.#indexKey, Buffer.from(`${context}\0${text}`, 'utf8')).subarray(0, 16)).toString('base64url')
  }

  /** Sealed under the key of today, so that re-sealing may pass it over. */
  isCurrent(sealed: string): boolean {
    return sealed.startsWith(`${FORM}.${this.#current().kid}.`)
  }

  /** Until the newest data key is the one of today, ms; 0 when it is. */
  get newKeyWaitsMs(): number {
    const newest = [...this.#keys.values()].reduce((latest, { activeFrom }) => Math.max(latest, activeFrom), 0)
    return Math.max(0, newest - this.#now())
  }

  /** Whether `renewKek` can do anything: elsewhere the key is changed where it is kept. */
  get holdsKek(): boolean {
    return this.#options.kek.renew !== undefined
  }

  /** What an administrator may see of the keys. */
  async status(): Promise<{ kekId: string; place: string; currentKid: number; keys: { kid: number; createdAt: number; activeFrom: number }[] }> {
    const keys = await this.#options.db.all<{ kid: number; createdAt: number; activeFrom: number }>(
      `SELECT kid, created_at AS "createdAt", active_from AS "activeFrom" FROM vault_key WHERE purpose = 'seal' ORDER BY kid`,
    )
    return { kekId: this.#kek.id, place: this.#options.kek.place, currentKid: this.#current().kid, keys }
  }

  /** A new data key for what is sealed from now on; what was sealed before stays readable. @returns its number. */
  async rotate(): Promise<number> {
    const { db, keySpreadMs = db.dialect === 'postgres' ? 30_000 : 0 } = this.#options
    const kid = await db.write((tx) => this.#addKey(tx, 'seal', this.#now() + keySpreadMs))
    await this.#load()
    return kid
  }

  /** Changes the key over the keys. @throws {Problem} vault/kek-elsewhere where the key is not ours to make. */
  async renewKek(): Promise<string> {
    const { renew, place } = this.#options.kek
    if (renew === undefined) throw new Problem('vault/kek-elsewhere', { place })
    await renew.add() // first the file: whatever happens now, one of its keys opens the table
    await this.#unlock()
    await renew.forget()
    return this.#kek.id
  }

  #current(): DataKey {
    let current: DataKey | undefined
    const now = this.#now()
    for (const key of this.#keys.values()) if (key.activeFrom <= now && (current === undefined || key.kid > current.kid)) current = key
    if (current === undefined) throw new Problem('vault/unreadable', { reason: 'no key' })
    return current
  }

  async #unlock(): Promise<void> {
    const { db, kek: source } = this.#options
    const rows = await this.#rows()
    let offered = await source.read()
    if (rows.length === 0 && offered.length === 0 && source.create) {
      await source.create()
      offered = await source.read()
    }
    if (offered.length === 0) {
      const missing = `The vault key is missing: ${source.place}.`
      throw new Error(rows.length === 0 ? `${missing} Put a key of 64 hexadecimal digits there.` : `${missing} Data in this database are sealed under key ${rows[0]!.kekId}; put that key back. No new key was made.`)
    }
    this.#kek = offered[0]!
    const wrong = rows.find(({ kekId }) => !offered.some(({ id }) => id === kekId))
    if (wrong) throw new Error(`The vault key at ${source.place} is another one (${this.#kek.id}): data in this database are sealed under key ${wrong.kekId}. Put that key back; nothing was changed.`)
    await db.write(async (tx) => {
      // Seen again inside the transaction: two processes may start together.
      const held = await this.#rows(tx)
      if (!held.some(({ purpose }) => purpose === 'seal')) await this.#addKey(tx, 'seal', 0)
      if (!held.some(({ purpose }) => purpose === 'index')) await this.#addKey(tx, 'index', 0)
      for (const row of held.filter(({ kekId }) => kekId !== this.#kek.id)) {
        const key = opened(row, offered)
        await tx.run('UPDATE vault_key SET sealed_key = $2, kek_id = $3 WHERE kid = $1', [row.kid, wrapped(this.#kek, row.kid, key), this.#kek.id])
      }
    })
    await this.#load(offered)
  }

  async #load(offered: readonly Kek[] = [this.#kek]): Promise<void> {
    const keys = new Map<number, DataKey>()
    for (const row of await this.#rows()) {
      const known = this.#keys.get(row.kid)
      if (row.purpose === 'index') this.#indexKey = opened(row, offered)
      else keys.set(row.kid, { kid: row.kid, activeFrom: row.activeFrom, cipher: known?.cipher ?? new Sm4Gcm(opened(row, offered).subarray(0, 16)) })
    }
    this.#keys = keys
  }

  #rows(queries: Pick<Database, 'all'> = this.#options.db): Promise<KeyRow[]> {
    return queries.all<KeyRow>('SELECT kid, purpose, sealed_key AS "sealedKey", kek_id AS "kekId", active_from AS "activeFrom" FROM vault_key ORDER BY kid')
  }

  async #addKey(tx: Transaction, purpose: KeyPurpose, activeFrom: number): Promise<number> {
    const { last } = (await tx.get<{ last: number }>('SELECT COALESCE(MAX(kid), 0) AS "last" FROM vault_key'))!
    const kid = last + 1
    await tx.run('INSERT INTO vault_key (kid, purpose, sealed_key, kek_id, active_from, created_at) VALUES ($1, $2, $3, $4, $5, $6)', [
      kid, purpose, wrapped(this.#kek, kid, randomBytes(32)), this.#kek.id, activeFrom, this.#now(),
    ]) // prettier-ignore
    return kid
  }
}

const beside = (kid: number, context: string) => Buffer.from(`${FORM}\0${kid}\0${context}`, 'utf8')
const cipherOf = (kek: Kek) => new Sm4Gcm(hmacSm3(kek.bytes, Buffer.from('lianpian vault data keys')).subarray(0, 16))

function wrapped(kek: Kek, kid: number, key: Uint8Array): string {
  const nonce = randomBytes(GCM_NONCE_BYTES)
  return Buffer.concat([nonce, cipherOf(kek).seal(nonce, key, beside(kid, 'key'))]).toString('base64url')
}

function opened(row: KeyRow, offered: readonly Kek[]): Uint8Array {
  const kek = offered.find(({ id }) => id === row.kekId)
  const bytes = Buffer.from(row.sealedKey, 'base64url')
  const key = kek && cipherOf(kek).open(bytes.subarray(0, GCM_NONCE_BYTES), bytes.subarray(GCM_NONCE_BYTES), beside(row.kid, 'key'))
  if (key === undefined) throw new Error(`vault key ${row.kid} of the database cannot be opened: it was changed, or the vault key is another one`)
  return key
}
