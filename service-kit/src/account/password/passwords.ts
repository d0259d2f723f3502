import { Problem } from 'specs'
import type { Transaction } from '../../database/index.ts'
import { change, openPhone, type Ground } from '../ground.ts'
import { deleteSessionsOf } from '../session/store.ts'
import { changeAccount, readAccount, type AccountRow } from '../store.ts'
import { hashPassword, isPassword } from './hash.ts'
import { initialPassword, refuseWeakPassword, type PasswordOwner } from './policy.ts'

/** Changing passwords, by their owner or by an administrator. */
export class Passwords {
  readonly #ground: Ground
  readonly #tellEnds: (sessionIds: readonly string[]) => void

  constructor(ground: Ground, tellEnds: (sessionIds: readonly string[]) => void) {
    this.#ground = ground
    this.#tellEnds = tellEnds
  }

  /**
   * The owner's own change; the other sessions of the account end.
   * @throws {Problem} access/wrong-credentials for the current password, access/password-weak
   */
  async changeOwn(accountId: string, current: string, next: string, keepSession: string | undefined): Promise<void> {
    const account = await readAccount(this.#ground.db, accountId)
    if (account.password === '' || !(await isPassword(current, account.password))) throw new Problem('access/wrong-credentials')
    await this.#refuse(account, next)
    await this.#save(account, next, { mustChange: false, keepSession })
  }

  /** A new initial password, shown this once; its owner must change it. @throws {Problem} access/own-account */
  async reset(byAccountId: string, accountId: string): Promise<string> {
    if (byAccountId === accountId) throw new Problem('access/own-account')
    const account = await readAccount(this.#ground.db, accountId)
    if (account.kind !== 'person') throw new Problem('request/invalid', { what: 'account', reason: 'service accounts have keys' })
    const initial = initialPassword(this.#ground.settings.password.minLength)
    await this.#save(account, initial, { mustChange: true })
    return initial
  }

  /** As whoever runs the service sets it. @throws {Problem} access/password-weak */
  async set(accountId: string, password: string): Promise<void> {
    const account = await readAccount(this.#ground.db, accountId)
    await this.#refuse(account, password)
    await this.#save(account, password, { mustChange: false })
  }

  async #refuse(account: AccountRow, next: string): Promise<void> {
    const { settings } = this.#ground
    refuseWeakPassword(next, settings.password, ownerOf(this.#ground, account))
    const former = await this.#ground.db.all<{ password: string }>(
      'SELECT password FROM account_password WHERE account_id = $1 ORDER BY replaced_at DESC LIMIT $2',
      [account.id, Math.max(0, settings.password.history - 1)],
    )
    const held = settings.password.history === 0 ? [] : [account.password, ...former.map(({ password }) => password)].filter((stored) => stored !== '')
    for (const stored of held) {
      if (await isPassword(next, stored)) throw new Problem('access/password-weak', { faults: ['used-before'], policy: settings.password })
    }
  }

  async #save(account: AccountRow, next: string, { mustChange, keepSession }: { mustChange: boolean; keepSession?: string | undefined }): Promise<void> {
    const password = await hashPassword(next)
    const ended = await change(this.#ground, async (tx) => {
      await rememberFormer(tx, account, this.#ground.settings.password.history, this.#ground.now())
      await changeAccount(tx, account.id, { password, mustChangePassword: mustChange, passwordChangedAt: this.#ground.now() }, this.#ground.now())
      const result = await deleteSessionsOf(tx, account.id, keepSession)
      const event = { action: 'account.password', outcome: 'success', object: { type: 'account', id: account.id }, facts: { initial: mustChange } } as const
      return { result, events: [event] }
    })
    this.#tellEnds(ended)
  }
}

export function ownerOf({ secrets }: Pick<Ground, 'secrets'>, account: Pick<AccountRow, 'id' | 'username' | 'name' | 'staffNumber' | 'phone'>): PasswordOwner {
  return { ...account, phone: account.phone === null ? null : openPhone(secrets, account.phone, phoneContext) }
}

/** Binds a sealed telephone number to its column. */
export const phoneContext = 'account.phone'

async function rememberFormer(tx: Transaction, account: AccountRow, history: number, now: number): Promise<void> {
  if (account.password !== '') await tx.run('INSERT INTO account_password (account_id, password, replaced_at) VALUES ($1, $2, $3)', [account.id, account.password, now])
  const kept = await tx.all<{ replacedAt: number }>('SELECT replaced_at AS "replacedAt" FROM account_password WHERE account_id = $1 ORDER BY replaced_at DESC', [account.id])
  const oldest = kept[Math.max(0, history - 1)]
  if (oldest !== undefined) await tx.run('DELETE FROM account_password WHERE account_id = $1 AND replaced_at < $2', [account.id, oldest.replacedAt])
}
