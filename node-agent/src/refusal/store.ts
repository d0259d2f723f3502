import { randomUUID } from 'node:crypto'
import type { Migration, Queries, SqlValue, Transaction } from 'service-kit'
import type { EpochMs, ProblemCode, RefusalService } from 'specs'

/** What an edge of this node did not let in. `peer` is what the other side calls itself, `address` where it called from. */
export interface EdgeRefusal {
  readonly at: EpochMs
  readonly service: Exclude<RefusalService, 'link'>
  readonly code: ProblemCode
  readonly peer: string
  readonly address: string
  /** As the Problem tells them: never a patient's name. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** The same refusal of the same peer, as often as it came. */
export interface RepeatedRefusal extends EdgeRefusal {
  readonly firstAt: EpochMs
  readonly count: number
}

export const refusalMigrations: readonly Migration[] = [
  {
    name: '0001-edge-refusal',
    up: [
      `CREATE TABLE edge_refusal (id TEXT PRIMARY KEY, service TEXT NOT NULL, code TEXT NOT NULL, peer TEXT NOT NULL, address TEXT NOT NULL, facts TEXT NOT NULL,
        first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, repeats BIGINT NOT NULL)`,
      'CREATE INDEX edge_refusal_newest ON edge_refusal (last_at, id)',
      'CREATE INDEX edge_refusal_same ON edge_refusal (service, code, peer, address, last_at)',
    ],
  },
]

/** Repeats within this long of the last one are the same row; a device that was quiet for longer began anew. */
const SAME_WITHIN_MS = 3_600_000
const FACTS_MAX_CHARS = 4_000

export async function saveRefusal(tx: Transaction, refusal: RepeatedRefusal): Promise<void> {
  const { service, code, peer, address, firstAt, at, count } = refusal
  const facts = JSON.stringify(refusal.facts)
  const kept = facts.length <= FACTS_MAX_CHARS ? facts : JSON.stringify({ tooLong: facts.length })
  const changed = await tx.run(
    `UPDATE edge_refusal SET repeats = repeats + $1, last_at = $2, facts = $3 WHERE id =
       (SELECT id FROM edge_refusal WHERE service = $4 AND code = $5 AND peer = $6 AND address = $7 AND last_at >= $8 ORDER BY last_at DESC LIMIT 1)`,
    [count, at, kept, service, code, peer, address, at - SAME_WITHIN_MS],
  )
  if (changed > 0) return
  await tx.run(
    'INSERT INTO edge_refusal (id, service, code, peer, address, facts, first_at, last_at, repeats) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)',
    [randomUUID(), service, code, peer, address, kept, firstAt, at, count],
  )
}

export interface RefusalFilter {
  readonly service?: string | undefined
  /** Part of AE title, address or code, in any case. */
  readonly text?: string | undefined
  readonly limit: number
}

export interface KeptRefusal extends RepeatedRefusal {
  readonly id: string
}

/** Newest first. */
export async function listRefusals(db: Queries, { service, text, limit }: RefusalFilter): Promise<{ rows: KeptRefusal[]; total: number }> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted = ['1 = 1']
  if (service) wanted.push(`service = ${bind(service)}`)
  if (text) {
    const part = bind(`%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`)
    wanted.push(`(${['peer', 'address', 'code'].map((column) => `LOWER(${column}) LIKE ${part} ESCAPE '\\'`).join(' OR ')})`)
  }
  const where = wanted.join(' AND ')
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM edge_refusal WHERE ${where}`, [...params])
  const rows = await db.all<Omit<KeptRefusal, 'facts'> & { facts: string }>(
    `SELECT id, service, code, peer, address, facts, first_at AS "firstAt", last_at AS "at", repeats AS "count" FROM edge_refusal WHERE ${where}
     ORDER BY last_at DESC, id LIMIT ${bind(limit)}`,
    params,
  )
  return { rows: rows.map((row) => ({ ...row, facts: JSON.parse(row.facts) as Record<string, unknown> })), total: counted?.total ?? 0 }
}

/** What is older than `before`, and what is beyond the newest `atMost`, goes. */
export async function trimRefusals(tx: Transaction, before: EpochMs, atMost: number): Promise<void> {
  await tx.run('DELETE FROM edge_refusal WHERE last_at < $1', [before])
  await tx.run('DELETE FROM edge_refusal WHERE id IN (SELECT id FROM edge_refusal ORDER BY last_at DESC, id LIMIT 1000000 OFFSET $1)', [
    atMost,
  ])
}
