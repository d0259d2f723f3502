import { writeWitnesses, type Database, type HttpFace } from 'service-kit'
import { z } from 'zod'
import { listWitnesses } from './store.ts'

/** Checkpoints of others' trails that this hospital keeps: what a verification elsewhere asks for when the hub itself is in question. */
export function addWitnessRoutes(face: HttpFace, db: Database): void {
  face.route(
    {
      method: 'GET',
      path: '/api/audit/witnesses.jsonl',
      summary: 'Audit checkpoints of the hub and of other hospitals, as a file for "npm run audit -- verify --witness"',
      allow: ['audit.read'],
      query: z.object({ party: z.string().max(64).optional(), limit: z.coerce.number().int().min(1).max(10_000).default(500) }),
    },
    async ({ query, response }) => {
      response.set({ 'Content-Type': 'application/x-ndjson; charset=utf-8', 'Content-Disposition': 'attachment; filename="witnesses.jsonl"', 'Cache-Control': 'no-store' })
      response.send(writeWitnesses(await listWitnesses(db, query)))
    },
  )
}
