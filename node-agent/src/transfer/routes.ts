import type { Database, HttpFace } from 'service-kit'
import { answers, isProblemCode, Page, TransferRow, type ProblemNote } from 'specs'
import { z } from 'zod'
import type { TransferEngine } from './engine.ts'
import type { TransferJob } from './job.ts'
import type { TransferOwner } from './owner.ts'
import { listJobs } from './store.ts'

export function titleOf(note: ProblemNote): { code: string; title: string } {
  return { code: note.code, title: isProblemCode(note.code) ? answers[note.code].zh : note.code }
}

export function rowOf(job: TransferJob): TransferRow {
  const { regionId: _r, grant: _g, requester: _p, sources: _s, attempts: _a, nextAttemptAt: _n, problem, ...row } = job
  return { ...row, direction: 'in', problem: problem && titleOf(problem) }
}

/** Pages of whoever works with images; nothing here shows a patient. */
export function addTransferRoutes(
  face: HttpFace,
  { db, engine, owner }: { db: Database; engine: TransferEngine; owner: TransferOwner },
): void {
  const params = z.object({ id: z.uuid() })
  face.route(
    { method: 'GET', path: '/api/transfers', summary: 'Images on their way, newest first', allow: ['image.view', 'consult.apply', 'consult.process', 'system.configure', 'system.monitor', 'device.watch'], answer: Page(TransferRow) },
    async () => {
      const rows = [...(await listJobs(db, 200)).map(rowOf), ...owner.outgoing()].sort((a, b) => b.updatedAt - a.updatedAt)
      return { rows, total: rows.length, next: null }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/transfers/:id/cancel',
      summary: 'Stop a transfer',
      allow: ['image.view', 'system.configure'],
      params,
    },
    async (context) => {
      await engine.cancel(context.params.id)
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/transfers/:id/retry',
      summary: 'Try a failed transfer again',
      allow: ['image.view', 'system.configure'],
      params,
    },
    async (context) => {
      await engine.retry(context.params.id)
    },
  )
}
