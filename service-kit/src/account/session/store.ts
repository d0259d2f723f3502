import type { AuthMethod } from '../../http/user.ts'
import type { Queries } from '../../database/index.ts'
import { ACCOUNT_COLUMNS, accountOf, type AccountRow } from '../store.ts'

export interface SessionRow {
  readonly id: string
  readonly accountId: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly lastActiveAt: number
  readonly address: string
  /** The browser or program, as it calls itself. */
  readonly device: string
  readonly authMethod: AuthMethod
  /** A second factor was shown. */
  readonly strong: boolean
}

type Stored = Omit<SessionRow, 'strong'> & { strong: number }
const COLUMNS = `s.id AS "sessionId", s.account_id AS "accountId", s.created_at AS "beganAt", s.expires_at AS "expiresAt", s.last_active_at AS "lastActiveAt",
  s.address, s.device, s.auth_method AS "authMethod", s.strong`
type Selected = Omit<Stored, 'id' | 'createdAt'> & { sessionId: string; beganAt: number }
const sessionOf = ({ sessionId, beganAt, accountId, expiresAt, lastActiveAt, address, device, authMethod, strong }: Selected): SessionRow => ({
  id: sessionId,
  createdAt: beganAt,
  accountId,
  expiresAt,
  lastActiveAt,
  address,
  device,
  authMethod,
  strong: strong !== 0,
})

export async function insertSession(db: Queries, session: SessionRow): Promise<void> {
  const { id, accountId, createdAt, expiresAt, lastActiveAt, address, device, authMethod, strong } = session
  await db.run(
    `INSERT INTO account_session (id, account_id, created_at, expires_at, last_active_at, address, device, auth_method, strong)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [id, accountId, createdAt, expiresAt, lastActiveAt, address, device, authMethod, strong ? 1 : 0],
  )
}

/** A session that has not reached its end, with whose it is. */
export async function findSession(db: Queries, id: string, now: number): Promise<{ session: SessionRow; account: AccountRow } | undefined> {
  const row = await db.get<Selected & Parameters<typeof accountOf>[0]>(
    `SELECT ${COLUMNS}, ${ACCOUNT_COLUMNS} FROM account_session s JOIN account ON account.id = s.account_id WHERE s.id = $1 AND s.expires_at > $2`,
    [id, now],
  )
  return row && { session: sessionOf(row), account: accountOf(row) }
}

export type ListedSession = SessionRow & { readonly username: string; readonly name: string }

/** Sessions that have not reached their end, the newest first; of one account when it is named. */
export async function listSessions(db: Queries, now: number, accountId?: string): Promise<ListedSession[]> {
  const rows = await db.all<Selected & { username: string; name: string }>(
    `SELECT ${COLUMNS}, account.username, account.name FROM account_session s JOIN account ON account.id = s.account_id
     WHERE s.expires_at > $1 ${accountId === undefined ? '' : 'AND s.account_id = $2'} ORDER BY s.created_at DESC LIMIT 1000`,
    accountId === undefined ? [now] : [now, accountId],
  )
  return rows.map((row) => ({ ...sessionOf(row), username: row.username, name: row.name }))
}

export async function touchSession(db: Queries, id: string, now: number): Promise<void> {
  await db.run('UPDATE account_session SET last_active_at = $1 WHERE id = $2 AND last_active_at < $1', [now, id])
}

export async function strengthenSession(db: Queries, id: string, authMethod: AuthMethod): Promise<void> {
  await db.run('UPDATE account_session SET strong = 1, auth_method = $1 WHERE id = $2', [authMethod, id])
}

/** @returns Whether it was there. */
export async function deleteSession(db: Queries, id: string): Promise<boolean> {
  return (await db.run('DELETE FROM account_session WHERE id = $1', [id])) > 0
}

/** @returns The sessions that have ended by this. */
export async function deleteSessionsOf(db: Queries, accountId: string, but?: string): Promise<string[]> {
  const rows = await db.all<{ id: string }>('DELETE FROM account_session WHERE account_id = $1 AND id <> $2 RETURNING id', [accountId, but ?? ''])
  return rows.map(({ id }) => id)
}

/**
 * Ends what is over: reached its end, idle for too long, or its account may no longer be used.
 * @param idleMs Of accounts that have no time of their own; 0 minutes of their own mean never.
 */
export async function deleteEndedSessions(db: Queries, now: number, idleMs: number): Promise<string[]> {
  const rows = await db.all<{ id: string }>(
    `DELETE FROM account_session WHERE expires_at <= $1 OR account_id IN (
       SELECT id FROM account WHERE disabled <> 0 OR (valid_until IS NOT NULL AND valid_until <= $1)
     ) OR last_active_at <= $1 - (
       SELECT CASE WHEN idle_minutes IS NULL THEN CAST($2 AS BIGINT) WHEN idle_minutes = 0 THEN CAST($1 AS BIGINT) + 1 ELSE idle_minutes * 60000 END
       FROM account WHERE account.id = account_session.account_id
     ) RETURNING id`,
    [now, idleMs],
  )
  return rows.map(({ id }) => id)
}
