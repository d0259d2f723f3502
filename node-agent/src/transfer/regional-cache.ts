import type { Database, Log } from 'service-kit'
import type { Archive } from '../archive/archive.ts'
import type { TransferEngine } from './engine.ts'
import { finishedByUse } from './store.ts'

export interface RegionalCacheParts {
  readonly db: Database
  readonly archive: Archive
  readonly engine: TransferEngine
  /** The cache may grow to this size. */
  readonly limitBytes: () => number
  /** What leaves first (AGT-12). */
  readonly leaves?: () => 'least-recently-opened' | 'oldest-received'
  /** Studies of tasks that are still open: they never leave. */
  readonly studiesInUse: () => Promise<ReadonlySet<string>>
  /** A study has left; its owner still has it. */
  readonly onLeft?: (studyInstanceUid: string, sizeBytes: number) => void
  readonly log: Log
}

/** What leaves the cache, least recently opened first, until it fits; pure. */
export function decideEviction(
  finished: readonly { readonly studyInstanceUid: string; readonly sizeBytes: number }[],
  inUse: ReadonlySet<string>,
  excessBytes: number,
): string[] {
  const leaving: string[] = []
  let freed = 0
  for (const { studyInstanceUid, sizeBytes } of finished) {
    if (freed >= excessBytes) break
    if (inUse.has(studyInstanceUid)) continue
    leaving.push(studyInstanceUid)
    freed += sizeBytes
  }
  return leaving
}

/** Keeps other hospitals' studies as long as there is room; the owner has them in any case. */
export class RegionalCache {
  readonly #parts: RegionalCacheParts
  #running: Promise<void> = Promise.resolve()

  constructor(parts: RegionalCacheParts) {
    this.#parts = parts
  }

  /** After every finished transfer. One at a time, so that two do not evict for the same room. */
  trim(): Promise<void> {
    this.#running = this.#running
      .then(() => this.#trim())
      .catch((error: unknown) => this.#parts.log.error({ err: error }, 'regional cache not trimmed'))
    return this.#running
  }

  /** Lets what has begun come to its end, before the archive closes. */
  stop(): Promise<void> {
    return this.#running
  }

  async #trim(): Promise<void> {
    const { db, archive, engine, limitBytes, studiesInUse, log } = this.#parts
    const excessBytes = archive.totals().sizeBytes - limitBytes()
    if (excessBytes <= 0) return
    const jobs = await finishedByUse(db, this.#parts.leaves?.())
    const sized = await Promise.all(
      jobs.map(async (job) => ({ ...job, sizeBytes: (await archive.study(job.studyInstanceUid))?.sizeBytes ?? 0 })),
    )
    const leaving = new Set(decideEviction(sized, await studiesInUse(), excessBytes))
    for (const { transferId, studyInstanceUid, sizeBytes } of sized) {
      if (!leaving.has(studyInstanceUid)) continue
      // The row goes first: a study without one is fetched again when it is opened.
      await engine.forget(transferId)
      await archive.delete(studyInstanceUid)
      log.info({ studyInstanceUid, sizeBytes }, 'study left the regional cache')
      this.#parts.onLeft?.(studyInstanceUid, sizeBytes)
    }
  }
}
