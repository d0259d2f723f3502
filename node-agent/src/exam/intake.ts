import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Log } from 'service-kit'
import type { EpochMs, ExamPlacement, StudyInstanceUid } from 'specs'
import type { Archive, StudyCounts, StudyRow } from '../archive/archive.ts'
import { countsOfStudies, findExamOfStudy, recordStudy } from './store.ts'

/** Where the device of an AE title stands, or the receiving node that it sent to, if that is known. */
type PlaceOf = (aeTitle: string, receivingNodes: readonly string[]) => Promise<Partial<ExamPlacement> | undefined>

/** Instances of one study arrive by the hundred; the exam follows this often. */
const SETTLE_MS = 150

/** Studies compared at once; beside the service at most a quarter of the time goes into it. */
const PAGE = 500
const PAUSE_FACTOR = 3
const MIN_PAUSE_MS = 20

/**
 * Keeps the exam table in step with the in-hospital archive. An exam is derived, so nothing is lost with the process:
 * at the start everything the archive holds is compared again, the newest first.
 */
export class ExamIntake {
  readonly #db: Database
  readonly #archive: Archive
  readonly #log: Log
  readonly #now: () => EpochMs
  readonly #onChange: (examId: string) => void
  readonly #placeOf: PlaceOf
  readonly #waiting = new Map<StudyInstanceUid, StudyRow>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> = Promise.resolve()
  #comparing: Promise<void> = Promise.resolve()
  readonly #stopping = new AbortController()
  #stopListening: () => void = () => undefined

  constructor(options: { db: Database; archive: Archive; log: Log; onChange: (examId: string) => void; placeOf?: PlaceOf; now?: () => EpochMs }) {
    this.#db = options.db
    this.#archive = options.archive
    this.#log = options.log
    this.#onChange = options.onChange
    this.#placeOf = options.placeOf ?? (() => Promise.resolve(undefined))
    this.#now = options.now ?? Date.now
  }

  /**
   * Listens, and compares the newest studies at once: what was interrupted is nearly always among them. The rest of a large archive is compared beside
   * the service, page by page.
   */
  async start(): Promise<void> {
    this.#stopListening = this.#archive.onStored(({ study }) => this.#noteStored(study))
    const newest = await this.#archive.studies({ limit: PAGE })
    await this.#compare(newest)
    await this.flush()
    if (newest.length < PAGE) return
    this.#comparing = this.#compareAll().catch((error: unknown) => this.#log.error({ err: error }, 'the archive could not be compared with the exams'))
  }

  async #compareAll(): Promise<void> {
    let after = ''
    while (!this.#stopping.signal.aborted) {
      const began = performance.now()
      const page = await this.#archive.studyCounts(after, PAGE)
      await this.#compare(page)
      await this.flush()
      const last = page.at(-1)
      if (page.length < PAGE || !last) return
      after = last.studyInstanceUid
      await sleep(Math.max(MIN_PAUSE_MS, (performance.now() - began) * PAUSE_FACTOR), undefined, { signal: this.#stopping.signal }).catch(() => undefined)
    }
  }

  /** Lets those wait whose exam says something else. */
  async #compare(page: readonly StudyCounts[]): Promise<void> {
    const exams = await countsOfStudies(this.#db, page.map(({ studyInstanceUid }) => studyInstanceUid)) // prettier-ignore
    for (const { studyInstanceUid, instanceCount, sizeBytes, regionId } of page) {
      const exam = exams.get(studyInstanceUid)
      if (exam?.instanceCount === instanceCount && exam.sizeBytes === sizeBytes && exam.regionId === regionId) continue
      const study = await this.#archive.study(studyInstanceUid)
      // What came in meanwhile is newer.
      if (study && !this.#waiting.has(studyInstanceUid)) this.#waiting.set(studyInstanceUid, study)
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#comparing
    this.#stopListening()
    await this.flush()
  }

  /** Enters what waits now. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#running = this.#running.then(() => this.#recordWaiting())
    return this.#running
  }

  /** Only asked for images that nobody registered: what the register says counts. */
  async #placeOfSender(study: StudyRow): Promise<Partial<ExamPlacement> | undefined> {
    if (await findExamOfStudy(this.#db, study.studyInstanceUid)) return undefined
    const [first] = await this.#archive.instances(study.studyInstanceUid, undefined, { limit: 1 })
    return first?.sourceKind === 'dimse' ? this.#placeOf(first.sourcePeer, await this.#archive.receivers(study.studyInstanceUid)) : undefined
  }

  #noteStored(study: StudyRow): void {
    this.#waiting.set(study.studyInstanceUid, study)
    this.#timer ??= setTimeout(() => void this.flush(), SETTLE_MS)
  }

  async #recordWaiting(): Promise<void> {
    const studies = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const study of studies) {
      try {
        const place = await this.#placeOfSender(study)
        const examId = await this.#db.write((tx) => recordStudy(tx, study, this.#now(), place))
        this.#onChange(examId)
      } catch (error) {
        // The images are safe in the archive; the exam is made at the next instance or the next start.
        this.#log.error({ err: error, studyInstanceUid: study.studyInstanceUid }, 'exam not entered')
        this.#waiting.set(study.studyInstanceUid, this.#waiting.get(study.studyInstanceUid) ?? study)
      }
    }
  }
}
