import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import { AcquisitionJobInput, type AcquisitionRun, type EpochMs, isProblem, Problem } from 'specs'
import type { Archive } from '../../archive/archive.ts'
import { readNode } from '../../dicom-node/store.ts'
import type { StorageSink } from '../../dimse/services.ts'
import type { PriorsWanted } from '../../routing/router.ts'
import { nextOpening } from '../../schedule/time-window.ts'
import { fixedDates } from './asking.ts'
import { RunOnce } from './run-once.ts'
import { nextRunOf } from './schedule.ts'
import { Source } from './source.ts'
import { addRun, changeRun, changeStudy, type KeptJob, type KeptRun, listJobs, listRuns, openRuns, readJob, readRun, setNextRun } from './store.ts'

export interface AcquisitionParts {
  readonly db: Database
  readonly archive: Archive
  readonly log: Log
  readonly audit: AuditTrail
  /** Our own title, to which sources send by C-MOVE; asked at every run. */
  readonly aeTitle: () => string
  /** Where C-GET puts what comes, under the source's title. */
  readonly storage: StorageSink
  readonly addressOf?: (host: string) => Promise<string>
  readonly onChange?: (runId: string) => void
  /** A run has ended; for the log of the rule that asked for it. */
  readonly onEnd?: (run: KeptRun, ended: AcquisitionRun) => void
  readonly now?: () => EpochMs
  readonly retryWaitMs?: number
  readonly maxRetryWaitMs?: number
}

/** A source that is away is asked again for this long. */
const PATIENCE_MS = 7 * 86_400_000

/**
 * 主动获取 (ARC-04): jobs that find studies at another archive and bring them over, by schedule or when a person says so. Runs and their
 * studies are rows: a restart, or a source that was away, goes on at the study where it stopped. One run at a time for each source.
 */
export class Acquisition {
  readonly #parts: AcquisitionParts
  readonly #now: () => EpochMs
  readonly #busy = new Map<string, { readonly runId: string; readonly cancel: AbortController; readonly done: Promise<void> }>()
  readonly #stopping = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: AcquisitionParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  async start(): Promise<void> {
    this.#wake()
    await this.#looking
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#looking
    await Promise.all([...this.#busy.values()].map(({ done }) => done))
  }

  /** Jobs were changed. */
  reschedule(): void {
    this.#wake()
  }

  /** @returns the run. @throws {Problem} acquisition/unknown-job, acquisition/running */
  async runNow(jobId: string): Promise<string> {
    const { db } = this.#parts
    const job = await readJob(db, jobId)
    const isRunning = (await openRuns(db)).some((run) => run.jobId === jobId && run.state !== 'waiting')
    if (isRunning) throw new Problem('acquisition/running', { jobId })
    const runId = await db.write((tx) => this.#begin(tx, job, 'person'))
    this.#wake()
    return runId
  }

  /** What is under way is broken off; what has come stays. @throws {Problem} acquisition/unknown-run */
  async cancel(runId: string): Promise<void> {
    const { db, onChange } = this.#parts
    const run = await readRun(db, runId)
    if (!isOpen(run)) return
    const now = this.#now()
    await db.write(async (tx) => {
      await changeRun(tx, runId, { state: 'cancelled', endedAt: now, nextAt: null, problem: null })
      await tx.run(`UPDATE acquisition_study SET state = 'cancelled', updated_at = $2 WHERE run_id = $1 AND state IN ('waiting', 'fetching')`, [runId, now])
    })
    const busy = this.#busy.get(run.nodeId)
    if (busy?.runId === runId) busy.cancel.abort()
    onChange?.(runId)
  }

  /** What is missing is asked for once more; a run that waits for its source does not wait any longer. @throws {Problem} acquisition/unknown-run */
  async retry(runId: string): Promise<void> {
    const { db } = this.#parts
    const run = await readRun(db, runId)
    const now = this.#now()
    await db.write(async (tx) => {
      if (isOpen(run)) {
        await changeRun(tx, runId, { state: run.state, nextAt: now })
        return
      }
      const studies = await tx.run(`UPDATE acquisition_study SET state = 'waiting', problem = NULL, updated_at = $2 WHERE run_id = $1 AND state <> 'complete'`, [runId, now])
      const found = await tx.get('SELECT run_id FROM acquisition_study WHERE run_id = $1 LIMIT 1', [runId])
      // changeRun leaves cancelled runs alone; a person may take that back.
      if (studies > 0 || !found) await tx.run(`UPDATE acquisition_run SET state = $2, ended_at = NULL, next_at = $3, attempts = 0, problem = NULL WHERE run_id = $1`, [runId, found ? 'fetching' : 'asking', now])
    })
    this.#wake()
  }

  /** The wish of a rule (ARC-17), in its transaction. */
  async wantPriors(tx: Transaction, wants: PriorsWanted): Promise<void> {
    const job = AcquisitionJobInput.parse({ name: wants.ruleName, sourceNodeId: wants.sourceNodeId, method: wants.method, selection: { dates: { kind: 'any' }, patientId: wants.subject.patientId }, maxStudies: wants.select.maxStudies })
    await addRun(tx, { jobId: null, jobName: wants.ruleName, nodeId: wants.sourceNodeId, job, wants, trigger: 'prefetch' }, this.#now())
    tx.afterCommit(() => this.#wake())
  }

  /** With its dates fixed to the days that are meant now. */
  async #begin(tx: Transaction, { id, nextRunAt: _next, ...job }: KeptJob, trigger: KeptRun['trigger']): Promise<string> {
    const fixed: AcquisitionJobInput = { ...job, selection: { ...job.selection, dates: fixedDates(job.selection.dates, new Date(this.#now())) } }
    return addRun(tx, { jobId: id, jobName: job.name, nodeId: job.sourceNodeId, job: fixed, wants: null, trigger }, this.#now())
  }

  #wake(): void {
    clearTimeout(this.#timer)
    if (this.#stopping.signal.aborted) return
    this.#looking = this.#looking
      .then(() => this.#look())
      .catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'active acquisition cannot be read')
        this.#sleep(10_000)
      })
  }

  #sleep(waitMs: number): void {
    clearTimeout(this.#timer)
    if (this.#stopping.signal.aborted) return
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, Math.min(waitMs, 60_000)))
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const { db } = this.#parts
    const open = await openRuns(db)
    await this.#beginScheduled(open)
    const now = this.#now()
    let next = now + 60_000
    for (const run of await openRuns(db)) {
      const dueAt = Math.max(run.nextAt ?? now, nextOpening(run.job.windows, now))
      if (dueAt > now) {
        next = Math.min(next, dueAt)
        if (run.state !== 'waiting') await changeRun(db, run.id, { state: 'waiting', nextAt: dueAt })
      } else if (!this.#busy.has(run.nodeId)) this.#take(run)
    }
    for (const { nextRunAt } of await listJobs(db)) next = Math.min(next, nextRunAt ?? next)
    this.#sleep(next - now)
  }

  async #beginScheduled(open: readonly KeptRun[]): Promise<void> {
    const { db } = this.#parts
    const now = this.#now()
    for (const job of await listJobs(db)) {
      if (!job.enabled || job.nextRunAt === null || job.nextRunAt > now) continue
      const fixed = JSON.stringify(fixedDates(job.selection.dates, new Date(now)))
      // A run of the same days that still waits for its source will bring the same studies.
      const isPending = open.some((run) => run.jobId === job.id && JSON.stringify(run.job.selection.dates) === fixed)
      await db.write(async (tx) => {
        await setNextRun(tx, job.id, nextRunOf(job.schedule, now))
        if (!isPending) await this.#begin(tx, job, 'schedule')
      })
    }
  }

  #take(run: KeptRun): void {
    const cancel = new AbortController()
    const signal = AbortSignal.any([this.#stopping.signal, cancel.signal])
    const done = this.#work(run, signal)
      .catch((error: unknown) => this.#parts.log.error({ err: error, runId: run.id }, 'active acquisition failed'))
      .finally(() => {
        this.#busy.delete(run.nodeId)
        this.#wake()
      })
    this.#busy.set(run.nodeId, { runId: run.id, cancel, done })
  }

  async #work(run: KeptRun, signal: AbortSignal): Promise<void> {
    const { db, archive, log, onChange, addressOf, storage, aeTitle } = this.#parts
    const now = this.#now
    try {
      const peer = await readNode(db, run.nodeId)
      const { root, method } = run.job
      const source = new Source({ peer, root, method, storage, log, signal, callingAeTitle: aeTitle(), ...(addressOf && { addressOf }) })
      const once = new RunOnce({ db, archive, source, run, signal, now, onChange: () => onChange?.(run.id) })
      const outcome = await once.run()
      if (signal.aborted) return
      if (outcome === 'window-closed') await changeRun(db, run.id, { state: 'waiting', nextAt: nextOpening(run.job.windows, now()) })
      else await this.#end(run, outcome, null)
    } catch (error) {
      if (signal.aborted) return
      await this.#failed(run, isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }))
    } finally {
      onChange?.(run.id)
    }
  }

  /** The source is away: wait for it, longer each time. What no waiting helps ends the run. */
  async #failed(run: KeptRun, problem: Problem): Promise<void> {
    const { db, log, retryWaitMs = 5_000, maxRetryWaitMs = 10 * 60_000 } = this.#parts
    log.warn({ runId: run.id, nodeId: run.nodeId, code: problem.code, facts: problem.facts, err: problem.cause }, 'source of active acquisition')
    const isForGood = ['dimse/unknown-node', 'dimse/not-accepted', 'outbound/refused', 'dimse/failed-at-peer', 'service/internal'].includes(problem.code)
    const began = await db.get<{ at: EpochMs }>('SELECT started_at AS "at" FROM acquisition_run WHERE run_id = $1', [run.id])
    if (isForGood || this.#now() - (began?.at ?? 0) > PATIENCE_MS) {
      await this.#end(run, 'failed', problem)
      return
    }
    const attempts = run.attempts + 1
    const waitMs = Math.min(retryWaitMs * 2 ** Math.min(attempts - 1, 20), maxRetryWaitMs)
    await changeRun(db, run.id, { state: 'waiting', nextAt: this.#now() + waitMs, attempts, problem })
  }

  async #end(run: KeptRun, state: 'complete' | 'partial' | 'failed', problem: Problem | null): Promise<void> {
    const { db, audit, onEnd } = this.#parts
    const now = this.#now()
    await db.write(async (tx) => {
      await changeRun(tx, run.id, { state, endedAt: now, nextAt: null, problem })
      if (problem)
        for (const { studyInstanceUid } of await tx.all<{ studyInstanceUid: string }>(`SELECT study_instance_uid AS "studyInstanceUid" FROM acquisition_study WHERE run_id = $1 AND state IN ('waiting', 'fetching')`, [run.id]))
          await changeStudy(tx, run.id, studyInstanceUid, { state: 'failed', problem }, now)
    })
    const [ended] = await listRuns(db, { runId: run.id, limit: 1 })
    if (!ended) return
    const { studies, complete, partial, failed, instancesFetched } = ended
    audit.note({ action: 'study.fetch', outcome: state === 'failed' ? 'failed' : 'success', actor: { kind: 'system', id: 'acquisition' }, object: { type: 'config', id: `acquisition/${run.jobName}` }, ...(problem && { code: problem.code }), facts: { source: ended.aeTitle, studies, complete, partial, failed, instances: instancesFetched, trigger: run.trigger } }, { each: true })
    onEnd?.(run, ended)
  }
}

const isOpen = ({ state }: KeptRun): boolean => state === 'asking' || state === 'fetching' || state === 'waiting'
