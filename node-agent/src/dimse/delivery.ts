import { Problem } from 'specs'
import { type CommandSet } from './command-set.ts'

/** What became of an instance that we sent. `again` says whether trying once more may help. */
export type Delivery =
  | {
      readonly kind: 'stored'
      readonly sopInstanceUid: string
      /** 0xBxxx: stored, with a remark of the peer. */ readonly warning?: number
    }
  | { readonly kind: 'failed'; readonly sopInstanceUid: string; readonly again: 'transient' | 'permanent'; readonly problem: Problem }

const DUPLICATE_SOP_INSTANCE = 0x0111

/** PS3.4 B.2.3 and PS3.7 C: which answers mean that the peer has the instance, and which may change by themselves. */
export function decideDelivery(sopInstanceUid: string, { status }: Pick<CommandSet, 'status'>): Delivery {
  if (status === 0x0000) return { kind: 'stored', sopInstanceUid }
  if (status === DUPLICATE_SOP_INSTANCE || (status !== undefined && status >> 12 === 0xb))
    return { kind: 'stored', sopInstanceUid, warning: status }
  const outOfResources = status !== undefined && status >> 8 === 0xa7
  const processingFailure = status === 0x0110
  // The peer's comment is left out: it may name the patient.
  const problem = new Problem('dimse/failed-at-peer', { status: status?.toString(16).padStart(4, '0') ?? 'none' })
  return { kind: 'failed', sopInstanceUid, again: outOfResources || processingFailure ? 'transient' : 'permanent', problem }
}
