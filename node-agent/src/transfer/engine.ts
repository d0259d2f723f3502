import type { Database, Log, Metrics, Transaction } from 'service-kit'
import {
  isProblem,
  noteOf,
  Problem,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type Manifest,
  type ManifestRow,
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
import type { SourceSession } from './source-session.ts'
import {
  changeJob,
  dueJobs,
  findJob,
  forgetJob,
  jobsOfStudy,
  jobsOfTask,
  keepManifest,
  keptManifest,
  nextDueAt,
  requeueRunning,
  wakeWaiting,
  wishStudy,
} from './store.ts'
import type { StudyRun } from './study-run.ts'
import { Waiters } from './waiters.ts'

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
  readonly #waiters = new Waiters()
  readonly #received
  #timer: ReturnType<typeof setTimeout> | undefined
  #isStarted = false
  #pumping: Promise<void> = Promise.resolve()
  /** Jobs somebody is looking at: they do not wait for a free place. */
  readonly #watched = new Set<string>()

  constructor(parts: TransferEngineParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#received = parts.metrics.counter('transfer_received_bytes_total', 'Image bytes fetched from other hospitals')
  }

  async start(): Promise<void> {
    this.#isStarted = true
    await requeueRunning(this.#parts.db)
    this.#pump()
  }

  /** Running jobs stop where they are and go on at the next start. */
  async stop(): Promise<void> {
    this.#isStarted = false
    clearTimeout(this.#timer)
    await this.#pumping
    for (const { abort } of this.#active.values()) abort.abort(new Stopped())
    await Promise.all([...this.#active.values()].map(({ done }) => done))
  }

  get activeCount(): number {
    return this.#active.size
  }

  /** Asks for a study in the transaction of whatever makes us want it; starts after its commit. */
  async wish(tx: Transaction, wish: TransferWish): Promise<string> {
    const transferId = await wishStudy(tx, wish, this.#now())
    tx.afterCommit(() => this.#pump())
    return transferId
  }

  /** The line is back: nothing sits out its pause. */
  wake(): void {
    if (!this.#isStarted) return
    void wakeWaiting(this.#parts.db).then(
      () => this.#pump(),
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
    this.#pump()
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
    const key = sessionKey(transferId)
    // Waiting begins before looking, so that nothing happens unnoticed in between.
    const opened = this.#waiters.wait(key, signal)
    const [, outcome] = await Promise.all([opened, this.#hasten(transferId)])
    return outcome === 'complete' ? undefined : this.#active.get(transferId)?.session
  }

  async #hasten(transferId: string): Promise<'complete' | 'running'> {
    const key = sessionKey(transferId)
    const job = await findJob(this.#parts.db, transferId)
    if (!job || job.state === 'complete') {
      this.#waiters.fulfil(key)
      return 'complete'
    }
    if (this.#active.get(transferId)?.session) {
      this.#waiters.fulfil(key)
      return 'running'
    }
    this.#watched.add(transferId)
    if (job.state !== 'running')
      await changeJob(this.#parts.db, transferId, { state: 'waiting', nextAttemptAt: 0 }, ['waiting', 'failed', 'cancelled'], this.#now())
    this.#pump()
    return 'running'
  }

  /** Waits until the instance is in the archive; it is fetched before everything else. @throws what ended the transfer. */
  async waitFor(transferId: string, sopInstanceUid: SopInstanceUid, signal?: AbortSignal): Promise<void> {
    if (await this.#parts.archive.instance(sopInstanceUid)) return
    const arrived = this.#waiters.wait(instanceKey(transferId, sopInstanceUid), signal)
    arrived.catch(() => undefined) // it is awaited below; until then nobody would hear of an early end
    // Between looking and waiting it may have arrived.
    if (await this.#parts.archive.instance(sopInstanceUid)) this.#waiters.fulfil(instanceKey(transferId, sopInstanceUid))
    const urging = this.watch(transferId, signal).then(() => this.#active.get(transferId)?.run?.urge(sopInstanceUid))
    await Promise.race([arrived, urging.then(() => arrived)])
  }

  async metadata(transferId: string, seriesInstanceUid: SeriesInstanceUid, signal?: AbortSignal): Promise<Buffer | undefined> {
    return (await this.watch(transferId, signal))?.metadata(seriesInstanceUid)
  }

  #pump(): void {
    if (!this.#isStarted) return
    this.#pumping = this.#pumping
      .then(() => this.#startDue())
      .catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'transfers not started')
        this.#sleep(this.#parts.settings.retryWaitMs)
      })
  }

  async #startDue(): Promise<void> {
    let isFull = false
    for (const job of await dueJobs(this.#parts.db, this.#now())) {
      if (!this.#isStarted) return
      if (this.#active.has(job.transferId)) continue
      const hasPlace = this.#active.size < this.#parts.settings.studiesAtOnce
      if (!hasPlace && !this.#watched.has(job.transferId)) {
        isFull = true
        continue
      }
      if (await changeJob(this.#parts.db, job.transferId, { state: 'running', problem: null }, ['waiting'], this.#now())) this.#begin(job)
    }
    const at = await nextDueAt(this.#parts.db)
    // Whoever found no place is looked at again when one becomes free; a job may also have come due since we looked.
    if (at !== null && (at > this.#now() || !isFull)) this.#sleep(at - this.#now())
  }

  #sleep(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#isStarted) this.#timer = setTimeout(() => this.#pump(), Math.max(10, milliseconds))
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
        this.#pump()
      }
    })
    this.#active.set(job.transferId, { job, abort, done })
  }

  async #run(job: TransferJob, signal: AbortSignal): Promise<void> {
    const key = (row: ManifestRow) => instanceKey(job.transferId, row.sopInstanceUid)
    const totals = await attemptTransfer({ ...this.#parts, now: this.#now }, job, signal, {
      onOpened: (session, run) => {
        const active = this.#active.get(job.transferId)
        if (active) Object.assign(active, { session, run })
        this.#waiters.fulfil(sessionKey(job.transferId))
      },
      onHeld: (row) => {
        this.#received.inc(row.sizeBytes)
        this.#waiters.fulfil(key(row))
      },
      onFailed: (row, problem) => this.#waiters.fail(key(row), problem),
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
    this.#watched.delete(transferId)
    this.#waiters.fulfil(sessionKey(transferId))
    log.info({ studyInstanceUid, instances, sizeBytes, milliseconds: this.#now() - job.startedAt }, 'transfer complete')
    announce({ type: 'transfer', studyInstanceUid, instancesDone: instances, instancesTotal: instances, state: 'complete' })
  }

  async #afterFailure(job: TransferJob, error: unknown): Promise<void> {
    const { db, settings, log, announce, onEnd } = this.#parts
    if (error instanceof Stopped) {
      await changeJob(db, job.transferId, { state: 'waiting', nextAttemptAt: 0 }, ['running'], this.#now())
      this.#failWaiters(job, new Problem('service/unavailable'))
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
    if (!isSessionLost) this.#failWaiters(job, error)
  }

  async #abandon(transferId: string, problem: Problem): Promise<void> {
    const active = this.#active.get(transferId)
    active?.abort.abort(problem)
    await active?.done
    const job = await findJob(this.#parts.db, transferId)
    if (!job) return
    await partialsOf(this.#parts, job).removeAll()
    this.#failWaiters(job, problem)
    this.#parts.announce({
      type: 'transfer',
      studyInstanceUid: job.studyInstanceUid,
      instancesDone: job.instancesDone,
      instancesTotal: job.instancesTotal,
      state: 'cancelled',
    })
  }

  #failWaiters(job: TransferJob, error: unknown): void {
    this.#watched.delete(job.transferId)
    this.#waiters.fail(sessionKey(job.transferId), error)
    this.#waiters.failWhere((key) => key.startsWith(instanceKey(job.transferId, '')), error)
  }

  /** Job that brings a study here, if one was ever asked for. */
  async jobOfStudy(studyInstanceUid: string, owner: HospitalId): Promise<TransferJob | undefined> {
    return (await jobsOfStudy(this.#parts.db, studyInstanceUid)).find((job) => job.owner === owner)
  }
}

const sessionKey = (transferId: string) => `session ${transferId}`
const instanceKey = (transferId: string, sopInstanceUid: string) => `instance ${transferId} ${sopInstanceUid}`

/** The process ends; the job does not. */
class Stopped extends Error {}
