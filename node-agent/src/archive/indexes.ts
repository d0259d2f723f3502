import type { Database } from 'service-kit'

/** An index that speeds up a question and that no answer depends on: until it is built, the same question is asked of the whole table. */
export interface ArchiveIndex {
  /** Never used again for other columns: an index that is there under its name counts as built. */
  readonly name: string
  readonly table: string
  /** What stands between the parentheses: columns or expressions; one text for each dialect where they differ (an operator class, for instance). */
  readonly columns: string | Readonly<Record<Database['dialect'], string>>
  /** Of a partial index. */
  readonly where?: string
}

/**
 * Indexes that are built beside the running service (upkeep.ts): at once in a small or new archive, otherwise after the node serves. The one place to add
 * one; what identity and uniqueness rest on stays in tables.ts. PostgreSQL builds them without holding writers up; SQLite holds commits up for about
 * two seconds per million rows, and waits for a moment in which nothing arrives.
 */
export const archiveIndexes: readonly ArchiveIndex[] = []
