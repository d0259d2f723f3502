import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Problem } from 'specs'
import type { User } from '../../http/user.ts'
import { change, type Ground } from '../ground.ts'
import { readAccount } from '../store.ts'
import { Totp } from './totp.ts'
import { WebAuthn, type WebAuthnAddress, type WebAuthnAnswer } from './webauthn.ts'

export type FactorKind = 'totp' | 'webauthn' | 'recovery'

/** One of what a person may show; a recovery code works once, instead of a device that is lost. */
export type Proof = { readonly totp: string } | { readonly webauthn: WebAuthnAnswer } | { readonly recoveryCode: string }

export interface Factor {
  readonly id: string
  readonly kind: 'totp' | 'webauthn'
  /** What the person calls it: 手机, UKey … */
  readonly name: string
  readonly createdAt: number
  readonly lastUsedAt: number | null
}

const RECOVERY_CODES = 10
/** Base 32 without characters that look alike (Crockford). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const digestOf = (code: string) =>
  createHash('sha256')
    .update(code.toUpperCase().replace(/[^0-9A-Z]/g, ''))
    .digest('base64url')

/** Second factors of accounts (GB/T 22239-2019 8.1.4.1 d): one-time codes, security keys, recovery codes. */
export class SecondFactors {
  readonly totp: Totp
  readonly webauthn: WebAuthn
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
    this.totp = new Totp(ground)
    this.webauthn = new WebAuthn(ground)
  }

  list(accountId: string): Promise<Factor[]> {
    return this.#ground.db.all<Factor>(
      'SELECT id, kind, name, created_at AS "createdAt", last_used_at AS "lastUsedAt" FROM second_factor WHERE account_id = $1 ORDER BY created_at, id',
      [accountId],
    )
  }

  /** What the account may show; nothing when it has no second factor. */
  async kindsOf(accountId: string): Promise<FactorKind[]> {
    const kinds = new Set((await this.list(accountId)).map(({ kind }) => kind))
    if (kinds.size === 0) return []
    return [...(['totp', 'webauthn'] as const).filter((kind) => kinds.has(kind)), ...((await this.recoveryCodesLeft(accountId)) > 0 ? (['recovery'] as const) : [])]
  }

  async recoveryCodesLeft(accountId: string): Promise<number> {
    return (await this.#ground.db.get<{ left: number }>('SELECT COUNT(*) AS "left" FROM recovery_code WHERE account_id = $1', [accountId]))?.left ?? 0
  }

  /** @returns Which kind it was. @throws {Problem} access/second-factor-wrong */
  async use(accountId: string, proof: Proof, address: WebAuthnAddress & { challenge: string | undefined }): Promise<FactorKind> {
    if ('totp' in proof) {
      await this.totp.use(accountId, proof.totp)
      return 'totp'
    }
    if ('webauthn' in proof) {
      await this.webauthn.use(accountId, proof.webauthn, address)
      return 'webauthn'
    }
    const spent = await this.#ground.db.run('DELETE FROM recovery_code WHERE digest = $1 AND account_id = $2', [digestOf(proof.recoveryCode), accountId])
    if (spent === 0) throw new Problem('access/second-factor-wrong')
    return 'recovery'
  }

  /**
   * Keeps a factor whose first use has been seen. @returns Recovery codes, shown this once, when it is the first factor.
   */
  async add(user: User, factor: { kind: Factor['kind']; name: string; data: string; usedStep: number }): Promise<{ id: string; recoveryCodes?: string[] }> {
    const id = randomUUID()
    const first = (await this.list(user.id)).length === 0
    const recoveryCodes = await change(this.#ground, async (tx) => {
      await tx.run('INSERT INTO second_factor (id, account_id, kind, name, data, used_step, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
        id,
        user.id,
        factor.kind,
        factor.name,
        this.#ground.secrets.seal(factor.data, `second-factor/${user.id}`),
        factor.usedStep,
        this.#ground.now(),
      ])
      const codes = first ? await this.#writeCodes(tx, user.id) : undefined
      return { result: codes, events: [this.#event(user.id, { added: factor.kind })] }
    })
    return { id, ...(recoveryCodes && { recoveryCodes }) }
  }

  /** Ten new recovery codes; the former ones are worth nothing any more. */
  renewRecoveryCodes(user: User): Promise<string[]> {
    return change(this.#ground, async (tx) => ({ result: await this.#writeCodes(tx, user.id), events: [this.#event(user.id, { renewed: 'recovery' })] }))
  }

  async #writeCodes(tx: { run(sql: string, params: string[]): Promise<number> }, accountId: string): Promise<string[]> {
    await tx.run('DELETE FROM recovery_code WHERE account_id = $1', [accountId])
    const codes = Array.from({ length: RECOVERY_CODES }, newCode)
    for (const code of codes) await tx.run('INSERT INTO recovery_code (digest, account_id) VALUES ($1, $2)', [digestOf(code), accountId])
    return codes
  }

  /** @throws {Problem} request/not-found */
  async remove(user: User, id: string): Promise<void> {
    await change(this.#ground, async (tx) => {
      const removed = await tx.run('DELETE FROM second_factor WHERE id = $1 AND account_id = $2', [id, user.id])
      if (removed === 0) throw new Problem('request/not-found', { what: 'second factor' })
      const left = await tx.get<{ n: number }>('SELECT COUNT(*) AS n FROM second_factor WHERE account_id = $1', [user.id])
      if (left?.n === 0) await tx.run('DELETE FROM recovery_code WHERE account_id = $1', [user.id])
      return { result: undefined, events: [this.#event(user.id, { removed: id })] }
    })
  }

  /** For somebody who has lost everything: an administrator takes all factors away, never the own ones. @throws {Problem} access/own-account */
  async reset(by: User, accountId: string): Promise<void> {
    if (by.id === accountId) throw new Problem('access/own-account')
    await change(this.#ground, async (tx) => {
      await readAccount(tx, accountId)
      await tx.run('DELETE FROM second_factor WHERE account_id = $1', [accountId])
      await tx.run('DELETE FROM recovery_code WHERE account_id = $1', [accountId])
      return { result: undefined, events: [this.#event(accountId, { reset: true })] }
    })
  }

  #event(accountId: string, facts: Record<string, unknown>) {
    return { action: 'account.second-factor', outcome: 'success', object: { type: 'account', id: accountId }, facts } as const
  }
}

function newCode(): string {
  const characters = [...randomBytes(16)].map((byte) => ALPHABET[byte % 32])
  return [0, 4, 8, 12].map((start) => characters.slice(start, start + 4).join('')).join('-')
}

