import type { Migration, Queries, Transaction } from 'service-kit'
import { WitnessedCheckpoint } from 'specs'

/** Checkpoints of other trails, the hub's among them, that this hospital keeps as a witness. */
export const witnessMigrations: readonly Migration[] = [
  {
    name: '0001-witness',
    up: [
      `CREATE TABLE audit_witness (party TEXT NOT NULL, trail_id TEXT NOT NULL, seq BIGINT NOT NULL, received_at BIGINT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (party, trail_id, seq))`,
      'CREATE INDEX audit_witness_newest ON audit_witness (received_at)',
    ],
  },
]

export async function keepWitness(tx: Transaction, witnessed: WitnessedCheckpoint): Promise<void> {
  const { party, trailId, seq } = witnessed.checkpoint
  await tx.run(`INSERT INTO audit_witness (party, trail_id, seq, received_at, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, [
    party,
    trailId,
    seq,
    witnessed.receivedAt,
    JSON.stringify(witnessed),
  ])
}

/** Newest first; of every party unless one is named. */
export async function listWitnesses(db: Queries, { party, limit }: { party?: string | undefined; limit: number }): Promise<WitnessedCheckpoint[]> {
  const rows = await db.all<{ body: string }>(
    `SELECT body FROM audit_witness ${party === undefined ? '' : 'WHERE party = $2'} ORDER BY received_at DESC, seq DESC LIMIT $1`,
    party === undefined ? [limit] : [limit, party],
  )
  return rows.map(({ body }) => WitnessedCheckpoint.parse(JSON.parse(body)))
}
