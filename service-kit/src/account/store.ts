import { randomUUID } from 'node:crypto'
import { isUniqueViolation, type Database, type Queries } from '../database/index.ts'
import { Problem } from 'specs'

export interface AccountRow {
  readonly id: string
  readonly username: string
  readonly password: string
  readonly name: string
  readonly title: string
  readonly disabled: boolean
}

type StoredRow = Omit<AccountRow, 'disabled'> & { disabled: number }
const COLUMNS = 'account.id, username, password, name, title, disabled'
const fromStored = (row: StoredRow): AccountRow => ({ ...row, disabled: row.disabled !== 0 })

/** User names are compared without case; a hospital's staff number stays what it is. */
export const normalUsername = (username: string): string => username.normalize('NFKC').trim().toLowerCase()

export async function accountByUsername(db: Queries, username: string): Promise<AccountRow | undefined> {
  const row = await db.get<StoredRow>(`SELECT ${COLUMNS} FROM account WHERE username = $1`, [normalUsername(username)])
  return row && fromStored(row)
}

export async function listAccounts(db: Queries): Promise<AccountRow[]> {
  return (await db.all<StoredRow>(`SELECT ${COLUMNS} FROM account ORDER BY username`)).map(fromStored)
}

/** @throws {Problem} request/conflict when the user name is taken. */
export async function insertAccount(db: Queries, account: Omit<AccountRow, 'id' | 'disabled'>, now: number): Promise<string> {
  const id = randomUUID()
  try {
    await db.run(
      'INSERT INTO account (id, username, password, name, title, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $6)',
      [id, normalUsername(account.username), account.password, account.name, account.title, now],
    )
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('request/conflict', { username: account.username })
    throw error
  }
  return id
}

/** @throws {Problem} request/not-found */
export async function changeAccount(
  db: Queries,
  id: string,
  change: { password: string } | { disabled: boolean },
  now: number,
): Promise<void> {
  const [column, value] = 'password' in change ? (['password', change.password] as const) : (['disabled', change.disabled] as const)
  const changed = await db.run(`UPDATE account SET ${column} = $1, changed_at = $2 WHERE id = $3`, [value, now, id])
  if (changed === 0) throw new Problem('request/not-found', { what: 'account' })
}

export async function insertSession(
  db: Queries,
  session: { id: string; accountId: string; expiresAt: number; address: string },
  now: number,
): Promise<void> {
  await db.run('DELETE FROM account_session WHERE expires_at < $1', [now])
  await db.run('INSERT INTO account_session (id, account_id, created_at, expires_at, address) VALUES ($1, $2, $3, $4, $5)', [
    session.id,
    session.accountId,
    now,
    session.expiresAt,
    session.address,
  ])
}

/** The account behind a session that has not ended. */
export async function accountOfSession(db: Queries, sessionId: string, now: number): Promise<AccountRow | undefined> {
  const row = await db.get<StoredRow>(
    `SELECT ${COLUMNS} FROM account_session JOIN account ON account.id = account_session.account_id
     WHERE account_session.id = $1 AND expires_at > $2 AND disabled = 0`,
    [sessionId, now],
  )
  return row && fromStored(row)
}

export async function deleteSession(db: Queries, sessionId: string): Promise<void> {
  await db.run('DELETE FROM account_session WHERE id = $1', [sessionId])
}

/** @returns The sessions that have ended by this. */
export async function deleteSessionsOf(db: Queries, accountId: string): Promise<string[]> {
  return (await db.all<{ id: string }>('DELETE FROM account_session WHERE account_id = $1 RETURNING id', [accountId])).map(({ id }) => id)
}

export interface KeyRow {
  readonly id: string
  readonly secret: string
}

/** Keys that sign session tokens, newest first; `fresh` becomes the first when there is none yet. */
export async function sessionKeys(db: Database, fresh: KeyRow, now: number): Promise<readonly [KeyRow, ...KeyRow[]]> {
  return db.write(async (tx) => {
    const [newest, ...older] = await tx.all<KeyRow>('SELECT id, secret FROM account_key ORDER BY created_at DESC')
    if (newest) return [newest, ...older]
    await tx.run('INSERT INTO account_key (id, secret, created_at) VALUES ($1, $2, $3)', [fresh.id, fresh.secret, now])
    return [fresh]
  })
}
