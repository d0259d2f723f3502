import type { Database, Log } from 'service-kit'
import type { EpochMs, ExamPlacement, StudyInstanceUid } from 'specs'
import type { Archive, StudyRow } from '../archive/archive.ts'
import { findExamOfStudy, recordStudy } from './store.ts'

/** Where the device of an AE title stands, or the receiving node that it sent to, if that is known. */
type PlaceOf = (aeTitle: string, receivingNodes: readonly string[]) => Promise<Partial<ExamPlacement> | undefined>

/** Instances of one study arrive by the hundred; the exam follows this often. */
const SETTLE_MS = 150

/**
 * Keeps the exam table in step with the in-hospital archive. An exam is derived, so nothing is lost with the process:
 * at the start everything the archive holds is compared again.
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
  #stopListening: () => void = () => undefined

  constructor(options: { db: Database; archive: Archive; log: Log; onChange: (examId: string) => void; placeOf?: PlaceOf; now?: () => EpochMs }) {
    this.#db = options.db
    this.#archive = options.archive
    this.#log = options.log
    this.#onChange = options.onChange
    this.#placeOf = options.placeOf ?? (() => Promise.resolve(undefined))
    this.#now = options.now ?? Date.now
  }

  /** Compares the whole archive once, page by page, then listens. */
  async start(): Promise<void> {
    this.#stopListening = this.#archive.onStored(({ study }) => this.#noteStored(study))
    const limit = 500
    for (let offset = 0; ; offset += limit) {
      const page = await this.#archive.studies({ limit, offset })
      for (const study of page) {
        const exam = await findExamOfStudy(this.#db, study.studyInstanceUid)
        if (exam?.instanceCount !== study.instanceCount || exam.sizeBytes !== study.sizeBytes || exam.regionId !== study.regionId)
          this.#waiting.set(study.studyInstanceUid, study)
      }
      if (page.length < limit) break
    }
    await this.flush()
  }

  async stop(): Promise<void> {
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
