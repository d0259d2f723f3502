import type { AuditTrail, HttpFace } from 'service-kit'
import { isProblem, JoinedRegion, LinkStatus, MessageId, MessageRow, Page, type Problem } from 'specs'
import { z } from 'zod'
import type { JoinedRegions } from './joined-regions.ts'
import type { Region } from './region.ts'

const HubAddress = z.object({ hubUrl: z.url({ protocol: /^https?$/ }).max(200), joinCode: z.string().trim().min(8).max(200).optional() })

/** The connection to the region, and the messages it has carried or refused. */
export function addRegionRoutes(
  face: HttpFace,
  region: Region,
  joined: JoinedRegions,
  /** An attempt to join or move that was refused, for the list where people see refusals. */
  onRefusal: (problem: Problem, hubUrl: string) => void,
  audit?: AuditTrail,
): void {
  face.route(
    { method: 'GET', path: '/api/regions', summary: 'Regions this hospital has joined', allow: 'signed-in', answer: z.array(JoinedRegion) },
    () => joined.list(),
  )
  face.route({ method: 'GET', path: '/api/link', summary: 'Connection to the region', allow: 'signed-in', answer: LinkStatus }, () =>
    region.status(),
  )
  face.route(
    {
      method: 'PUT',
      path: '/api/link',
      summary: 'Join a region, or move to another platform',
      allow: ['system.configure'],
      body: HubAddress,
      answer: LinkStatus,
      limit: { requests: 20, seconds: 60 },
    },
    async ({ body }) => {
      const before = region.regionId
      const action = body.joinCode === undefined ? 'region.switch' : 'region.join'
      const told = { action, object: { type: 'config', id: 'region' }, facts: { hubUrl: body.hubUrl } } as const
      await region.moveTo(body.hubUrl, body.joinCode).catch((error: unknown) => {
        if (isProblem(error)) onRefusal(error, body.hubUrl)
        audit?.note({ ...told, outcome: 'failed', ...(isProblem(error) && { code: error.code }) })
        throw error
      })
      audit?.note({ ...told, outcome: 'success', before: { regionId: before }, after: { regionId: region.regionId } })
      return region.status()
    },
  )
  const query = z.object({
    direction: z.enum(['out', 'in']).optional(),
    state: z.string().max(20).optional(),
    limit: z.coerce.number().int().min(1).max(500).default(100),
  })
  face.route(
    {
      method: 'GET',
      path: '/api/messages',
      summary: 'Messages to and from the region, newest first',
      allow: 'signed-in',
      query,
      answer: Page(MessageRow),
    },
    async ({ query: { direction, state, limit } }) =>
      pageOf((await region.link?.messages({ limit, ...(direction && { direction }), ...(state && { state }) })) ?? []),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/messages/:id/retry',
      summary: 'Handle a failed message again',
      allow: ['system.configure'],
      params: z.object({ id: MessageId }),
    },
    async ({ params }) => {
      await region.link?.retry(params.id)
    },
  )
}

const pageOf = <T>(rows: readonly T[]) => ({ rows, total: rows.length, next: null })
