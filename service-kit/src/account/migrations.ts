import { randomUUID } from 'node:crypto'
import type { Migration } from '../database/index.ts'

export const migrations: readonly Migration[] = [
  {
    name: '0001-account',
    up: [
      `CREATE TABLE account (
        id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE, password TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,
        roles TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL)`,
      `CREATE TABLE account_session (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account (id), created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, address TEXT NOT NULL)`,
      'CREATE INDEX account_session_account ON account_session (account_id)',
      'CREATE INDEX account_session_expiry ON account_session (expires_at)',
      'CREATE TABLE account_key (id TEXT PRIMARY KEY, secret TEXT NOT NULL, created_at BIGINT NOT NULL)',
    ],
  },
  {
    name: '0002-role',
    up: [
      `CREATE TABLE role (
        id TEXT PRIMARY KEY, zh TEXT NOT NULL, en TEXT NOT NULL, rights TEXT NOT NULL, built_in INTEGER NOT NULL, copy_of TEXT,
        created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL)`,
      `CREATE TABLE account_group (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL)`,
      `CREATE TABLE account_group_member (
        group_id TEXT NOT NULL REFERENCES account_group (id), account_id TEXT NOT NULL REFERENCES account (id), PRIMARY KEY (group_id, account_id))`,
      'CREATE INDEX account_group_member_account ON account_group_member (account_id)',
      `CREATE TABLE role_assignment (
        id TEXT PRIMARY KEY, holder_kind TEXT NOT NULL, holder_id TEXT NOT NULL, role_id TEXT NOT NULL, scope TEXT NOT NULL)`,
      'CREATE INDEX role_assignment_holder ON role_assignment (holder_kind, holder_id)',
      'CREATE INDEX role_assignment_role ON role_assignment (role_id)',
    ],
  },
  {
    name: '0003-roles-of-accounts',
    up: async (tx) => {
      const accounts = await tx.all<{ id: string; roles: string }>('SELECT id, roles FROM account')
      for (const { id, roles } of accounts) {
        for (const role of JSON.parse(roles) as string[]) {
          await tx.run(`INSERT INTO role_assignment (id, holder_kind, holder_id, role_id, scope) VALUES ($1, 'account', $2, $3, '{}')`, [
            randomUUID(),
            id,
            role,
          ])
        }
      }
      await tx.run('ALTER TABLE account DROP COLUMN roles')
    },
  },
]
