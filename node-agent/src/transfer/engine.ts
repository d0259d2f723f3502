import type { Database, Log, Metrics, Transaction } from 'service-kit'
import {
  isProblem,
  noteOf,
  Problem,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type Manifest,
  type SeriesInstanceUid,
  type SopInstanceUid,
  type TaskId,
} from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { Assert } from '../assertion/assert.ts'
import type { NodeConfig } from '../config.ts'
import type { Line } from '../region/line.ts'
import { attemptTransfer, partialsOf } from './attempt.ts'
import type { FileEncryption } from '../archive/encryption/file-encryption.ts'
import type { PieceCoder } from './cipher-thread.ts'
import { decideAfterFailure, sourceOf, type CancelReason, type TransferEnd, type TransferJob, type TransferWish } from './job.ts'
import { Onlookers } from './onlookers.ts'
import { TransferQueue } from './queue.ts'
import type { SourceSession } from './source-session.ts'
import {
  changeJob,
  findJob,
  forgetJob,
  jobsOfStudy,
  jobsOfTask,
  keepManifest,
  keptManifest,
  wakeWaiting,
  wishStudy,
} from './store.ts'
import type { StudyRun } from './study-run.ts'

export interface TransferEngineParts {
  readonly db: Database
  readonly line: Line
  readonly coder: PieceCoder
  /** Where fetched studies go. */
  readonly archive: Archive
  /** Unfinished instances lie below it. */
  readonly folder: string
  /** With it, they lie there encrypted, as they will in the archive. */
  readonly encryption?: FileEncryption
  readonly settings: NodeConfig['transfer']
  readonly log: Log
  readonly metrics: Metrics
  readonly announce: (event: LiveEvent) => void
  /** A study is complete here: part of the transaction that says so. It may happen again for the same study. */
  readonly onComplete: (tx: Transaction, job: TransferJob) => Promise<void>
  /** It was cancelled or given up: part of the transaction that says so. */
  readonly onEnd?: (tx: Transaction, job: TransferJob, end: TransferEnd) => Promise<void>
  /** See AttemptParts. */
  readonly assert?: Assert
  readonly now?: () => EpochMs
}

interface Active {
  readonly job: TransferJob
  readonly abort: AbortController
  readonly done: Promise<void>
  session?: SourceSession
  run?: StudyRun
}

/**
 * Fetches studies from other parties, a few at a time, for ever if need be: every job is a row, so a killed process goes
 * on where it stopped; an outage only makes the pauses longer.
 */
export class TransferEngine {
  readonly #parts: TransferEngineParts
  readonly #now: () => EpochMs
  readonly #active = new Map<string, Active>()
  readonly #onlookers = new Onlookers()
  readonly #queue: TransferQueue
  readonly #received

  constructor(parts: TransferEngineParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#queue = new TransferQueue({
      db: parts.db,
      log: parts.log,
      retryWaitMs: parts.settings.retryWaitMs,
      now: this.#now,
      isRunning: (transferId) => this.#active.has(transferId),
      mayBegin: (transferId) => this.#active.size < parts.settings.studiesAtOnce || this.#onlookers.isWatched(transferId),
      begin: (job) => this.#begin(job),
    })
    this.#received = parts.metrics.counter('transfer_received_bytes_total', 'Image bytes fetched from other hospitals')
  }

  start(): Promise<void> {
    return this.#queue.start()
  }

  /** Running jobs stop where they are and go on at the next start. */
  async stop(): Promise<void> {
    await this.#queue.stop()
    for (const { abort } of this.#active.values()) abort.abort(new Stopped())
    await Promise.all([...this.#active.values()].map(({ done }) => done))
  }

  get activeCount(): number {
    return this.#active.size
  }

  /** Asks for a study in the transaction of whatever makes us want it; starts after its commit. */
  async wish(tx: Transaction, wish: TransferWish): Promise<string> {
    const transferId = await wishStudy(tx, wish, this.#now())
    tx.afterCommit(() => this.#queue.pump())
    return transferId
  }

  /** The line is back: nothing sits out its pause. */
  wake(): void {
    if (!this.#queue.isStarted) return
    void wakeWaiting(this.#parts.db).then(
      () => this.#queue.pump(),
      (error: unknown) => this.#parts.log.error({ err: error }, 'transfers not woken'),
    )
  }

  /** @throws {Problem} request/not-found, request/conflict when it has ended already. */
  async cancel(transferId: string, because: CancelReason): Promise<void> {
    const { db, onEnd } = this.#parts
    const problem = new Problem('transfer/cancelled')
    await db.write(async (tx) => {
      const job = await findJob(tx, transferId)
      if (!job) throw new Problem('request/not-found', { transferId })
      const change = { state: 'cancelled', problem: noteOf(problem) } as const
      if (!(await changeJob(tx, transferId, change, ['waiting', 'running', 'failed'], this.#now()))) throw new Problem('request/conflict', { transferId })
      await onEnd?.(tx, job, { kind: 'cancelled', because })
    })
    await this.#abandon(transferId, problem)
  }

  /** Nobody needs the images of this task any more; a study that another task also wants goes on. */
  async cancelForTask(taskId: TaskId, isWantedByOthers: (job: TransferJob) => Promise<boolean>): Promise<void> {
    for (const job of await jobsOfTask(this.#parts.db, taskId)) {
      if (job.state !== 'waiting' && job.state !== 'running') continue
      if (!(await isWantedByOthers(job))) await this.cancel(job.transferId, 'task')
    }
  }

  /** @throws {Problem} request/not-found, request/conflict unless it has failed or was cancelled. */
  async retry(transferId: string): Promise<void> {
    if (!(await findJob(this.#parts.db, transferId))) throw new Problem('request/not-found', { transferId })
    const change = { state: 'waiting', attempts: 0, nextAttemptAt: 0, problem: null } as const
    if (!(await changeJob(this.#parts.db, transferId, change, ['failed', 'cancelled', 'waiting'], this.#now())))
      throw new Problem('request/conflict', { transferId })
    this.#queue.pump()
  }

  /** Removes every trace of a transfer whose study leaves the cache. */
  async forget(transferId: string): Promise<void> {
    await this.#parts.db.write((tx) => forgetJob(tx, transferId))
  }

  /** What the source says the study consists of: from the running session, or as last seen. */
  async manifestOf(job: TransferJob): Promise<Manifest | undefined> {
    return this.#active.get(job.transferId)?.session?.manifest ?? keptManifest(this.#parts.db, job.transferId)
  }

  /** Somebody opens the study: it runs at once and beside the others. Resolves with its session, or undefined when it is complete. */
  async watch(transferId: string, signal?: AbortSignal): Promise<SourceSession | undefined> {
    // Waiting begins before looking, so that nothing happens unnoticed in between.
    const opened = this.#onlookers.forSession(transferId, signal)
    const [, outcome] = await Promise.all([opened, this.#hasten(transferId)])
    return outcome === 'complete' ? undefined : this.#active.get(transferId)?.session
  }

  async #hasten(transferId: string): Promise<'complete' | 'running'> {
    const job = await findJob(this.#parts.db, transferId)
    if (!job || job.state === 'complete') {
      this.#onlookers.sessionOpened(transferId)
      return 'complete'
    }
    if (this.#active.get(transferId)?.session) {
      this.#onlookers.sessionOpened(transferId)
      return 'running'
    }
    this.#onlookers.watch(transferId)
    if (job.state !== 'running')
      await changeJob(this.#parts.db, transferId, { state: 'waiting', nextAttemptAt: 0 }, ['waiting', 'failed', 'cancelled'], this.#now())
    this.#queue.pump()
    return 'running'
  }

  /** Waits until the instance is in the archive; it is fetched before everything else. @throws what ended the transfer. */
  async waitFor(transferId: string, sopInstanceUid: SopInstanceUid, signal?: AbortSignal): Promise<void> {
    if (await this.#parts.archive.instance(sopInstanceUid)) return
    const arrived = this.#onlookers.forInstance(transferId, sopInstanceUid, signal)
    arrived.catch(() => undefined) // it is awaited below; until then nobody would hear of an early end
    // Between looking and waiting it may have arrived.
    if (await this.#parts.archive.instance(sopInstanceUid)) this.#onlookers.arrived(transferId, sopInstanceUid)
    const urging = this.watch(transferId, signal).then(() => this.#active.get(transferId)?.run?.urge(sopInstanceUid))
    await Promise.race([arrived, urging.then(() => arrived)])
  }

  async metadata(transferId: string, seriesInstanceUid: SeriesInstanceUid, signal?: AbortSignal): Promise<Buffer | undefined> {
    return (await this.watch(transferId, signal))?.metadata(seriesInstanceUid)
  }

  #begin(job: TransferJob): void {
    const abort = new AbortController()
    const done = Promise.resolve().then(async () => {
      try {
        await this.#run(job, abort.signal)
      } catch (error) {
        await this.#afterFailure(job, error).catch((cause: unknown) => this.#parts.log.error({ err: cause }, 'transfer state not saved'))
      } finally {
        this.#active.delete(job.transferId)
        this.#queue.pump()
      }
    })
    this.#active.set(job.transferId, { job, abort, done })
  }

  async #run(job: TransferJob, signal: AbortSignal): Promise<void> {
    const { transferId } = job
    const totals = await attemptTransfer({ ...this.#parts, now: this.#now }, job, signal, {
      onOpened: (session, run) => {
        const active = this.#active.get(transferId)
        if (active) Object.assign(active, { session, run })
        this.#onlookers.sessionOpened(transferId)
      },
      onHeld: (row) => {
        this.#received.inc(row.sizeBytes)
        this.#onlookers.arrived(transferId, row.sopInstanceUid)
      },
      onFailed: (row, problem) => this.#onlookers.failed(transferId, row.sopInstanceUid, problem),
    })
    await this.#complete(job, totals)
  }

  async #complete(job: TransferJob, { instances, sizeBytes }: { instances: number; sizeBytes: number }): Promise<void> {
    const { db, log, onComplete, announce } = this.#parts
    const { transferId, studyInstanceUid } = job
    const counts = { instancesDone: instances, instancesTotal: instances, bytesDone: sizeBytes, bytesTotal: sizeBytes }
    const change = { ...counts, state: 'complete', attempts: 0, problem: null } as const
    const isComplete = await db.write(async (tx) => {
      if (!(await changeJob(tx, transferId, change, ['running'], this.#now()))) return false
      await keepManifest(tx, transferId, null)
      await onComplete(tx, { ...job, ...change })
      return true
    })
    if (!isComplete) return
    this.#onlookers.complete(transferId)
    log.info({ studyInstanceUid, instances, sizeBytes, milliseconds: this.#now() - job.startedAt }, 'transfer complete')
    announce({ type: 'transfer', studyInstanceUid, instancesDone: instances, instancesTotal: instances, state: 'complete' })
  }

  async #afterFailure(job: TransferJob, error: unknown): Promise<void> {
    const { db, settings, log, announce, onEnd } = this.#parts
    if (error instanceof Stopped) {
      await changeJob(db, job.transferId, { state: 'waiting', nextAttemptAt: 0 }, ['running'], this.#now())
      this.#onlookers.ended(job.transferId, new Problem('service/unavailable'))
      return
    }
    const now = (await findJob(db, job.transferId)) ?? job
    if (now.state === 'cancelled') return
    const madeProgress = now.instancesDone > job.instancesDone
    // A session that the source forgot is simply opened again; only if that does not help, waiting begins.
    const attempts = (madeProgress ? 0 : job.attempts) + 1
    const isSessionLost = isProblem(error) && error.code === 'transfer/unknown-session'
    const after =
      isSessionLost && madeProgress
        ? ({ kind: 'retry', waitMs: 0 } as const)
        : decideAfterFailure(error, attempts - 1, settings, sourceOf(job) === job.owner)
    log.warn(
      { studyInstanceUid: job.studyInstanceUid, attempts, err: error, ...(isProblem(error) && { code: error.code }) },
      after.kind === 'retry' ? 'transfer interrupted' : 'transfer failed',
    )
    const change =
      after.kind === 'retry' ? ({ state: 'waiting', nextAttemptAt: this.#now() + after.waitMs } as const) : ({ state: 'failed' } as const)
    await db.write(async (tx) => {
      if (!(await changeJob(tx, job.transferId, { ...change, attempts, problem: noteOf(error) }, ['running'], this.#now()))) return
      if (change.state === 'failed') await onEnd?.(tx, now, { kind: 'failed', code: isProblem(error) ? error.code : 'service/internal', attempts })
    })
    announce({
      type: 'transfer',
      studyInstanceUid: job.studyInstanceUid,
      instancesDone: now.instancesDone,
      instancesTotal: now.instancesTotal,
      state: change.state,
    })
    if (!isSessionLost) this.#onlookers.ended(job.transferId, error)
  }

  async #abandon(transferId: string, problem: Problem): Promise<void> {
    const active = this.#active.get(transferId)
    active?.abort.abort(problem)
    await active?.done
    const job = await findJob(this.#parts.db, transferId)
    if (!job) return
    await partialsOf(this.#parts, job).removeAll()
    this.#onlookers.ended(transferId, problem)
    this.#parts.announce({
      type: 'transfer',
      studyInstanceUid: job.studyInstanceUid,
      instancesDone: job.instancesDone,
      instancesTotal: job.instancesTotal,
      state: 'cancelled',
    })
  }

  /** Job that brings a study here, if one was ever asked for. */
  async jobOfStudy(studyInstanceUid: string, owner: HospitalId): Promise<TransferJob | undefined> {
    return (await jobsOfStudy(this.#parts.db, studyInstanceUid)).find((job) => job.owner === owner)
  }
}

/** The process ends; the job does not. */
class Stopped extends Error {}
