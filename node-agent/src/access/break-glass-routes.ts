import type { HttpFace } from 'service-kit'
import { BreakGlassRequest, BreakGlassReview, BreakGlassRow, Page } from 'specs'
import { z } from 'zod'
import type { BreakGlassDesk } from './break-glass.ts'

const params = z.object({ breakGlassId: z.uuid() })
const Filter = z.object({ state: BreakGlassRow.shape.state.optional(), limit: z.coerce.number().int().min(1).max(500).default(100) })

/** 紧急调阅 for whoever needs it and for whoever reviews it. */
export function addBreakGlassRoutes(face: HttpFace, desk: BreakGlassDesk): void {
  face.route(
    {
      method: 'POST',
      path: '/api/break-glass',
      summary: 'Open a patient in an emergency, with a reason',
      allow: ['exam.break-glass'],
      body: BreakGlassRequest,
      answer: BreakGlassRow,
      limit: { requests: 20, seconds: 60 },
    },
    async ({ user, body }) => ({ status: 201, body: await desk.open(user, body) }),
  )
  face.route(
    { method: 'GET', path: '/api/break-glass/mine', summary: 'My own emergency accesses', allow: ['exam.break-glass'], query: Filter, answer: Page(BreakGlassRow) },
    async ({ user, query }) => ({ ...(await desk.list({ ...query, of: user.id })), next: null }),
  )
  face.route(
    { method: 'POST', path: '/api/break-glass/:breakGlassId/end', summary: 'It is no longer needed', allow: ['exam.break-glass'], params },
    async ({ user, params: { breakGlassId } }) => {
      await desk.end(user, breakGlassId)
      return { status: 204 }
    },
  )
  face.route(
    { method: 'GET', path: '/api/break-glass', summary: 'Emergency accesses, newest first', allow: ['break-glass.review', 'security.overview'], query: Filter, answer: Page(BreakGlassRow) },
    async ({ query }) => ({ ...(await desk.list(query)), next: null }),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/break-glass/:breakGlassId/review',
      summary: 'Review an emergency access',
      allow: ['break-glass.review'],
      params,
      body: BreakGlassReview,
      answer: BreakGlassRow,
    },
    ({ user, params: { breakGlassId }, body }) => desk.review(user, breakGlassId, body),
  )
}
