import type { Database, Log } from 'service-kit'
import type { EpochMs } from 'specs'
import type { StoredEvent } from '../archive/archive.ts'

/** A study that received images a while ago, and from whom. */
export interface QuietStudy {
  readonly studyInstanceUid: string
  readonly sources: readonly string[]
  /** Something that was not here before; false: only known instances, with other content. */
  readonly hasNew: boolean
  readonly lastAt: EpochMs
}

const SAVE_EVERY_MS = 2_000

/**
 * Studies that still receive images. Kept in memory and, a moment later, in the database, so that what a stop interrupts is judged
 * afterwards; the receiving path itself only notes a time.
 */
export class QuietStudies {
  readonly #db: Database
  readonly #log: Log
  readonly #now: () => EpochMs
  readonly #studies = new Map<string, { readonly sources: Set<string>; hasNew: boolean; lastAt: EpochMs; saved: boolean }>()
  #savedAt = 0

  constructor({ db, log, now }: { db: Database; log: Log; now: () => EpochMs }) {
    this.#db = db
    this.#log = log
    this.#now = now
  }

  get isEmpty(): boolean {
    return this.#studies.size === 0
  }

  /** What the last stop left. */
  async load(): Promise<void> {
    for (const row of await this.#db.all<{ study: string; sources: string; hasNew: number; lastAt: EpochMs }>('SELECT study_instance_uid AS "study", sources, has_new AS "hasNew", last_at AS "lastAt" FROM routing_pending'))
      if (!this.#studies.has(row.study)) this.#studies.set(row.study, { sources: new Set(JSON.parse(row.sources) as string[]), hasNew: row.hasNew === 1, lastAt: row.lastAt, saved: true })
  }

  /** A repeated instance changes nothing, so it is no news: what a receiver of ours sends back as it was ends here. */
  note({ receipt, source }: StoredEvent): void {
    if (receipt.outcome.kind === 'duplicate') return
    const study = this.#studies.get(receipt.studyInstanceUid) ?? { sources: new Set<string>(), hasNew: false, lastAt: 0, saved: false }
    if (source.kind === 'dimse') study.sources.add(source.peer)
    study.hasNew ||= receipt.outcome.kind === 'stored'
    study.lastAt = this.#now()
    study.saved = false
    this.#studies.set(receipt.studyInstanceUid, study)
  }

  all(): QuietStudy[] {
    return [...this.#studies].map(([studyInstanceUid, { sources, hasNew, lastAt }]) => ({ studyInstanceUid, sources: [...sources], hasNew, lastAt }))
  }

  /** Every rule has been asked. Unless an image came meanwhile: then it goes on. */
  async done({ studyInstanceUid, lastAt }: QuietStudy): Promise<void> {
    if (this.#studies.get(studyInstanceUid)?.lastAt !== lastAt) return
    this.#studies.delete(studyInstanceUid)
    await this.#db.run('DELETE FROM routing_pending WHERE study_instance_uid = $1 AND last_at <= $2', [studyInstanceUid, lastAt])
  }

  async save(force = false): Promise<void> {
    if (!force && this.#now() - this.#savedAt < SAVE_EVERY_MS) return
    const unsaved = [...this.#studies].filter(([, { saved }]) => !saved)
    if (unsaved.length === 0) return
    this.#savedAt = this.#now()
    for (const [, study] of unsaved) study.saved = true
    try {
      await this.#db.write(async (tx) => {
        for (const [studyInstanceUid, { sources, hasNew, lastAt }] of unsaved)
          await tx.run(
            `INSERT INTO routing_pending (study_instance_uid, sources, has_new, last_at) VALUES ($1, $2, $4, $3)
             ON CONFLICT (study_instance_uid) DO UPDATE SET sources = $2, has_new = $4, last_at = $3`,
            [studyInstanceUid, JSON.stringify([...sources]), lastAt, Number(hasNew)],
          )
      })
    } catch (error) {
      for (const [, study] of unsaved) study.saved = false
      this.#log.warn({ err: error }, 'studies that await routing not saved')
    }
  }
}
