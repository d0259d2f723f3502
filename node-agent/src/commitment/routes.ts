import { type Database, type HttpFace } from 'service-kit'
import { Page, StorageCommitmentRow } from 'specs'
import { z } from 'zod'
import { type Commitments } from './commitments.ts'
import { listCommitments } from './store.ts'

const Filter = z.object({
  state: StorageCommitmentRow.shape.state.optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  after: z.coerce.number().int().min(0).optional(),
})
const Key = z.object({ transactionUid: z.string().max(64) })
const caretakers = ['system.configure', 'device.watch'] as const

/** What devices were promised and what nodes have promised us: counts and states, no patient. */
export function addCommitmentRoutes(face: HttpFace, { db, commitments }: { db: Database; commitments: Commitments }): void {
  face.route(
    { method: 'GET', path: '/api/storage-commitments', summary: '存储承诺 / Storage commitments, newest first', allow: caretakers, query: Filter, answer: Page(StorageCommitmentRow) },
    ({ query }) => listCommitments(db, query),
  )
  face.route(
    { method: 'POST', path: '/api/storage-commitments/:transactionUid/retry', summary: 'Tell, or ask, again now', allow: caretakers, params: Key },
    async ({ params: { transactionUid } }) => {
      await commitments.retry(transactionUid)
      return { status: 204 }
    },
  )
}
