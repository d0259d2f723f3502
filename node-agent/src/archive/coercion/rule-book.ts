import type { Database } from 'service-kit'
import type { KeptNormalisationRule } from 'specs'
import type { IncomingSource } from '../archive.ts'
import { rulesFor } from './normalise.ts'
import { listRules, normalisationMigrations } from './store.ts'

/** The rules in force, at hand for every instance: ingest asks no database. */
export class NormalisationRules {
  readonly #db: Database
  #rules: readonly KeptNormalisationRule[] = []

  private constructor(db: Database) {
    this.#db = db
  }

  static async open(db: Database): Promise<NormalisationRules> {
    await db.migrate('normalisation', normalisationMigrations)
    const book = new NormalisationRules(db)
    await book.refresh()
    return book
  }

  /** After a change. */
  async refresh(): Promise<void> {
    this.#rules = await listRules(this.#db)
  }

  /** Rules that may change an instance of this sender; none, without a look at anything, where there are no rules. */
  for(source: IncomingSource, modality: string): readonly KeptNormalisationRule[] {
    if (this.#rules.length === 0) return []
    return rulesFor(this.#rules, source.peer, modality).filter(({ actions }) => actions.length > 0)
  }

  /** What becomes of changed content of an instance that is held: as the first rule says that speaks of it. */
  changedContent(source: IncomingSource, modality: string): 'replace' | 'refuse' {
    if (this.#rules.length === 0) return 'replace'
    return rulesFor(this.#rules, source.peer, modality).find(({ changedContent }) => changedContent !== null)?.changedContent ?? 'replace'
  }
}
