import {
  isProblem,
  type AssertedPerson,
  type EpochMs,
  type HospitalId,
  type ProblemCode,
  type ProblemNote,
  type RegionId,
  type SignedGrant,
  type StudyInstanceUid,
  type TaskId,
  type TransferRow,
} from 'specs'

export type TransferPurpose = TransferRow['purpose']
export type TransferState = TransferRow['state']

/** A study that this node fetches, or has fetched, from another party of the region; survives restarts. */
export interface TransferJob {
  readonly transferId: string
  readonly regionId: RegionId
  readonly studyInstanceUid: StudyInstanceUid
  readonly owner: HospitalId
  /** Parties that can serve it, best first; attempts take turns. */
  readonly sources: readonly HospitalId[]
  readonly grant: SignedGrant
  readonly purpose: TransferPurpose
  readonly state: TransferState
  readonly instancesDone: number
  readonly instancesTotal: number
  readonly bytesDone: number
  readonly bytesTotal: number
  /** Attempts since it last made progress. */
  readonly attempts: number
  /** Not before this time, when an attempt has failed. */
  readonly nextAttemptAt: EpochMs
  readonly startedAt: EpochMs
  readonly updatedAt: EpochMs
  readonly problem: ProblemNote | null
  /** For whom it is fetched, as far as somebody asked: the owner is told (docs/adr/0014). */
  readonly requester: Requester | null
}

export interface Requester {
  readonly person: AssertedPerson
  readonly reason?: string | undefined
}

/** A task or a person asks for images; several tasks may share one transfer. */
export interface TransferWish {
  readonly regionId: RegionId
  readonly studyInstanceUid: StudyInstanceUid
  readonly owner: HospitalId
  readonly sources: readonly HospitalId[]
  readonly grant: SignedGrant
  readonly purpose: TransferPurpose
  readonly taskId?: TaskId
  readonly requester?: Requester | undefined
}

/** Whom the next attempt asks: the best source first, then the others in turn. */
export function sourceOf(job: Pick<TransferJob, 'sources' | 'attempts' | 'owner'>): HospitalId {
  return job.sources[job.attempts % job.sources.length] ?? job.owner
}

/** Who wanted it stopped: a person or a program by its button, the end of the task that wanted it, or the owner by taking the grant back. */
export type CancelReason = 'asked' | 'task' | 'grant'

/** How a transfer ended that did not complete. */
export type TransferEnd = { readonly kind: 'cancelled'; readonly because: CancelReason } | { readonly kind: 'failed'; readonly code: ProblemCode; readonly attempts: number }

/** What follows from a failed attempt. */
export type AfterFailure = { readonly kind: 'retry'; readonly waitMs: number } | { readonly kind: 'give-up' }

/** Refusals that another attempt cannot change. */
const permanent = new Set([
  'access/no-grant',
  'access/grant-expired',
  'access/grant-withdrawn',
  'access/grant-invalid',
  'access/assertion-needed',
  'access/assertion-invalid',
  'access/forbidden',
  'transfer/cancelled',
  'transfer/digest-mismatch',
  'archive/bad-uid',
  'archive/unreadable',
  'archive/uid-mismatch',
  'request/invalid',
])

/**
 * An outage is waited out for ever, ever more slowly (AGT-16); a refusal, or an instance that stays wrong, ends the
 * transfer visibly. A source that does not have the study (yet) may get it, so that is waited for too.
 */
export function decideAfterFailure(
  error: unknown,
  attempts: number,
  waits: { retryWaitMs: number; maxRetryWaitMs: number },
  askedOwner = true,
): AfterFailure {
  // Another keeper's no is not the owner's: the next attempt asks the next source.
  if (askedOwner && isProblem(error) && permanent.has(error.code)) return { kind: 'give-up' }
  return { kind: 'retry', waitMs: Math.min(waits.retryWaitMs * 2 ** Math.min(attempts, 20), waits.maxRetryWaitMs) }
}
