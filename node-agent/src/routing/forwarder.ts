import type { Database, Log, Transaction } from 'service-kit'
import { type DestinationLimit, type EpochMs, isProblem, type ManifestRow, Problem } from 'specs'
import type { Archive, ArchiveName } from '../archive/archive.ts'
import { type Delivery, type InstanceToSend, sendInstances } from '../dimse/scu.ts'
import { instanceOfArchive, type Transcode } from '../dimse/stored-instance.ts'
import { nodesThatTakePushes, readNode } from '../dicom-node/store.ts'
import { ByteRate } from './byte-rate.ts'
import {
  changeJob,
  confirm,
  confirmed,
  enqueue,
  findForward,
  findForwardById,
  type Forward,
  type ForwardJob,
  type ForwardOrder,
  type JobChange,
  nextAttemptAt,
  nextDue,
  orderOf,
  resumeInterrupted,
  setProgress,
} from './forward-store.ts'

export interface ForwarderOptions {
  readonly db: Database
  /** Where what is sent is read: pushed studies are in the regional archive, our own in the other. */
  readonly archiveOf: (name: ArchiveName) => Pick<Archive, 'open' | 'manifest'>
  readonly callingAeTitle: string
  /** The gate for outbound addresses, see ScuSettings. */
  readonly addressOf?: (host: string) => Promise<string>
  readonly log: Log
  readonly now?: () => EpochMs
  /** The wait after the first failed attempt; it doubles with each. */
  readonly retryWaitMs?: number
  readonly maxRetryWaitMs?: number
  /** For nodes that do not take what is stored; without it those are told so. */
  readonly transcode?: Transcode
  /** How hard a node may be sent to; one association, as fast as it takes it, unless told. */
  readonly limitsOf?: (nodeId: string) => Promise<DestinationLimit>
  /** When a job may run by the time windows of its rule; now or later. */
  readonly mayRunAt?: (job: ForwardJob) => Promise<EpochMs>
  /** After each change that a page may show. */
  onChange?(row: Forward): void
  /** A delivery has ended, one way or the other. */
  onEnd?(job: ForwardJob, row: Forward): void
}

/** Confirmed instances are written down in groups; a crash repeats at most this many, which the receiver drops. */
const CONFIRM_EVERY = 20

const unlimited: DestinationLimit = { associations: 1, kilobytesPerSecond: 0 }

/**
 * Sends studies on to the hospital's own DICOM nodes: what arrived by push (FED-15), what rules route and prefetch (ARC-17). A durable
 * queue, one study at a time per node, resumed at the instance after a restart. What may get better by itself is tried with growing
 * waits, until the rule gives up; what cannot (a syntax the node does not take) waits for a person.
 */
export class Forwarder {
  readonly #options: ForwarderOptions & Required<Pick<ForwarderOptions, 'now' | 'retryWaitMs' | 'maxRetryWaitMs'>>
  readonly #busy = new Map<string, { readonly job: ForwardJob; readonly cancel: AbortController; readonly done: Promise<void> }>()
  readonly #rates = new Map<string, { readonly kilobytesPerSecond: number; readonly rate: ByteRate }>()
  readonly #stopping = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false

  constructor(options: ForwarderOptions) {
    this.#options = { now: Date.now, retryWaitMs: 5_000, maxRetryWaitMs: 10 * 60_000, ...options }
  }

  /** Call it in the transaction that records the arrival: either both happen or neither. */
  async studyArrived(tx: Transaction, studyInstanceUid: string): Promise<void> {
    const nodes = await nodesThatTakePushes(tx)
    for (const node of nodes) await this.order(tx, { studyInstanceUid, nodeId: node.id, kept: 'regional' })
  }

  /** Puts a study into the queue in the caller's transaction. @returns whether it was not waiting there already. */
  async order(tx: Transaction, order: ForwardOrder): Promise<boolean> {
    const isNew = await enqueue(tx, order, this.#options.now())
    tx.afterCommit(() => this.#wake())
    return isNew
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
    await Promise.all([...this.#busy.values()].map(({ done }) => done))
  }

  /** A person asks for another attempt, now. @throws {Problem} dimse/unknown-forward */
  async retry(forwardId: string): Promise<Forward> {
    const { db, now } = this.#options
    const [row, job] = [await this.#read(forwardId), await orderOf(db, forwardId)]
    if (job && row.state !== 'running') await db.write((tx) => enqueue(tx, { ...job, seriesModalities: job.seriesModalities ?? undefined, giveUpAt: null, ruleId: job.ruleId ?? undefined, priority: row.priority }, now()))
    this.#wake()
    return this.#read(forwardId)
  }

  /** A person takes it out of the queue; what the node has got stays there. @throws {Problem} dimse/unknown-forward */
  async cancel(forwardId: string): Promise<Forward> {
    const { db, now } = this.#options
    const row = await this.#read(forwardId)
    const change = { state: 'cancelled' as const, attempts: row.attempts, nextAttemptAt: null, problem: null }
    await changeJob(db, row, change, ['waiting', 'running', 'retrying', 'failed'], now())
    const busy = this.#busy.get(row.nodeId)
    if (busy?.job.studyInstanceUid === row.studyInstanceUid) busy.cancel.abort()
    await this.#tell(row)
    return this.#read(forwardId)
  }

  async #read(forwardId: string): Promise<Forward> {
    const row = await findForwardById(this.#options.db, forwardId)
    if (!row) throw new Problem('dimse/unknown-forward')
    return row
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
      if (await this.#isTooEarly(job)) continue
      const cancel = new AbortController()
      const done = this.#attempt(job, AbortSignal.any([this.#stopping.signal, cancel.signal]))
        .catch((error: unknown) => this.#options.log.error({ err: error, ...job }, 'forwarding failed'))
        .finally(() => {
          this.#busy.delete(job.nodeId)
          this.#wake()
        })
      this.#busy.set(job.nodeId, { job, cancel, done })
    }
    const next = await nextAttemptAt(db)
    if (next !== undefined && next > now()) this.#sleep(next - now())
  }

  /** Outside of its rule's time windows a job goes back into the queue until the next one opens. */
  async #isTooEarly(job: ForwardJob): Promise<boolean> {
    const { db, now, mayRunAt } = this.#options
    const at = (await mayRunAt?.(job)) ?? 0
    if (at <= now()) return false
    await changeJob(db, job, { state: 'waiting', attempts: job.attempts, nextAttemptAt: at, problem: null }, ['waiting', 'retrying'], now())
    await this.#tell(job)
    return true
  }

  #sleep(waitMs: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopping.signal.aborted) this.#timer = setTimeout(() => this.#wake(), Math.min(waitMs, 60_000))
  }

  async #attempt(job: ForwardJob, signal: AbortSignal): Promise<void> {
    const { db, now, log, onEnd } = this.#options
    const attempts = job.attempts + 1
    await changeJob(db, job, { state: 'running', attempts, nextAttemptAt: null, problem: null }, ['waiting', 'retrying'], now())
    await this.#tell(job)
    const problem = await this.#send(job, signal).catch((error: unknown): Failure => ({
      again: isProblem(error) ? 'permanent' : 'transient',
      problem: isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }),
    }))
    // Stopped on purpose is no failure of the node: it goes on at the next start, uncounted.
    const change =
      this.#stopping.signal.aborted && problem
        ? { state: 'waiting' as const, attempts: job.attempts, nextAttemptAt: now(), problem: null }
        : decideAfter(attempts, problem, now(), { ...this.#options, giveUpAt: job.giveUpAt })
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
    const row = await findForward(db, job)
    if (row && (row.state === 'done' || row.state === 'failed')) onEnd?.(job, row)
  }

  /** @returns why not everything is at the node now. */
  async #send(job: ForwardJob, signal: AbortSignal): Promise<Failure | undefined> {
    const { db, archiveOf, callingAeTitle, addressOf, limitsOf, transcode, log, now } = this.#options
    const archive = archiveOf(job.kept)
    const node = await readNode(db, job.nodeId)
    const limit = (await limitsOf?.(job.nodeId)) ?? unlimited
    const wanted = (row: ManifestRow) => job.seriesModalities === null || job.seriesModalities.includes(row.modality)
    const manifest = (await archive.manifest(job.studyInstanceUid)).filter(wanted)
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
    const rate = this.#rateOf(job.nodeId, limit)
    const instances: InstanceToSend[] = missing.map((row) => {
      const instance = instanceOfArchive(archive, row, transcode)
      return rate === undefined ? instance : rate.slowed(instance)
    })
    const deliveries = await sendInstances(node, instances, {
      callingAeTitle,
      ...(addressOf && { addressOf }),
      associations: limit.associations,
      log,
      signal,
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

  /** One for each node, so that several associations share the line. */
  #rateOf(nodeId: string, { kilobytesPerSecond }: DestinationLimit): ByteRate | undefined {
    if (kilobytesPerSecond === 0) return undefined
    let held = this.#rates.get(nodeId)
    if (held?.kilobytesPerSecond !== kilobytesPerSecond) {
      held = { kilobytesPerSecond, rate: new ByteRate(kilobytesPerSecond * 1_000) }
      this.#rates.set(nodeId, held)
    }
    return held.rate
  }

  async #tell(job: Pick<ForwardJob, 'studyInstanceUid' | 'nodeId'>): Promise<void> {
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

/** What to do after an attempt: the wait doubles with each failure, up to a limit; past `giveUpAt` a person has to look. */
export function decideAfter(
  attempts: number,
  failure: Failure | undefined,
  now: EpochMs,
  { retryWaitMs, maxRetryWaitMs, giveUpAt = null }: { retryWaitMs: number; maxRetryWaitMs: number; giveUpAt?: EpochMs | null },
): JobChange {
  if (!failure) return { state: 'done', attempts, nextAttemptAt: null, problem: null }
  const waitMs = Math.min(retryWaitMs * 2 ** Math.min(attempts - 1, 20), maxRetryWaitMs)
  const isOver = failure.again === 'permanent' || (giveUpAt !== null && now + waitMs > giveUpAt)
  if (isOver) return { state: 'failed', attempts, nextAttemptAt: null, problem: failure.problem }
  return { state: 'retrying', attempts, nextAttemptAt: now + waitMs, problem: failure.problem }
}
