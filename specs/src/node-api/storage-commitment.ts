import { z } from 'zod'
import { EpochMs } from '../identifiers.ts'

/** GET /api/storage-commitments: transactions of storage commitment (PS3.4 J). No patient and no instance is named. */
export const StorageCommitmentRow = z.object({
  /** `given`: a device asked whether we keep its images; `asked`: we asked a node that we sent images to. */
  direction: z.enum(['given', 'asked']),
  transactionUid: z.string(),
  aeTitle: z.string(),
  /** `awaiting`: the node has taken our question and has not answered yet. `failed` waits for a person. */
  state: z.enum(['waiting', 'retrying', 'awaiting', 'done', 'failed']),
  attempts: z.number().int(),
  nextAttemptAt: EpochMs.nullable(),
  instances: z.number().int(),
  /** null until there is a result. */
  committed: z.number().int().nullable(),
  failed: z.number().int().nullable(),
  createdAt: EpochMs,
  updatedAt: EpochMs,
  problem: z.object({ code: z.string(), title: z.string(), facts: z.record(z.string(), z.unknown()) }).nullable(),
})
export type StorageCommitmentRow = z.infer<typeof StorageCommitmentRow>
