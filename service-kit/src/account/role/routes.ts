import { Right, rights, Scope, type RightDescription } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { Accounts } from '../accounts.ts'
import { Assignment } from './roles.ts'

const params = z.object({ id: z.string().max(64) })
const RoleFacts = z.object({ zh: z.string().trim().min(1).max(60), en: z.string().trim().max(60).default(''), rights: z.array(Right).max(200) })
const RoleAnswer = RoleFacts.extend({ id: z.string(), builtIn: z.boolean(), copyOf: z.string().nullable() })
const GroupFacts = z.object({
  name: z.string().trim().min(1).max(60),
  description: z.string().trim().max(200).default(''),
  roles: z.array(Assignment).max(50).default([]),
  members: z.array(z.string().max(64)).max(5_000).default([]),
})
const GroupAnswer = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  roles: z.array(z.object({ role: z.string(), scope: Scope })),
  members: z.array(z.string()),
})

/** 角色与用户组 (SEC-01, SEC-02): the security administrator's work; whoever keeps accounts sees which there are. */
export function addRoleRoutes(face: HttpFace, { roles, groups }: Accounts): void {
  const security = ['role.manage'] as const
  const readers = ['role.manage', 'account.manage'] as const

  face.route(
    {
      method: 'GET',
      path: '/api/rights',
      summary: 'Every right there is, with the duty it belongs to',
      allow: readers,
      answer: z.array(z.object({ id: Right, zh: z.string(), en: z.string(), duty: z.string(), privileged: z.boolean() })),
    },
    () => Right.options.map((id) => ({ id, privileged: false, ...(rights[id] as RightDescription) })),
  )
  face.route(
    { method: 'GET', path: '/api/roles', summary: 'Roles with their rights and how many hold them', allow: readers, answer: z.array(RoleAnswer.extend({ accounts: z.number(), groups: z.number() })) },
    () => roles.list(),
  )
  face.route(
    { method: 'POST', path: '/api/roles', summary: 'Make a role, usually as a copy', allow: security, body: RoleFacts.extend({ copyOf: z.string().max(64).optional() }), answer: RoleAnswer },
    async ({ body }) => ({ status: 201, body: await roles.create(body) }),
  )
  face.route({ method: 'PUT', path: '/api/roles/:id', summary: 'Change a role of this house', allow: security, params, body: RoleFacts, answer: RoleAnswer }, ({ user, params: { id }, body }) =>
    roles.change(user, id, body),
  )
  face.route({ method: 'DELETE', path: '/api/roles/:id', summary: 'Remove a role that nobody holds', allow: security, params }, async ({ params: { id } }) => {
    await roles.remove(id)
  })

  face.route({ method: 'GET', path: '/api/groups', summary: 'Groups with roles and members', allow: readers, answer: z.array(GroupAnswer) }, () => groups.list())
  face.route({ method: 'POST', path: '/api/groups', summary: 'Make a group', allow: security, body: GroupFacts, answer: GroupAnswer }, async ({ user, body }) => ({
    status: 201,
    body: await groups.create(user, body),
  }))
  face.route({ method: 'PUT', path: '/api/groups/:id', summary: 'Change a group, its roles and members', allow: security, params, body: GroupFacts, answer: GroupAnswer }, ({ user, params: { id }, body }) =>
    groups.change(user, id, body),
  )
  face.route({ method: 'DELETE', path: '/api/groups/:id', summary: 'Remove a group; its members lose what it gave', allow: security, params }, async ({ params: { id } }) => {
    await groups.remove(id)
  })
}
