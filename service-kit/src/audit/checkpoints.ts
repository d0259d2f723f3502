import { SignedCheckpoint, type AuditCheckpoint, type WitnessedCheckpoint } from 'specs'
import type { Database, Transaction } from '../database/index.ts'
import { lockHead } from './chain.ts'
import type { AuditSigner } from './signing.ts'
import type { Tail } from './tail.ts'

export interface CheckpointParts {
  readonly db: Database
  readonly party: string
  readonly signer: AuditSigner
  readonly tail: Tail
  /** The head is not the one that was signed last: the writer has to say so before anything else is signed. */
  readonly onBreach: () => void
  readonly now: () => number
  readonly everyRecords: number
  readonly everyMs: number
}

interface Row {
  readonly seq: number
  readonly hash: string
  readonly at: number
  readonly signed: string
  readonly witness: string | null
}

/** Signed positions of the chain. Whoever holds one can show later that what came before it has not changed. */
export class Checkpoints {
  readonly #parts: CheckpointParts
  #lastSeq = 0
  #lastAt = 0

  constructor(parts: CheckpointParts) {
    this.#parts = parts
  }

  async open(): Promise<void> {
    const last = await this.#parts.db.get<{ seq: number; at: number }>('SELECT seq, at FROM audit_checkpoint ORDER BY seq DESC LIMIT 1')
    this.#lastSeq = last?.seq ?? 0
    this.#lastAt = last?.at ?? this.#parts.now()
  }

  isDue(seq: number): boolean {
    const { everyRecords, everyMs, now } = this.#parts
    return seq > this.#lastSeq && (seq - this.#lastSeq >= everyRecords || now() - this.#lastAt >= everyMs)
  }

  /** Signs where the chain stands. @returns undefined when there is nothing new, or nothing that could be vouched for. */
  async make(): Promise<SignedCheckpoint | undefined> {
    const { db, party, signer, tail, now, onBreach } = this.#parts
    let isBroken = false
    const made = await db.write(async (tx) => {
      const head = await lockHead(tx, db.dialect)
      const { trailId, seq, hash } = head
      isBroken = tail.examine(head) !== undefined
      if (seq === 0 || isBroken) return undefined
      const known = await tx.get('SELECT seq FROM audit_checkpoint WHERE seq = $1', [seq])
      if (known !== undefined) return undefined
      const checkpoint: AuditCheckpoint = { v: 1, kind: 'audit.checkpoint', party, trailId, seq, hash, at: now(), tailKey: tail.keyPem }
      const signed = { checkpoint, signed: signer.sign(checkpoint) }
      await insertCheckpoint(tx, signed)
      return signed
    })
    if (isBroken) {
      onBreach()
      return undefined
    }
    const head = await db.get<{ seq: number }>('SELECT seq FROM audit_head WHERE id = 1')
    this.#lastSeq = made?.checkpoint.seq ?? head?.seq ?? this.#lastSeq
    this.#lastAt = now()
    return made
  }

  /** Those the hub has not been told of, oldest first. */
  async unposted(limit = 50): Promise<SignedCheckpoint[]> {
    const rows = await this.#parts.db.all<Row>(
      'SELECT seq, hash, at, signed, witness FROM audit_checkpoint WHERE posted = 0 ORDER BY seq LIMIT $1',
      [limit],
    )
    return rows.map(fromRow)
  }

  async markPosted(seq: number): Promise<void> {
    await this.#parts.db.run('UPDATE audit_checkpoint SET posted = 1 WHERE seq = $1', [seq])
  }

  /** Keeps what the hub signed in answer. A checkpoint that is not ours is refused by its hash. */
  async keepWitness(witness: WitnessedCheckpoint): Promise<boolean> {
    const { seq, hash } = witness.checkpoint
    const changed = await this.#parts.db.run('UPDATE audit_checkpoint SET witness = $2 WHERE seq = $1 AND hash = $3', [
      seq,
      JSON.stringify({ receivedAt: witness.receivedAt, countersigned: witness.countersigned }),
      hash,
    ])
    return changed === 1
  }

  async list({ limit, before }: { limit: number; before?: number | undefined }): Promise<(SignedCheckpoint & { witnessed: boolean; posted: boolean })[]> {
    const rows = await this.#parts.db.all<Row & { posted: number }>(
      'SELECT seq, hash, at, signed, witness, posted FROM audit_checkpoint WHERE seq < $1 ORDER BY seq DESC LIMIT $2',
      [before ?? Number.MAX_SAFE_INTEGER, limit],
    )
    return rows.map((row) => ({ ...fromRow(row), witnessed: row.witness !== null, posted: row.posted !== 0 }))
  }
}

async function insertCheckpoint(tx: Transaction, signed: SignedCheckpoint): Promise<void> {
  const { seq, hash, at } = signed.checkpoint
  await tx.run('INSERT INTO audit_checkpoint (seq, hash, at, signed, posted) VALUES ($1, $2, $3, $4, 0)', [seq, hash, at, JSON.stringify(signed)])
}

const fromRow = ({ signed }: Pick<Row, 'signed'>): SignedCheckpoint => SignedCheckpoint.parse(JSON.parse(signed))

