import { randomUUID } from 'node:crypto'
import { Right, Scope, type BuiltInRole, type Entitlement } from 'specs'
import type { Queries } from '../../database/index.ts'

/** A role as it is kept: what the house calls it and which rights it gives. */
export interface Role {
  readonly id: string
  readonly zh: string
  readonly en: string
  readonly rights: readonly Right[]
  /** Comes with the product: it can be copied, not changed. */
  readonly builtIn: boolean
  /** The role it began as a copy of. */
  readonly copyOf: string | null
}

export type HolderKind = 'account' | 'group'

/** A role given to an account or a group, and where it holds. */
export interface RoleAssignment {
  readonly role: string
  readonly scope: Scope
}

interface StoredRole {
  readonly id: string
  readonly zh: string
  readonly en: string
  readonly rights: string
  readonly builtIn: number
  readonly copyOf: string | null
}

const COLUMNS = 'id, zh, en, rights, built_in AS "builtIn", copy_of AS "copyOf"'
const fromStored = (row: StoredRole): Role => ({ ...row, rights: knownRights(row.rights), builtIn: row.builtIn !== 0 })

/** A right that this version does not know (any more) gives nothing. */
function knownRights(stored: string): Right[] {
  return (JSON.parse(stored) as string[]).filter((right): right is Right => Right.safeParse(right).success)
}

export async function listRoles(db: Queries): Promise<Role[]> {
  return (await db.all<StoredRole>(`SELECT ${COLUMNS} FROM role ORDER BY built_in DESC, created_at, id`)).map(fromStored)
}

export async function findRole(db: Queries, id: string): Promise<Role | undefined> {
  const row = await db.get<StoredRole>(`SELECT ${COLUMNS} FROM role WHERE id = $1`, [id])
  return row && fromStored(row)
}

export async function saveRole(db: Queries, role: Role, now: number): Promise<void> {
  await db.run(
    `INSERT INTO role (id, zh, en, rights, built_in, copy_of, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
     ON CONFLICT (id) DO UPDATE SET zh = excluded.zh, en = excluded.en, rights = excluded.rights, changed_at = excluded.changed_at`,
    [role.id, role.zh, role.en, JSON.stringify(role.rights), role.builtIn ? 1 : 0, role.copyOf, now],
  )
}

/** Built-in roles are as this version says; those of the house stay as they are. */
export async function seedRoles(db: Queries, roles: readonly BuiltInRole[], now: number): Promise<void> {
  for (const role of roles) await saveRole(db, { ...role, builtIn: true, copyOf: null }, now)
}

export async function assignmentsOf(db: Queries, kind: HolderKind, holderId: string): Promise<RoleAssignment[]> {
  const rows = await db.all<{ role: string; scope: string }>(
    'SELECT role_id AS role, scope FROM role_assignment WHERE holder_kind = $1 AND holder_id = $2 ORDER BY role_id, id',
    [kind, holderId],
  )
  return rows.map(({ role, scope }) => ({ role, scope: Scope.parse(JSON.parse(scope)) }))
}

/** Replaces what the account or group holds. */
export async function assignRoles(db: Queries, kind: HolderKind, holderId: string, roles: readonly RoleAssignment[]): Promise<void> {
  await db.run('DELETE FROM role_assignment WHERE holder_kind = $1 AND holder_id = $2', [kind, holderId])
  for (const { role, scope } of roles) {
    await db.run('INSERT INTO role_assignment (id, holder_kind, holder_id, role_id, scope) VALUES ($1, $2, $3, $4, $5)', [
      randomUUID(),
      kind,
      holderId,
      role,
      JSON.stringify(scope),
    ])
  }
}

interface StoredEntitlement {
  readonly accountId: string
  readonly role: string
  readonly holderKind: HolderKind
  readonly holderId: string
  readonly rights: string
  readonly scope: string
}

/** What accounts hold, directly and through their groups; of one account when it is named. */
export async function entitlementsOf(db: Queries, accountId?: string): Promise<Map<string, Entitlement[]>> {
  const only = (column: string) => (accountId === undefined ? '' : `AND ${column} = $1`)
  const rows = await db.all<StoredEntitlement>(
    `SELECT a.holder_id AS "accountId", a.role_id AS role, a.holder_kind AS "holderKind", a.holder_id AS "holderId", r.rights, a.scope
       FROM role_assignment a JOIN role r ON r.id = a.role_id WHERE a.holder_kind = 'account' ${only('a.holder_id')}
     UNION ALL
     SELECT m.account_id AS "accountId", a.role_id AS role, a.holder_kind AS "holderKind", a.holder_id AS "holderId", r.rights, a.scope
       FROM account_group_member m JOIN role_assignment a ON a.holder_kind = 'group' AND a.holder_id = m.group_id
       JOIN role r ON r.id = a.role_id ${accountId === undefined ? '' : 'WHERE m.account_id = $1'}
     ORDER BY 1, 2, 4`,
    accountId === undefined ? [] : [accountId],
  )
  const held = new Map<string, Entitlement[]>()
  for (const { accountId: id, role, holderKind, holderId, rights, scope } of rows) {
    const entitlement = { role, rights: knownRights(rights), scope: Scope.parse(JSON.parse(scope)) }
    const all = held.get(id) ?? []
    held.set(id, all)
    all.push(holderKind === 'group' ? { ...entitlement, group: holderId } : entitlement)
  }
  return held
}
