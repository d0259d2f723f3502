import type { Database, Log } from 'service-kit'
import type { EpochMs, LiveEvent } from 'specs'
import type { TransferJob } from './job.ts'
import type { PieceQueue } from './piece-queue.ts'
import { changeJob } from './store.ts'

/** Pages hear of progress this often, and the table is written as often. */
const PROGRESS_MS = 500

export interface ProgressParts {
  readonly db: Database
  readonly log: Log
  readonly announce: (event: LiveEvent) => void
  readonly now: () => EpochMs
}

/** Tells how far one transfer is, not more often than a person can read. */
export class Progress {
  readonly #parts: ProgressParts
  readonly #job: TransferJob
  readonly #queue: PieceQueue
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(parts: ProgressParts, job: TransferJob, queue: PieceQueue) {
    this.#parts = parts
    this.#job = job
    this.#queue = queue
  }

  note(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#save().catch((error: unknown) => this.#parts.log.error({ err: error }, 'progress not saved'))
    }, PROGRESS_MS)
  }

  /** Writes where it has come to; nothing is written afterwards. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#save()
  }

  async #save(): Promise<void> {
    const { db, announce, now } = this.#parts
    const { transferId, studyInstanceUid } = this.#job
    const { heldInstances, heldBytes, total, totalBytes } = this.#queue.counts()
    announce({ type: 'transfer', studyInstanceUid, instancesDone: heldInstances, instancesTotal: total, state: 'running' })
    const change = { instancesDone: heldInstances, instancesTotal: total, bytesDone: heldBytes, bytesTotal: totalBytes }
    await changeJob(db, transferId, change, ['running', 'cancelled'], now())
  }
}
