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
  {
    name: '0004-identity',
    up: [
      // Raised by every change of accounts, roles, groups and ended sessions.
      'CREATE TABLE account_revision (revision BIGINT NOT NULL)',
      'INSERT INTO account_revision (revision) VALUES (1)',
      'CREATE TABLE campus (id TEXT PRIMARY KEY, name TEXT NOT NULL, position INTEGER NOT NULL)',
      'CREATE TABLE department (id TEXT PRIMARY KEY, name TEXT NOT NULL, campus_id TEXT, position INTEGER NOT NULL)',
      'CREATE TABLE area (id TEXT PRIMARY KEY, name TEXT NOT NULL, campus_id TEXT, position INTEGER NOT NULL)',
      `ALTER TABLE account ADD COLUMN kind TEXT NOT NULL DEFAULT 'person'`,
      'ALTER TABLE account ADD COLUMN staff_number TEXT',
      'ALTER TABLE account ADD COLUMN department_id TEXT',
      'ALTER TABLE account ADD COLUMN campus_id TEXT',
      `ALTER TABLE account ADD COLUMN position TEXT NOT NULL DEFAULT ''`,
      'ALTER TABLE account ADD COLUMN phone TEXT',
      'ALTER TABLE account ADD COLUMN valid_until BIGINT',
      'ALTER TABLE account ADD COLUMN idle_minutes INTEGER',
      `ALTER TABLE account ADD COLUMN requested_roles TEXT NOT NULL DEFAULT '[]'`,
      `ALTER TABLE account ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT ''`,
      'ALTER TABLE account ADD COLUMN must_change_password INTEGER NOT NULL DEFAULT 0',
      'ALTER TABLE account ADD COLUMN password_changed_at BIGINT NOT NULL DEFAULT 0',
      'ALTER TABLE account ADD COLUMN last_used_at BIGINT',
      'UPDATE account SET password_changed_at = changed_at',
      'CREATE UNIQUE INDEX account_staff_number ON account (staff_number)',
      'CREATE TABLE account_password (account_id TEXT NOT NULL REFERENCES account (id), password TEXT NOT NULL, replaced_at BIGINT NOT NULL)',
      'CREATE INDEX account_password_account ON account_password (account_id)',
      'ALTER TABLE account_session ADD COLUMN last_active_at BIGINT NOT NULL DEFAULT 0',
      `ALTER TABLE account_session ADD COLUMN auth_method TEXT NOT NULL DEFAULT 'password'`,
      'ALTER TABLE account_session ADD COLUMN strong INTEGER NOT NULL DEFAULT 0',
      `ALTER TABLE account_session ADD COLUMN device TEXT NOT NULL DEFAULT ''`,
      'UPDATE account_session SET last_active_at = created_at',
      // Failed sign-ins of a user name, known or not, and of a source address.
      `CREATE TABLE sign_in_failure (
        subject TEXT PRIMARY KEY, failures INTEGER NOT NULL, window_ends_at BIGINT NOT NULL, locked_until BIGINT NOT NULL)`,
      // Steps that a person has begun and not finished; the id is the digest of what the person holds.
      `CREATE TABLE account_challenge (
        id TEXT PRIMARY KEY, purpose TEXT NOT NULL, account_id TEXT, data TEXT NOT NULL, expires_at BIGINT NOT NULL)`,
      'CREATE INDEX account_challenge_expiry ON account_challenge (expires_at)',
      `CREATE TABLE second_factor (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account (id), kind TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
        used_step BIGINT NOT NULL, created_at BIGINT NOT NULL, last_used_at BIGINT)`,
      'CREATE INDEX second_factor_account ON second_factor (account_id)',
      'CREATE TABLE recovery_code (digest TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account (id))',
      `CREATE TABLE account_oidc (
        provider TEXT NOT NULL, subject TEXT NOT NULL, account_id TEXT NOT NULL REFERENCES account (id), created_at BIGINT NOT NULL, PRIMARY KEY (provider, subject))`,
      `CREATE TABLE service_key (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account (id), public_key TEXT NOT NULL, description TEXT NOT NULL,
        expires_at BIGINT, created_at BIGINT NOT NULL, last_used_at BIGINT)`,
      'CREATE INDEX service_key_account ON service_key (account_id)',
      'CREATE TABLE service_nonce (id TEXT PRIMARY KEY, expires_at BIGINT NOT NULL)',
      'CREATE INDEX service_nonce_expiry ON service_nonce (expires_at)',
    ],
  },
]
