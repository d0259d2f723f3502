import type { Database, Log, Transaction } from 'service-kit'
import { type EpochMs, type ForwardRow, isProblem, Problem } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { type Delivery, type InstanceToSend, sendInstances } from '../dimse/scu.ts'
import { instanceOfArchive } from '../dimse/stored-instance.ts'
import {
  changeJob,
  confirm,
  confirmed,
  enqueue,
  findForward,
  type ForwardJob,
  type JobChange,
  nextAttemptAt,
  nextDue,
  resumeInterrupted,
  setProgress,
} from './forward-store.ts'
import { nodesThatTakePushes, readNode } from './store.ts'

export interface ForwarderOptions {
  readonly db: Database
  /** Where pushed studies arrive. */
  readonly archive: Pick<Archive, 'open' | 'manifest'>
  readonly callingAeTitle: string
  /** The gate for outbound addresses, see ScuSettings. */
  readonly addressOf?: (host: string) => Promise<string>
  readonly log: Log
  readonly now?: () => EpochMs
  /** The wait after the first failed attempt; it doubles with each. */
  readonly retryWaitMs?: number
  readonly maxRetryWaitMs?: number
  /** Associations to one node at a time. */
  readonly associations?: number
  /** After each change that a page may show. */
  onChange?(row: ForwardRow): void
}

/** Confirmed instances are written down in groups; a crash repeats at most this many, which the receiver drops. */
const CONFIRM_EVERY = 20

/**
 * Sends studies that arrived by push on to the hospital's own DICOM nodes (FED-15): a durable queue, one study at a time
 * per node, resumed at the instance after a restart. What may get better by itself is tried for ever, with growing waits;
 * what cannot (a syntax the node does not take) waits for a person.
 */
export class Forwarder {
  readonly #options: Required<Omit<ForwarderOptions, 'onChange' | 'addressOf'>> & Pick<ForwarderOptions, 'onChange' | 'addressOf'>
  readonly #busy = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false

  constructor(options: ForwarderOptions) {
    this.#options = { now: Date.now, retryWaitMs: 5_000, maxRetryWaitMs: 10 * 60_000, associations: 1, ...options }
  }

  /** Call it in the transaction that records the arrival: either both happen or neither. */
  async studyArrived(tx: Transaction, studyInstanceUid: string): Promise<void> {
    const nodes = await nodesThatTakePushes(tx)
    for (const node of nodes) await enqueue(tx, studyInstanceUid, node.id, this.#options.now())
    if (nodes.length > 0) tx.afterCommit(() => this.#wake())
  }

  async start(): Promise<void> {
    const { db, log, now } = this.#options
    const interrupted = await resumeInterrupted(db, now())
    if (interrupted > 0) log.info({ interrupted }, 'forwarding goes on where it stopped')
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#looking
    await Promise.all(this.#busy.values())
  }

  /** A person asks for another attempt, now. @throws {Problem} dimse/unknown-forward */
  async retry(studyInstanceUid: string, nodeId: string): Promise<ForwardRow> {
    const { db, now } = this.#options
    const job = await findForward(db, { studyInstanceUid, nodeId })
    if (!job) throw new Problem('dimse/unknown-forward', { studyInstanceUid, nodeId })
    if (job.state !== 'running') await db.write((tx) => enqueue(tx, studyInstanceUid, nodeId, now()))
    this.#wake()
    return (await findForward(db, job)) ?? job
  }

  #wake(): void {
    if (this.#stopping.signal.aborted) return
    if (this.#looking) {
      this.#lookAgain = true
      return
    }
    clearTimeout(this.#timer)
    this.#looking = this.#look()
      .catch((error: unknown) => {
        this.#options.log.error({ err: error }, 'the forwarding queue cannot be read')
        this.#sleep(this.#options.retryWaitMs)
      })
      .finally(() => {
        this.#looking = undefined
        if (!this.#lookAgain) return
        this.#lookAgain = false
        this.#wake()
      })
  }

  async #look(): Promise<void> {
    const { db, now } = this.#options
    for (;;) {
      const job = await nextDue(db, now(), new Set(this.#busy.keys()))
      if (!job || this.#stopping.signal.aborted) break
      const done = this.#attempt(job)
        .catch((error: unknown) => this.#options.log.error({ err: error, ...job }, 'forwarding failed'))
        .finally(() => {
          this.#busy.delete(job.nodeId)
          this.#wake()
        })
      this.#busy.set(job.nodeId, done)
    }
    const next = await nextAttemptAt(db)
    if (next !== undefined && next > now()) this.#sleep(next - now())
  }

  #sleep(waitMs: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopping.signal.aborted) this.#timer = setTimeout(() => this.#wake(), Math.min(waitMs, 60_000))
  }

  async #attempt(job: ForwardJob): Promise<void> {
    const { db, now, log } = this.#options
    const attempts = job.attempts + 1
    await changeJob(db, job, { state: 'running', attempts, nextAttemptAt: null, problem: null }, ['waiting', 'retrying'], now())
    await this.#tell(job)
    const problem = await this.#send(job).catch((error: unknown): Failure => ({
      again: isProblem(error) ? 'permanent' : 'transient',
      problem: isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }),
    }))
    // Stopped on purpose is no failure of the node: it goes on at the next start, uncounted.
    const change =
      this.#stopping.signal.aborted && problem
        ? { state: 'waiting' as const, attempts: job.attempts, nextAttemptAt: now(), problem: null }
        : decideAfter(attempts, problem, now(), this.#options)
    if (problem)
      log.warn(
        {
          studyInstanceUid: job.studyInstanceUid,
          nodeId: job.nodeId,
          code: problem.problem.code,
          facts: problem.problem.facts,
          err: problem.problem.cause,
          state: change.state,
        },
        'study not forwarded',
      )
    await changeJob(db, job, change, ['running'], now())
    await this.#tell(job)
  }

  /** @returns why not everything is at the node now. */
  async #send(job: ForwardJob): Promise<Failure | undefined> {
    const { db, archive, callingAeTitle, addressOf, associations, log, now } = this.#options
    const node = await readNode(db, job.nodeId)
    const manifest = await archive.manifest(job.studyInstanceUid)
    const there = await confirmed(db, job)
    const missing = manifest.filter((row) => there.get(row.sopInstanceUid) !== row.sm3)
    const digests = new Map(missing.map((row) => [row.sopInstanceUid as string, row.sm3 as string]))
    let done = manifest.length - missing.length
    let unwritten: { sopInstanceUid: string; sm3: string }[] = []
    let writing = Promise.resolve()
    const write = () => {
      const group = unwritten
      unwritten = []
      done += group.length
      const doneNow = done
      writing = writing.then(async () => {
        await db.write(async (tx) => {
          await confirm(tx, job, group)
          await setProgress(tx, job, doneNow, manifest.length, now())
        })
        await this.#tell(job)
      })
      writing.catch(() => undefined) // awaited below; until then it must not count as unhandled
    }
    write() // shows the total from the beginning
    const instances: InstanceToSend[] = missing.map((row) => instanceOfArchive(archive, row))
    const deliveries = await sendInstances(node, instances, {
      callingAeTitle,
      ...(addressOf && { addressOf }),
      associations,
      log,
      signal: this.#stopping.signal,
      onDelivery: ({ kind, sopInstanceUid }) => {
        if (kind !== 'stored') return
        unwritten.push({ sopInstanceUid, sm3: digests.get(sopInstanceUid) ?? '' })
        if (unwritten.length >= CONFIRM_EVERY) write()
      },
    })
    write()
    await writing
    return worstOf(deliveries)
  }

  async #tell(job: ForwardJob): Promise<void> {
    const { onChange, db } = this.#options
    const row = onChange && (await findForward(db, job))
    if (row) onChange(row)
  }
}

interface Failure {
  readonly again: 'transient' | 'permanent'
  readonly problem: Problem
}

/** As long as something may succeed by itself the job goes on; a permanent failure is shown when nothing else is left. */
export function worstOf(deliveries: readonly Delivery[]): Failure | undefined {
  const failures = deliveries.filter((delivery) => delivery.kind === 'failed')
  return failures.find((failure) => failure.again === 'transient') ?? failures[0]
}

/** What to do after an attempt: the wait doubles with each failure, up to a limit. */
export function decideAfter(
  attempts: number,
  failure: Failure | undefined,
  now: EpochMs,
  { retryWaitMs, maxRetryWaitMs }: { retryWaitMs: number; maxRetryWaitMs: number },
): JobChange {
  if (!failure) return { state: 'done', attempts, nextAttemptAt: null, problem: null }
  if (failure.again === 'permanent') return { state: 'failed', attempts, nextAttemptAt: null, problem: failure.problem }
  const waitMs = Math.min(retryWaitMs * 2 ** Math.min(attempts - 1, 20), maxRetryWaitMs)
  return { state: 'retrying', attempts, nextAttemptAt: now + waitMs, problem: failure.problem }
}
