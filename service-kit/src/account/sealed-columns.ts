import type { SealedColumn } from '../vault/index.ts'
import { CLEAR } from './ground.ts'
import { phoneContext } from './password/passwords.ts'

/** What accounts keep sealed, for re-sealing with a new key (SEC-15). */
const clear = (kept: string) => (kept.startsWith(CLEAR) ? kept.slice(CLEAR.length) : undefined)
export const sealedAccountColumns: readonly SealedColumn[] = [
  { table: 'second_factor', key: 'id', column: 'data', of: 'account_id', context: (accountId) => `second-factor/${accountId}`, clear },
  { table: 'account_key', key: 'id', column: 'secret', context: (id) => `account-key/${id}`, clear },
  { table: 'account', key: 'id', column: 'phone', context: () => phoneContext, clear },
]
