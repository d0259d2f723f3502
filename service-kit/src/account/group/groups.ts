import { randomUUID } from 'node:crypto'
import { isUniqueViolation, type Queries, type Transaction } from '../../database/index.ts'
import { Problem, type AuditEvent } from 'specs'
import type { User } from '../../http/user.ts'
import { change, type Ground } from '../ground.ts'
import { rolesNamed } from '../role/roles.ts'
import { assignmentsOf, assignRoles, type RoleAssignment } from '../role/store.ts'

export interface GroupFacts {
  readonly name: string
  readonly description: string
  readonly roles: readonly RoleAssignment[]
  /** Accounts. */
  readonly members: readonly string[]
}
export interface Group extends GroupFacts {
  readonly id: string
}

/** 用户组: whoever is in it holds its roles (SEC-01). */
export class Groups {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async list(): Promise<Group[]> {
    const rows = await this.#ground.db.all<{ id: string }>('SELECT id FROM account_group ORDER BY name')
    return Promise.all(rows.map(({ id }) => readGroup(this.#ground.db, id)))
  }

  /** @throws {Problem} access/own-account when whoever makes it would be in it. */
  create(by: User, facts: GroupFacts): Promise<Group> {
    if (facts.members.includes(by.id)) throw new Problem('access/own-account')
    const id = randomUUID()
    return change(this.#ground, async (tx) => {
      const now = this.#ground.now()
      await unlessTaken(facts.name, () =>
        tx.run('INSERT INTO account_group (id, name, description, created_at, changed_at) VALUES ($1, $2, $3, $4, $4)', [id, facts.name, facts.description, now]),
      )
      await this.#fill(tx, id, facts)
      return { result: { id, ...facts }, events: [event(id, { after: facts })] }
    })
  }

  /** @throws {Problem} request/not-found, request/conflict, access/duties-conflict, access/last-administrator */
  change(by: User, id: string, facts: GroupFacts): Promise<Group> {
    return change(this.#ground, async (tx) => {
      const { id: _, ...before } = await readGroup(tx, id)
      if (before.members.includes(by.id) || facts.members.includes(by.id)) throw new Problem('access/own-account')
      const { name, description } = facts
      await unlessTaken(name, () =>
        tx.run('UPDATE account_group SET name = $1, description = $2, changed_at = $3 WHERE id = $4', [name, description, this.#ground.now(), id]),
      )
      await this.#fill(tx, id, facts)
      return { result: { id, ...facts }, events: [event(id, { before, after: facts })] }
    })
  }

  /** Its members lose what it gave them. */
  async remove(id: string): Promise<void> {
    await change(this.#ground, async (tx) => {
      const before = await readGroup(tx, id)
      await assignRoles(tx, 'group', id, [])
      await tx.run('DELETE FROM account_group_member WHERE group_id = $1', [id])
      await tx.run('DELETE FROM account_group WHERE id = $1', [id])
      return { result: undefined, events: [event(id, { before })] }
    })
  }

  /** Puts an account into these groups and no others. */
  async setGroupsOf(by: User, accountId: string, groups: readonly string[]): Promise<void> {
    if (by.id === accountId) throw new Problem('access/own-account')
    await change(this.#ground, async (tx) => {
      const before = await groupsOf(tx, accountId)
      for (const id of groups) await readGroup(tx, id)
      await putInto(tx, accountId, groups)
      const told = { action: 'account.roles', outcome: 'success', object: { type: 'account', id: accountId }, before: { groups: before }, after: { groups } } as const
      return { result: undefined, events: [told] }
    })
  }

  async #fill(tx: Transaction, id: string, { roles, members }: GroupFacts): Promise<void> {
    await rolesNamed(tx, roles)
    await assignRoles(tx, 'group', id, roles)
    await tx.run('DELETE FROM account_group_member WHERE group_id = $1', [id])
    for (const accountId of new Set(members)) {
      const known = await tx.get('SELECT id FROM account WHERE id = $1', [accountId])
      if (known === undefined) throw new Problem('request/not-found', { what: 'account', id: accountId })
      await tx.run('INSERT INTO account_group_member (group_id, account_id) VALUES ($1, $2)', [id, accountId])
    }
  }
}

export async function groupsOf(db: Queries, accountId: string): Promise<string[]> {
  const rows = await db.all<{ id: string }>('SELECT group_id AS id FROM account_group_member WHERE account_id = $1 ORDER BY group_id', [accountId])
  return rows.map(({ id }) => id)
}

export async function putInto(tx: Transaction, accountId: string, groups: readonly string[]): Promise<void> {
  await tx.run('DELETE FROM account_group_member WHERE account_id = $1', [accountId])
  for (const id of new Set(groups)) await tx.run('INSERT INTO account_group_member (group_id, account_id) VALUES ($1, $2)', [id, accountId])
}

async function readGroup(db: Queries, id: string): Promise<Group> {
  const row = await db.get<{ name: string; description: string }>('SELECT name, description FROM account_group WHERE id = $1', [id])
  if (row === undefined) throw new Problem('request/not-found', { what: 'group', id })
  const members = await db.all<{ id: string }>('SELECT account_id AS id FROM account_group_member WHERE group_id = $1 ORDER BY account_id', [id])
  return { id, ...row, roles: await assignmentsOf(db, 'group', id), members: members.map((member) => member.id) }
}

async function unlessTaken<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('request/conflict', { name })
    throw error
  }
}

const event = (id: string, change: { before?: unknown; after?: unknown }): AuditEvent => ({
  action: 'group.change',
  outcome: 'success',
  object: { type: 'group', id },
  ...change,
})
