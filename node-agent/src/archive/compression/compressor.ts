import type { Database, Log, Trail } from 'service-kit'
import { isProblem, type CompressionRule, type EpochMs, type HospitalId, type StudyInstanceUid } from 'specs'
import type { Codecs } from '../../dicom/render/codec-pool.ts'
import { compressStudy, type CompressingArchive } from './compress-study.ts'
import { failedStudies, keepResult, listRules, moveOn, restedExams } from './store.ts'

export interface CompressorParts {
  readonly db: Database
  readonly archive: CompressingArchive
  readonly codecs: Codecs
  readonly audit: Pick<Trail, 'note'>
  readonly hospitalId: HospitalId
  readonly log: Log
  readonly now?: () => EpochMs
  /** Wait between looks for what has come to rest; 60,000 unless told. */
  readonly everyMs?: number
}

const AT_A_TIME = 50
const RETRY_AFTER_MS = 6 * 3_600_000
const ATTEMPTS = 5

/**
 * Compresses in the background what has rested as long as a rule asks (ARC-14), study by study, and rests itself as long as it has worked. Where it
 * was is kept with each rule, so a restart goes on there; a study whose exam or images change comes to its turn again.
 */
export class Compressor {
  readonly #parts: CompressorParts
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  /** Wakes whoever rests. */
  #wake: () => void = () => undefined

  constructor(parts: CompressorParts) {
    this.#parts = parts
  }

  start(): void {
    this.wake()
  }

  /** A rule has changed. */
  wake(): void {
    if (this.#stopping.signal.aborted) return
    clearTimeout(this.#timer)
    this.#running ??= this.run()
      .catch((error: unknown) => this.#parts.log.error({ err: error }, 'compression stopped'))
      .finally(() => {
        this.#running = undefined
        if (this.#stopping.signal.aborted) return
        this.#timer = setTimeout(() => this.wake(), this.#parts.everyMs ?? 60_000)
        this.#timer.unref()
      })
  }

  /** Applies every rule to what is due now. @returns when there is nothing more, or on stopping. */
  async run(): Promise<void> {
    const { db, now = Date.now } = this.#parts
    for (const rule of await listRules(db)) {
      if (!rule.enabled) continue
      for (const { studyInstanceUid } of await failedStudies(db, rule.id, now() - RETRY_AFTER_MS, ATTEMPTS, AT_A_TIME)) await this.#compress(rule, studyInstanceUid)
      for (;;) {
        const exams = await restedExams(db, rule, now() - rule.afterHours * 3_600_000, AT_A_TIME)
        for (const exam of exams) {
          await this.#compress(rule, exam.studyInstanceUid)
          if (this.#stopping.signal.aborted) return
          await db.write((tx) => moveOn(tx, rule, exam))
        }
        if (exams.length < AT_A_TIME) break
      }
    }
  }

  async #compress(rule: CompressionRule, studyInstanceUid: StudyInstanceUid): Promise<void> {
    const { db, archive, codecs, audit, hospitalId, log, now = Date.now } = this.#parts
    const { signal } = this.#stopping
    if (signal.aborted) return
    const begun = now()
    const of = { ruleId: rule.id, studyInstanceUid }
    try {
      const { refused, ...figures } = await compressStudy(archive, codecs, rule, studyInstanceUid, signal)
      if (figures.instances === 0) return
      await db.write((tx) => keepResult(tx, { ...of, ...figures, state: 'done', code: '', finishedAt: now() }))
      audit.note({ action: 'study.compress', outcome: 'success', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, facts: { ...figures, refused, transferSyntaxUid: rule.transferSyntaxUid } })
    } catch (error) {
      if (signal.aborted) return
      log.warn({ err: error, studyInstanceUid }, 'study not compressed')
      await db.write((tx) => keepResult(tx, { ...of, state: 'failed', instances: 0, beforeBytes: 0, afterBytes: 0, code: isProblem(error) ? error.code : 'archive/failed', finishedAt: now() }))
    }
    await this.#rest(now() - begun)
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, 10_000))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#stopping.signal.aborted) this.#wake()
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    this.#wake()
    await this.#running
  }
}
