import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { Accounts } from '../accounts.ts'

const kind = z.enum(['campuses', 'departments', 'areas'])
const params = z.object({ kind, id: z.string().trim().min(1).max(32) })
const unit = z.object({ id: z.string(), name: z.string(), position: z.number() })
const unitOfCampus = unit.extend({ campus: z.string().nullable() })

/** 院区, 科室, 区域标识. Everybody signed in may know them; lists are chosen from them. */
export function addOrganisationRoutes(face: HttpFace, { organisation }: Accounts): void {
  face.route(
    {
      method: 'GET',
      path: '/api/organisation',
      summary: 'Campuses, departments and areas (区域标识)',
      allow: 'signed-in',
      answer: z.object({ campuses: z.array(unit), departments: z.array(unitOfCampus), areas: z.array(unitOfCampus) }),
    },
    () => organisation.read(),
  )
  face.route(
    {
      method: 'PUT',
      path: '/api/organisation/:kind/:id',
      summary: 'Add or change a campus, a department or an area',
      allow: ['organisation.manage'],
      params,
      body: z.object({
        name: z.string().trim().min(1).max(60),
        campus: z.string().max(32).nullable().default(null),
        position: z.number().int().min(0).max(100_000).default(0),
      }),
    },
    async ({ params: { kind, id }, body }) => {
      await organisation.save(kind, { id, ...body })
    },
  )
  face.route(
    { method: 'DELETE', path: '/api/organisation/:kind/:id', summary: 'Remove what nothing names any more', allow: ['organisation.manage'], params },
    async ({ params: { kind, id } }) => {
      await organisation.remove(kind, id)
    },
  )
}
