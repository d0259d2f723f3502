import type { SealedColumn } from '../vault/index.ts'
import { CLEAR } from './ground.ts'
import { phoneContext } from './password/passwords.ts'

const clear = (kept: string) => (kept.startsWith(CLEAR) ? kept.slice(CLEAR.length) : undefined)
/** What accounts keep sealed, for re-sealing with a new key (SEC-15). A factor or a key that stands in clear is never sealed: it would become genuine by it. */
export const sealedAccountColumns: readonly SealedColumn[] = [
  { table: 'second_factor', key: 'id', column: 'data', of: 'account_id', context: (accountId) => `second-factor/${accountId}` },
  { table: 'account_key', key: 'id', column: 'secret', context: (id) => `account-key/${id}` },
  { table: 'account', key: 'id', column: 'phone', context: () => phoneContext, clear },
]
