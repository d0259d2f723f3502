import type { Database, Log } from 'service-kit'
import type { Archive } from '../archive/archive.ts'

export interface CampusKeeperParts {
  readonly db: Database
  readonly archive: Archive
  readonly log: Log
}

const SETTLE_MS = 200
const AT_ONCE = 400

/**
 * 院区 (ARC-19): studies and series carry the campus that the exam's register says. It follows every change of an exam; at the start those are compared
 * that changed since the last start and a day before.
 */
export class CampusKeeper {
  readonly #parts: CampusKeeperParts
  readonly #waiting = new Set<string>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(parts: CampusKeeperParts) {
    this.#parts = parts
  }

  /** Nobody waits for it. */
  start(now = Date.now()): void {
    this.#running = this.#running.then(() => this.#compareAll(now)).catch((error: unknown) => this.#parts.log.error({ err: error }, 'campuses not compared'))
  }

  examChanged(examId: string): void {
    this.#waiting.add(examId)
    this.#timer ??= setTimeout(() => void this.flush(), SETTLE_MS)
  }

  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const examIds = [...this.#waiting]
    this.#waiting.clear()
    this.#running = this.#running.then(() => this.#place(examIds)).catch((error: unknown) => this.#parts.log.error({ err: error }, 'campus not noted'))
    return this.#running
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.flush()
  }

  async #place(examIds: readonly string[]): Promise<void> {
    const { db, archive } = this.#parts
    for (let from = 0; from < examIds.length; from += AT_ONCE) {
      const some = examIds.slice(from, from + AT_ONCE)
      const rows = await db.all<{ study: string; campus: string }>(
        `SELECT study_instance_uid AS "study", campus FROM exam WHERE study_instance_uid IS NOT NULL AND exam_id IN (${some.map((_id, index) => `$${index + 1}`).join(', ')})`,
        some,
      )
      await archive.placeStudies(new Map(rows.map(({ study, campus }) => [study, campus])))
    }
  }

  async #compareAll(now: number): Promise<void> {
    const { db } = this.#parts
    const mark = await db.get<{ at: number }>(`SELECT marked_at AS "at" FROM matching_mark WHERE name = 'campus'`)
    // A day for what was on its way when the node was stopped the last time.
    const since = (mark?.at ?? 0) - 86_400_000
    let after = ''
    while (!this.#isStopped) {
      const rows = await db.all<{ examId: string }>(
        `SELECT exam_id AS "examId" FROM exam WHERE exam_id > $1 AND updated_at >= $2 AND study_instance_uid IS NOT NULL AND campus <> '' ORDER BY exam_id LIMIT ${AT_ONCE}`,
        [after, since],
      )
      await this.#place(rows.map(({ examId }) => examId))
      after = rows.at(-1)?.examId ?? ''
      if (rows.length === AT_ONCE) continue
      await db.run(`INSERT INTO matching_mark (name, marked_at) VALUES ('campus', $1) ON CONFLICT (name) DO UPDATE SET marked_at = excluded.marked_at`, [now])
      return
    }
  }
}
