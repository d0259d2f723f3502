import type { Transaction } from 'service-kit'
import { nameWordsOfBefore } from './name-words.ts'

/** What a step did: `position` is handed to the next one, `rows` counts for the progress; undefined when nothing was left to do. */
export type BackfillStep = { readonly position: string; readonly rows: number } | undefined

/**
 * Gives rows of before a migration what new ones get when they are registered. Done in small steps beside the running service, each in one transaction
 * with its position, so that a stop costs at most one step. Whoever reads the new columns must bear rows that have none yet.
 */
export interface Backfill {
  /** Never used again: a backfill that has ended under its name does not begin anew. */
  readonly name: string
  /** For the progress. */
  readonly table: string
  /** @param position '' at first, then what the step before answered (the last key it did). At most `limit` rows. */
  step(tx: Transaction, position: string, limit: number): Promise<BackfillStep>
}

/** The one place to add one. Run in this order, one after the other, before the indexes of indexes.ts are built. */
export const backfills: readonly Backfill[] = [nameWordsOfBefore]
