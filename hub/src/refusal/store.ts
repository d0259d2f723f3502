import { randomUUID } from 'node:crypto'
import type { Migration, Transaction } from 'service-kit'
import type { EpochMs, ProblemNote } from 'specs'

/** Who was refused or who tells: a hospital, or the region itself. */
export interface Refusal extends ProblemNote {
  readonly id: string
  readonly at: EpochMs
  readonly source: string
}

export const refusalMigrations: readonly Migration[] = [
  {
    name: '0001-refusal',
    up: [
      'CREATE TABLE hub_refusal (id TEXT PRIMARY KEY, at BIGINT NOT NULL, source TEXT NOT NULL, code TEXT NOT NULL, facts TEXT NOT NULL)',
      'CREATE INDEX hub_refusal_newest ON hub_refusal (at, id)',
    ],
  },
]

/** Keeps a refusal where the region's administrator sees it, in the transaction of what was refused. */
export async function recordRefusal(tx: Transaction, source: string, { code, facts }: ProblemNote, at: EpochMs): Promise<void> {
  const params = [randomUUID(), at, source, code, JSON.stringify(facts)]
  await tx.run('INSERT INTO hub_refusal (id, at, source, code, facts) VALUES ($1, $2, $3, $4, $5)', params)
}
