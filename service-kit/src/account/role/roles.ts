import { randomUUID } from 'node:crypto'
import { Problem, Scope, type Right } from 'specs'
import { z } from 'zod'
import type { Queries } from '../../database/index.ts'
import type { User } from '../../http/user.ts'
import { change, type Ground } from '../ground.ts'
import { refuseMixedDuties } from './decide.ts'
import { findRole, listRoles, saveRole, type Role, type RoleAssignment } from './store.ts'

/** As it is given in requests: a role's identifier alone means everywhere. */
export const Assignment = z
  .union([z.string().max(64), z.object({ role: z.string().max(64), scope: Scope.default({}) })])
  .transform((given): RoleAssignment => (typeof given === 'string' ? { role: given, scope: {} } : given))

export interface RoleFacts {
  readonly zh: string
  readonly en: string
  readonly rights: readonly Right[]
}

/** The roles of this house: built-in ones, and its own, usually begun as copies. */
export class Roles {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async list(): Promise<(Role & { accounts: number; groups: number })[]> {
    const { db } = this.#ground
    const held = await db.all<{ role: string; kind: string; n: number }>(
      'SELECT role_id AS role, holder_kind AS kind, COUNT(DISTINCT holder_id) AS n FROM role_assignment GROUP BY role_id, holder_kind',
    )
    const count = (role: string, kind: string) => held.find((row) => row.role === role && row.kind === kind)?.n ?? 0
    return (await listRoles(db)).map((role) => ({ ...role, accounts: count(role.id, 'account'), groups: count(role.id, 'group') }))
  }

  /** @throws {Problem} access/duties-conflict, request/not-found for the role to copy */
  async create({ copyOf, ...facts }: RoleFacts & { copyOf?: string | undefined }): Promise<Role> {
    refuseMixedDuties(facts.rights)
    const role: Role = { ...facts, id: `role-${randomUUID().slice(0, 13)}`, builtIn: false, copyOf: copyOf ?? null }
    return change(this.#ground, async (tx) => {
      if (copyOf !== undefined) await readRole(tx, copyOf)
      await saveRole(tx, role, this.#ground.now())
      return { result: role, events: [{ action: 'role.change', outcome: 'success', object: { type: 'role', id: role.id }, after: facts }] }
    })
  }

  /** Acts on everybody who holds it at their next request. @throws {Problem} access/role-built-in, access/duties-conflict, access/last-administrator; access/own-account for a role of one's own */
  async change(by: User, id: string, facts: RoleFacts): Promise<Role> {
    if (by.roles.includes(id)) throw new Problem('access/own-account', { role: id })
    refuseMixedDuties(facts.rights)
    return change(this.#ground, async (tx) => {
      const before = await ownRole(tx, id)
      const role = { ...before, ...facts }
      await saveRole(tx, role, this.#ground.now())
      const { zh, en, rights } = before
      return { result: role, events: [{ action: 'role.change', outcome: 'success', object: { type: 'role', id }, before: { zh, en, rights }, after: facts }] }
    })
  }

  /** @throws {Problem} access/role-in-use, access/role-built-in */
  async remove(id: string): Promise<void> {
    await change(this.#ground, async (tx) => {
      const before = await ownRole(tx, id)
      const held = await tx.get<{ n: number }>('SELECT COUNT(*) AS n FROM role_assignment WHERE role_id = $1', [id])
      if ((held?.n ?? 0) > 0) throw new Problem('access/role-in-use', { holders: held?.n })
      await tx.run('DELETE FROM role WHERE id = $1', [id])
      return { result: undefined, events: [{ action: 'role.delete', outcome: 'success', object: { type: 'role', id }, before }] }
    })
  }
}

/** @throws {Problem} request/not-found */
export async function readRole(db: Queries, id: string): Promise<Role> {
  const role = await findRole(db, id)
  if (role === undefined) throw new Problem('request/not-found', { what: 'role', id })
  return role
}

async function ownRole(db: Queries, id: string): Promise<Role> {
  const role = await readRole(db, id)
  if (role.builtIn) throw new Problem('access/role-built-in', { id })
  return role
}

/** @throws {Problem} request/invalid for a role that is not there. */
export async function rolesNamed(db: Queries, assignments: readonly RoleAssignment[]): Promise<Role[]> {
  const known = new Map((await listRoles(db)).map((role) => [role.id, role]))
  return assignments.map(({ role }) => {
    const found = known.get(role)
    if (found === undefined) throw new Problem('request/invalid', { what: 'roles', issues: [{ path: 'roles', message: `no such role: ${role}` }] })
    return found
  })
}
