import type { HttpFace } from 'service-kit'
import { HospitalConfig, HospitalId, HospitalRow, JoinCode, JoinRequest, JoinResponse, Problem } from 'specs'
import { z } from 'zod'
import { rowOf, type Hospital } from './hospital.ts'
import type { Membership } from './membership.ts'

export interface HospitalRouteParts {
  readonly membership: Membership
  readonly list: () => Promise<Hospital[]>
  readonly heartbeatMs: number
  readonly now: () => number
}

const administrators = ['region.manage'] as const
const readers = ['region.watch'] as const
const ById = z.object({ id: HospitalId })

export function hospitalRoutes(face: HttpFace, { membership, list, heartbeatMs, now }: HospitalRouteParts): void {
  const shown = (hospital: Hospital): HospitalRow => rowOf(hospital, now(), heartbeatMs)

  face.route(
    {
      method: 'GET',
      path: '/api/hospitals',
      summary: 'Hospitals with membership, online state and operating facts',
      allow: readers,
      answer: z.array(HospitalRow),
    },
    async () => (await list()).map(shown),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/hospitals',
      summary: 'Register a hospital',
      allow: administrators,
      body: HospitalConfig,
      answer: HospitalRow,
    },
    async ({ body }) => ({ status: 201, body: shown(await membership.create(body)) }),
  )
  face.route(
    {
      method: 'PUT',
      path: '/api/hospitals/:id',
      summary: 'Change a hospital; its identifier stays',
      allow: administrators,
      params: ById,
      body: HospitalConfig,
      answer: HospitalRow,
    },
    async ({ params, body }) => {
      if (body.id !== params.id)
        throw new Problem('request/invalid', { what: 'hospital', issues: [{ path: 'id', message: '医院标识不能修改' }] })
      return shown(await membership.change(body))
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/hospitals/:id/join-code',
      summary: 'A one-time code with which the node of the hospital joins; shown once',
      allow: administrators,
      params: ById,
      answer: JoinCode,
    },
    async ({ params }) => ({ status: 201, body: await membership.makeJoinCode(params.id) }),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/hospitals/:id/revoke',
      summary: 'Revoke certificate and credentials; the node is cut off within seconds',
      allow: administrators,
      params: ById,
      body: z.object({ reason: z.string().trim().min(1).max(500) }),
      answer: HospitalRow,
    },
    async ({ params, body }) => shown(await membership.revoke(params.id, body.reason)),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/join',
      summary: 'A node joins with its one-time code and a certificate request',
      allow: 'anyone',
      body: JoinRequest,
      answer: JoinResponse,
      maxBodyBytes: 32 * 1024,
      limit: { requests: 60, seconds: 60 },
    },
    async ({ body }) => ({ status: 201, body: await membership.join(body) }),
  )
}
