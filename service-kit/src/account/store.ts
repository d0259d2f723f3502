import { randomUUID } from 'node:crypto'
import { isUniqueViolation, type Queries, type SqlValue } from '../database/index.ts'
import { Problem } from 'specs'

export interface AccountRow {
  readonly id: string
  readonly kind: 'person' | 'service'
  readonly username: string
  /** As hashPassword() writes it; empty when there is none (sign-in of the hospital, service accounts). */
  readonly password: string
  readonly name: string
  /** 职称 */
  readonly title: string
  /** 工号 */
  readonly staffNumber: string | null
  readonly department: string | null
  readonly campus: string | null
  /** 岗位 */
  readonly position: string
  /** Sealed. */
  readonly phone: string | null
  readonly validUntil: number | null
  /** Instead of the setting, for a reading workstation or a queue screen. */
  readonly idleMinutes: number | null
  /** Roles that whoever made the account may not give: they wait for the security administrator. */
  readonly requestedRoles: readonly string[]
  readonly disabled: boolean
  readonly disabledReason: string
  readonly mustChangePassword: boolean
  readonly passwordChangedAt: number
  readonly lastUsedAt: number | null
  readonly createdAt: number
}

type Stored = Omit<AccountRow, 'disabled' | 'mustChangePassword' | 'requestedRoles'> & {
  disabled: number
  mustChangePassword: number
  requestedRoles: string
}

const columnOf = {
  kind: 'kind',
  username: 'username',
  password: 'password',
  name: 'name',
  title: 'title',
  staffNumber: 'staff_number',
  department: 'department_id',
  campus: 'campus_id',
  position: 'position',
  phone: 'phone',
  validUntil: 'valid_until',
  idleMinutes: 'idle_minutes',
  requestedRoles: 'requested_roles',
  disabled: 'disabled',
  disabledReason: 'disabled_reason',
  mustChangePassword: 'must_change_password',
  passwordChangedAt: 'password_changed_at',
  lastUsedAt: 'last_used_at',
} as const satisfies Partial<Record<keyof AccountRow, string>>
type Changeable = Partial<Pick<AccountRow, keyof typeof columnOf>>

export const ACCOUNT_COLUMNS = [
  'account.id',
  'account.created_at AS "createdAt"',
  ...Object.entries(columnOf).map(([field, column]) => `account.${column} AS "${field}"`),
].join(', ')

export const accountOf = (row: Stored): AccountRow => ({
  ...row,
  disabled: row.disabled !== 0,
  mustChangePassword: row.mustChangePassword !== 0,
  requestedRoles: JSON.parse(row.requestedRoles) as string[],
})

/** User names are compared without case; a hospital's staff number stays what it is. */
export const normalUsername = (username: string): string => username.normalize('NFKC').trim().toLowerCase()

export async function accountByUsername(db: Queries, username: string): Promise<AccountRow | undefined> {
  const row = await db.get<Stored>(`SELECT ${ACCOUNT_COLUMNS} FROM account WHERE username = $1`, [normalUsername(username)])
  return row && accountOf(row)
}

export async function accountByStaffNumber(db: Queries, staffNumber: string): Promise<AccountRow | undefined> {
  const row = await db.get<Stored>(`SELECT ${ACCOUNT_COLUMNS} FROM account WHERE staff_number = $1`, [staffNumber])
  return row && accountOf(row)
}

/** @throws {Problem} request/not-found */
export async function readAccount(db: Queries, id: string): Promise<AccountRow> {
  const row = await db.get<Stored>(`SELECT ${ACCOUNT_COLUMNS} FROM account WHERE id = $1`, [id])
  if (row === undefined) throw new Problem('request/not-found', { what: 'account' })
  return accountOf(row)
}

export async function listAccounts(db: Queries): Promise<AccountRow[]> {
  return (await db.all<Stored>(`SELECT ${ACCOUNT_COLUMNS} FROM account ORDER BY username`)).map(accountOf)
}

const stored = (value: unknown): SqlValue => {
  if (Array.isArray(value)) return JSON.stringify(value)
  return typeof value === 'boolean' ? Number(value) : (value as SqlValue)
}

export type FreshAccount = Pick<AccountRow, 'username' | 'password' | 'name'> & Changeable

/** @throws {Problem} request/conflict when the user name or the staff number is taken. */
export async function insertAccount(db: Queries, account: FreshAccount, now: number): Promise<string> {
  const id = randomUUID()
  const { title = '', ...given } = account
  const fields = Object.entries({ ...given, title, username: normalUsername(account.username), passwordChangedAt: now })
  const columns = fields.map(([field]) => columnOf[field as keyof typeof columnOf])
  await refusingTwice(account, () =>
    db.run(
      `INSERT INTO account (id, created_at, changed_at, ${columns.join(', ')}) VALUES ($1, $2, $2, ${columns.map((_, i) => `$${i + 3}`).join(', ')})`,
      [id, now, ...fields.map(([, value]) => stored(value))],
    ),
  )
  return id
}

/** @throws {Problem} request/not-found, request/conflict when the staff number is taken. */
export async function changeAccount(db: Queries, id: string, change: Changeable, now: number): Promise<void> {
  const fields = Object.entries(change)
  const sets = fields.map(([field], i) => `${columnOf[field as keyof typeof columnOf]} = $${i + 3}`)
  const changed = await refusingTwice(change, () =>
    db.run(`UPDATE account SET ${['changed_at = $2', ...sets].join(', ')} WHERE id = $1`, [id, now, ...fields.map(([, value]) => stored(value))]),
  )
  if (changed === 0) throw new Problem('request/not-found', { what: 'account' })
}

async function refusingTwice<T>({ username, staffNumber }: Changeable, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('request/conflict', { username, staffNumber })
    throw error
  }
}

/** Whether the account could be used at this moment. */
export const isUsable = ({ disabled, validUntil }: Pick<AccountRow, 'disabled' | 'validUntil'>, now: number): boolean =>
  !disabled && (validUntil === null || validUntil > now)
