import { Scope } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { Accounts } from '../accounts.ts'
import { username } from '../person/person.ts'
import { Assignment } from '../role/roles.ts'

const params = z.object({ id: z.string().max(64) })
const until = z.number().int().positive().nullable().default(null)
const ServiceAnswer = z.object({
  id: z.string(),
  username: z.string(),
  name: z.string(),
  disabled: z.boolean(),
  validUntil: z.number().nullable(),
  roles: z.array(z.object({ role: z.string(), scope: Scope })),
  keys: z.array(
    z.object({
      id: z.string(),
      description: z.string(),
      publicKey: z.string(),
      expiresAt: z.number().nullable(),
      createdAt: z.number(),
      lastUsedAt: z.number().nullable(),
    }),
  ),
})

/** 接口账号: programs that call with requests signed by SM2. Disabling is that of accounts. */
export function addServiceAccountRoutes(face: HttpFace, { services, people }: Accounts): void {
  const keeper = ['account.manage'] as const
  const path = '/api/service-accounts'

  face.route({ method: 'GET', path, summary: 'Accounts of programs with their keys', allow: ['account.manage', 'role.manage'], answer: z.array(ServiceAnswer) }, () => services.list())
  face.route(
    {
      method: 'POST',
      path,
      summary: 'Make an account for a program',
      allow: keeper,
      body: z.object({ username, name: z.string().trim().min(1).max(60), validUntil: until }),
      answer: ServiceAnswer,
    },
    async ({ body }) => ({ status: 201, body: await services.create(body) }),
  )
  face.route(
    {
      method: 'POST',
      path: `${path}/:id/keys`,
      summary: 'Register an SM2 public key or certificate (PEM)',
      allow: keeper,
      params,
      body: z.object({ pem: z.string().max(8_000), description: z.string().trim().max(100).default(''), expiresAt: until }),
      answer: ServiceAnswer,
    },
    async ({ params: { id }, body }) => ({ status: 201, body: await services.addKey(id, body) }),
  )
  face.route(
    { method: 'DELETE', path: `${path}/:id/keys/:keyId`, summary: 'Remove a key; what it signs is refused from the next request on', allow: keeper, params: params.extend({ keyId: z.string().max(64) }) },
    async ({ params: { id, keyId } }) => {
      await services.removeKey(id, keyId)
    },
  )
  face.route(
    { method: 'PUT', path: `${path}/:id/roles`, summary: 'Give exactly these roles', allow: ['role.manage'], params, body: z.object({ roles: z.array(Assignment).max(50) }), answer: ServiceAnswer },
    async ({ user, params: { id }, body }) => {
      await people.giveRoles(user, (await services.read(id)).id, body.roles)
      return services.read(id)
    },
  )
  face.route(
    { method: 'POST', path: `${path}/:id/disable`, summary: 'Disable', allow: keeper, params, body: z.object({ reason: z.string().trim().min(1).max(200) }) },
    async ({ user, params: { id }, body }) => {
      await people.disable(user.id, (await services.read(id)).id, body.reason)
    },
  )
  face.route({ method: 'POST', path: `${path}/:id/enable`, summary: 'Enable again', allow: keeper, params }, async ({ params: { id } }) => {
    await people.enable((await services.read(id)).id)
  })
}
