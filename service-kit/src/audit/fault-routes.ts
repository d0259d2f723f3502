import { answers, FaultQuery, FaultRow, isProblemCode, type AuditRow } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../http/index.ts'
import { searchTrail } from './search.ts'
import type { Trail } from './trail.ts'

/** GET /api/faults (FED-28): what stopped or failed, when, where, why; read from the trail, so a restart changes nothing. */
export function addFaultRoutes(face: HttpFace, trail: Trail): void {
  face.route(
    {
      method: 'GET',
      path: '/api/faults',
      summary: 'Stopped components and failed operations, newest first',
      allow: ['system.monitor', 'region.watch', 'audit.read'],
      query: FaultQuery,
      answer: z.object({ rows: z.array(FaultRow), next: z.string().nullable() }),
    },
    async ({ query: { component, ...query } }) => {
      const page = await searchTrail(trail.db, { ...query, action: ['system.fault', 'system.recovery', 'audit.alarm'], objectId: component }, query)
      return { rows: page.rows.map(rowOf), next: page.next }
    },
  )
}

function rowOf({ eventId, at, actor, object, code, facts, action }: AuditRow): FaultRow {
  const cause = code ?? String(facts?.['cause'] ?? '')
  return {
    id: eventId,
    at,
    node: actor.hospitalId ?? actor.id,
    component: object?.id ?? '',
    operation: String(facts?.['operation'] ?? action),
    code: cause,
    title: isProblemCode(cause) ? answers[cause].zh : cause,
    recovered: action === 'system.recovery',
  }
}
