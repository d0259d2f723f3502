import type { Database, Log } from 'service-kit'
import type { EpochMs } from 'specs'
import type { TransferJob } from './job.ts'
import { changeJob, dueJobs, nextDueAt, requeueRunning } from './store.ts'

export interface TransferQueueParts {
  readonly db: Database
  readonly log: Log
  readonly retryWaitMs: number
  readonly now: () => EpochMs
  readonly isRunning: (transferId: string) => boolean
  /** Whether there is a free place for it. */
  readonly mayBegin: (transferId: string) => boolean
  readonly begin: (job: TransferJob) => void
}

/** Begins jobs when they are due and there is a place for them; the rows are the queue, so a killed process loses none. */
export class TransferQueue {
  readonly #parts: TransferQueueParts
  #timer: ReturnType<typeof setTimeout> | undefined
  #isStarted = false
  #pumping: Promise<void> = Promise.resolve()

  constructor(parts: TransferQueueParts) {
    this.#parts = parts
  }

  get isStarted(): boolean {
    return this.#isStarted
  }

  async start(): Promise<void> {
    this.#isStarted = true
    await requeueRunning(this.#parts.db)
    this.pump()
  }

  /** Nothing begins any more. */
  async stop(): Promise<void> {
    this.#isStarted = false
    clearTimeout(this.#timer)
    await this.#pumping
  }

  /** Looks for due jobs; whoever has changed one, or left a place, calls it. */
  pump(): void {
    if (!this.#isStarted) return
    this.#pumping = this.#pumping
      .then(() => this.#startDue())
      .catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'transfers not started')
        this.#sleep(this.#parts.retryWaitMs)
      })
  }

  async #startDue(): Promise<void> {
    const { db, now, isRunning, mayBegin, begin } = this.#parts
    let isFull = false
    for (const job of await dueJobs(db, now())) {
      if (!this.#isStarted) return
      if (isRunning(job.transferId)) continue
      if (!mayBegin(job.transferId)) {
        isFull = true
        continue
      }
      if (await changeJob(db, job.transferId, { state: 'running', problem: null }, ['waiting'], now())) begin(job)
    }
    const at = await nextDueAt(db)
    // Whoever found no place is looked at again when one becomes free; a job may also have come due since we looked.
    if (at !== null && (at > now() || !isFull)) this.#sleep(at - now())
  }

  #sleep(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#isStarted) this.#timer = setTimeout(() => this.pump(), Math.max(10, milliseconds))
  }
}
