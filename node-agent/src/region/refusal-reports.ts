import type { Database, Log } from 'service-kit'
import { HUB, kinds, type EpochMs, type ProblemReport } from 'specs'
import type { Line } from './line.ts'

/** The same refusal of the same peer is told to the region this often at most. */
const REPORT_EVERY_MS = 10_000
const MOST_REPORTED = 1_000

/**
 * Tells the region's administrator of refusals at this node: an unregistered AE, a broken dataset, a full disk. The same refusal of
 * the same peer travels once in a while only, so that a flood here is no flood there.
 */
export class RefusalReports {
  readonly #parts: { readonly db: Database; readonly log: Log; readonly line: Line }
  readonly #reportedAt = new Map<string, EpochMs>()

  constructor(parts: { readonly db: Database; readonly log: Log; readonly line: Line }) {
    this.#parts = parts
  }

  /** `peer` is what the other side calls itself. Needs a region that has been joined. */
  tell({ at, code, facts, peer }: ProblemReport & { readonly peer: string }): void {
    const key = `${code} ${peer}`
    if (at - (this.#reportedAt.get(key) ?? 0) < REPORT_EVERY_MS) return
    // Peers choose their names: what is remembered of them must stay small.
    if (this.#reportedAt.size >= MOST_REPORTED) this.#reportedAt.clear()
    this.#reportedAt.set(key, at)
    const { db, line, log } = this.#parts
    const report: ProblemReport = { at, code, facts }
    db.write((tx) => line.post(tx, HUB, kinds.problemReport, report)).catch((error: unknown) =>
      log.error({ err: error, code }, 'refusal not reported'),
    )
  }
}
