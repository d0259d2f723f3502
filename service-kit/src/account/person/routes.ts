import { Buffer } from 'node:buffer'
import { Page } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { Accounts } from '../accounts.ts'
import { Assignment } from '../role/roles.ts'
import { NewPerson, PersonChange, PersonRow } from './person.ts'

const params = z.object({ id: z.string().max(64) })
const Query = z.object({
  text: z.string().trim().max(60).optional(),
  role: z.string().max(64).optional(),
  group: z.string().max(64).optional(),
  department: z.string().max(32).optional(),
  state: PersonRow.shape.state.optional(),
  /** Only accounts whose requested roles wait for the security administrator. */
  waiting: z.stringbool().optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  /** User name of the last row before. */
  after: z.string().max(64).optional(),
})
/** A CSV file, UTF-8 or GB18030, in base64. */
const TableFile = z.object({ file: z.base64().max(4_000_000) })
const Preview = z.object({
  rows: z.array(
    z.object({
      line: z.number(),
      cells: z.record(z.string(), z.string()),
      errors: z.array(z.object({ column: z.string(), message: z.string() })),
    }),
  ),
  wrong: z.number(),
})
const Initial = z.object({ initialPassword: z.string() })

/** 用户管理 (SEC-13). Both administrators see accounts; the one keeps them, the other gives them roles. */
export function addPersonRoutes(face: HttpFace, { people, passwords, groups, factors, staffImport, settings }: Accounts): void {
  const keeper = ['account.manage'] as const
  const path = '/api/accounts/:id'

  face.route(
    { method: 'GET', path: '/api/accounts', summary: 'Accounts of people, by user name', allow: ['account.manage', 'role.manage'], query: Query, answer: Page(PersonRow) },
    async ({ query: { limit, after, ...filter } }) => {
      const found = await people.list(filter)
      const rest = after === undefined ? found : found.filter(({ username }) => username > after)
      const rows = rest.slice(0, limit)
      return { rows, total: found.length, next: rest.length > limit ? (rows.at(-1)?.username ?? null) : null }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/accounts',
      summary: 'Make an account; the initial password is answered this once. Roles that the maker may not give become requested ones',
      allow: keeper,
      body: NewPerson,
      answer: Initial.extend({ account: PersonRow }),
    },
    async ({ user, body }) => ({ status: 201, body: await people.create(user, body) }),
  )
  face.route(
    { method: 'POST', path: '/api/accounts/import/preview', summary: 'What a table of staff would make, and what is wrong in it', allow: keeper, body: TableFile, answer: Preview, maxBodyBytes: 4_200_000 },
    async ({ user, body }) => {
      const rows = (await staffImport.preview(user, Buffer.from(body.file, 'base64'))).map(({ line, cells, errors }) => ({ line, cells, errors }))
      return { rows, wrong: rows.filter(({ errors }) => errors.length > 0).length }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/accounts/import',
      summary: 'Make the accounts of a table, all or none; initial passwords are answered this once',
      allow: keeper,
      body: TableFile,
      answer: z.object({ accounts: z.array(Initial.extend({ username: z.string(), name: z.string() })) }),
      maxBodyBytes: 4_200_000,
    },
    async ({ user, body }) => ({ status: 201, body: { accounts: await staffImport.commit(user, Buffer.from(body.file, 'base64')) } }),
  )
  face.route({ method: 'GET', path, summary: 'One account', allow: ['account.manage', 'role.manage'], params, answer: PersonRow }, ({ params: { id } }) => people.read(id))
  face.route({ method: 'PATCH', path, summary: 'Change an account', allow: keeper, params, body: PersonChange, answer: PersonRow }, ({ params: { id }, body }) =>
    people.change(id, body),
  )
  face.route(
    { method: 'POST', path: `${path}/disable`, summary: 'Disable; sessions end at once', allow: keeper, params, body: z.object({ reason: z.string().trim().min(1).max(200) }) },
    async ({ user, params: { id }, body }) => {
      await people.disable(user.id, id, body.reason)
    },
  )
  face.route({ method: 'POST', path: `${path}/enable`, summary: 'Enable again', allow: keeper, params }, async ({ params: { id } }) => {
    await people.enable(id)
  })
  face.route({ method: 'POST', path: `${path}/unlock`, summary: 'End a lock after failed sign-ins', allow: keeper, params }, async ({ params: { id } }) => {
    await people.unlock(id)
  })
  face.route(
    { method: 'POST', path: `${path}/password`, summary: 'New initial password, answered this once; sessions end', allow: keeper, params, answer: Initial },
    async ({ user, params: { id } }) => ({ initialPassword: await passwords.reset(user.id, id) }),
  )
  face.route(
    { method: 'POST', path: `${path}/second-factors/reset`, summary: 'Take all second factors away, never the own ones', allow: keeper, params },
    async ({ user, params: { id } }) => {
      await factors.reset(user, id)
    },
  )
  face.route(
    {
      method: 'PUT',
      path: `${path}/roles`,
      summary: 'Give exactly these roles, each where it holds; settles what was requested',
      // Under `workRolesBy: system` also the keeper of accounts, and then only roles without administrative rights.
      allow: settings.workRolesBy === 'system' ? ['role.manage', 'account.manage'] : ['role.manage'],
      params,
      body: z.object({ roles: z.array(Assignment).max(50) }),
      answer: PersonRow,
    },
    ({ user, params: { id }, body }) => people.setRoles(user, id, body.roles),
  )
  face.route(
    { method: 'PUT', path: `${path}/groups`, summary: 'Put into exactly these groups', allow: ['role.manage'], params, body: z.object({ groups: z.array(z.string().max(64)).max(100) }), answer: PersonRow },
    async ({ user, params: { id }, body }) => {
      await groups.setGroupsOf(user, id, body.groups)
      return people.read(id)
    },
  )
}
