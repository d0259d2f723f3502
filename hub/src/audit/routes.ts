import { writeWitnesses, type Database, type HttpFace, type Trail } from 'service-kit'
import { CrossViewingPage, CrossViewingQuery, WitnessedCheckpoint } from 'specs'
import { z } from 'zod'
import { allHospitals } from '../hospital/store.ts'
import { listCheckpoints, listCrossViewing } from './store.ts'

/** 互阅审计, and what the hub keeps of everybody's trails. */
export function regionAuditRoutes(face: HttpFace, { db, trail, regionName }: { db: Database; trail: Trail; regionName: string }): void {
  face.route(
    {
      method: 'GET',
      path: '/api/cross-viewing',
      summary: 'Who at which hospital opened which exam of which hospital, when, under which authorisation',
      allow: ['audit.cross-viewing', 'audit.read'],
      query: CrossViewingQuery,
      answer: CrossViewingPage,
    },
    async ({ query: { after, limit, ...filter } }) => {
      const [, at, eventId] = /^(\d+)\.(.+)$/.exec(after ?? '') ?? []
      const found = await listCrossViewing(db, { ...filter, limit: limit + 1, after: at && eventId ? { at: Number(at), eventId } : undefined })
      const names = new Map(
        (await allHospitals(db)).map(({ config }) => [config.id as string, config.name]),
      ).set('hub', regionName)
      const page = found.slice(0, limit)
      const last = page.at(-1)
      if (after === undefined) trail.note({ action: 'audit.read', outcome: 'success', object: { type: 'audit', id: 'cross-viewing' }, facts: { ...filter } })
      const rows = page.map((row) => ({ ...row, viewerName: names.get(row.viewer) ?? row.viewer, ownerName: names.get(row.owner) ?? row.owner }))
      return { rows, next: found.length > limit && last ? `${last.at}.${last.eventId}` : null }
    },
  )
  const WitnessQuery = z.object({ party: z.string().max(64).optional(), limit: z.coerce.number().int().min(1).max(10_000).default(500) })
  face.route(
    {
      method: 'GET',
      path: '/api/audit/witnesses',
      summary: 'Checkpoints of hospitals that this hub has countersigned, newest first',
      allow: ['audit.read'],
      query: WitnessQuery,
      answer: z.array(WitnessedCheckpoint),
    },
    ({ query }) => listCheckpoints(db, query),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/audit/witnesses.jsonl',
      summary: 'The same as a file for "npm run audit -- verify --witness"',
      allow: ['audit.read'],
      query: WitnessQuery,
    },
    async ({ query, response }) => {
      response.set({ 'Content-Type': 'application/x-ndjson; charset=utf-8', 'Content-Disposition': 'attachment; filename="witnesses.jsonl"', 'Cache-Control': 'no-store' })
      response.send(writeWitnesses(await listCheckpoints(db, query)))
    },
  )
}
