import { randomUUID } from 'node:crypto'
import { MessageId, type PartyId, Problem } from 'specs'
import type { Database, Queries, Transaction } from '../database/index.ts'
import type { Clock } from './clock.ts'
import { decideResumption, type Resumption, type Taken } from './resume.ts'
import { BODY_MAX_BYTES } from './timing.ts'

/**
 * `pending`: saved here only. `published`: JetStream has it, which may forget. `delivered`: the other side has taken it
 * into its own database.
 */
export type OutboxState = 'pending' | 'published' | 'delivered'

export interface Outgoing {
  readonly id: MessageId
  readonly seq: number
  readonly kind: string
  /** JSON text. */
  readonly body: string
}

/** A message that nobody has answered yet, or that was answered with an error; without its content. */
export interface Unanswered {
  readonly id: MessageId
  readonly peer: PartyId
  readonly seq: number
  readonly kind: string
  readonly state: OutboxState
  readonly since: number
  /** Publications so far, and the last one. */
  readonly attempts: number
  readonly lastTriedAt: number | null
  /** The other side's error answer. */
  readonly problemCode: string | null
}

const unansweredColumns = `id, peer, seq, kind, state, created_at AS "since", attempts, published_at AS "lastTriedAt", problem_code AS "problemCode"`

/** Messages to other parties, saved in the transaction of the fact they tell of (rule 4), numbered per peer without gaps. */
export class Outbox {
  readonly #db: Database
  readonly #clock: Clock

  constructor(db: Database, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** @throws {Problem} request/too-large before anything is saved. */
  async add(tx: Transaction, peer: PartyId, kind: string, value: unknown): Promise<{ id: MessageId; seq: number }> {
    const body = JSON.stringify(value ?? null)
    const sizeBytes = new TextEncoder().encode(body).length
    if (sizeBytes > BODY_MAX_BYTES) throw new Problem('request/too-large', { kind, sizeBytes, maxBytes: BODY_MAX_BYTES })
    const id = MessageId.parse(randomUUID())
    // The row of the peer stays locked until the commit, so numbers are committed in their order.
    const row = await tx.get<{ seq: number }>(
      `INSERT INTO link_peer (peer, sent_up_to, delivered_up_to, received_up_to) VALUES ($1, 1, 0, 0)
       ON CONFLICT (peer) DO UPDATE SET sent_up_to = link_peer.sent_up_to + 1 RETURNING sent_up_to AS "seq"`,
      [peer],
    )
    if (row === undefined) throw new Error('no sequence number')
    await tx.run(
      `INSERT INTO outbox (id, peer, seq, kind, body, state, attempts, created_at) VALUES ($1, $2, $3, $4, $5, 'pending', 0, $6)`,
      [id, peer, row.seq, kind, body, this.#clock.now()],
    )
    return { id, seq: row.seq }
  }

  from(peer: PartyId, seq: number, limit: number): Promise<Outgoing[]> {
    return this.#db.all<Outgoing>('SELECT id, seq, kind, body FROM outbox WHERE peer = $1 AND seq >= $2 ORDER BY seq LIMIT $3', [
      peer,
      seq,
      limit,
    ])
  }

  async markPublished(peer: PartyId, fromSeq: number, toSeq: number): Promise<void> {
    await this.#db.run(
      `UPDATE outbox SET state = CASE WHEN state = 'delivered' THEN state ELSE 'published' END, attempts = attempts + 1, published_at = $4
       WHERE peer = $1 AND seq BETWEEN $2 AND $3`,
      [peer, fromSeq, toSeq, this.#clock.now()],
    )
  }

  async position(peer: PartyId): Promise<{ sentUpTo: number; deliveredUpTo: number; heldFrom: number }> {
    const row = await positionOf(this.#db, peer)
    const oldest = await this.#db.get<{ seq: number | null }>('SELECT MIN(seq) AS "seq" FROM outbox WHERE peer = $1', [peer])
    return { ...row, heldFrom: oldest?.seq ?? row.sentUpTo + 1 }
  }

  /** Takes in what the peer says it has: marks it delivered, or repairs the numbering. @returns what was decided. */
  async resume(peer: PartyId, taken: Taken): Promise<Resumption> {
    const seen = await this.#decide(this.#db, peer, taken)
    if (seen.decision.kind === 'confirmed' && seen.decision.upTo === seen.deliveredUpTo) return seen.decision // the usual heartbeat writes nothing
    return this.#db.write(async (tx) => {
      const { decision } = await this.#decide(tx, peer, taken)
      if (decision.kind === 'renumber') await renumber(tx, peer, decision.after)
      else await setDelivered(tx, peer, decision.upTo, this.#clock.now())
      return decision
    })
  }

  async #decide(queries: Queries, peer: PartyId, taken: Taken): Promise<{ decision: Resumption; deliveredUpTo: number }> {
    const sent = await positionOf(queries, peer)
    const ours = await queries.get<{ id: MessageId }>('SELECT id FROM outbox WHERE peer = $1 AND seq = $2', [peer, taken.receivedUpTo])
    return { decision: decideResumption(sent, taken, ours?.id), deliveredUpTo: sent.deliveredUpTo }
  }

  /** Oldest first: not taken by the other side, or taken and not processed. */
  unanswered(limit: number): Promise<Unanswered[]> {
    return this.#db.all<Unanswered>(
      `SELECT ${unansweredColumns} FROM outbox WHERE state <> 'delivered' OR problem_code IS NOT NULL ORDER BY created_at, seq LIMIT $1`,
      [limit],
    )
  }

  /** @returns undefined when it never was ours or its time here is over. */
  find(id: MessageId): Promise<(Unanswered & { deliveredAt: number | null }) | undefined> {
    return this.#db.get(`SELECT ${unansweredColumns}, delivered_at AS "deliveredAt" FROM outbox WHERE id = $1`, [id])
  }

  /** Sends the content of an earlier message as a new one. @returns undefined when it is no longer held. */
  async repeat(tx: Transaction, id: MessageId): Promise<{ id: MessageId; peer: PartyId } | undefined> {
    const row = await tx.get<{ peer: PartyId; kind: string; body: string }>('SELECT peer, kind, body FROM outbox WHERE id = $1', [id])
    return row && { id: (await this.add(tx, row.peer, row.kind, JSON.parse(row.body))).id, peer: row.peer }
  }

  /**
   * Notes the peer's error answers; one that it no longer names has been processed since.
   * @param isWhole whether these are all it has. @returns whether anything was new.
   */
  async noteFailed(peer: PartyId, failed: readonly { id: MessageId; code: string }[], isWhole: boolean): Promise<boolean> {
    const told = new Map(failed.map(({ id, code }) => [id, code]))
    const named = failed.length === 0 ? '' : ` OR id IN (${failed.map((_, index) => `$${index + 2}`).join(', ')})`
    const held = await this.#db.all<{ id: MessageId; code: string | null }>(
      `SELECT id, problem_code AS "code" FROM outbox WHERE (peer = $1 AND problem_code IS NOT NULL)${named}`,
      [peer, ...told.keys()],
    )
    const changes = held.flatMap(({ id, code }): [MessageId, string | null][] => {
      const now = told.get(id) ?? (isWhole ? null : code)
      return now === code ? [] : [[id, now]]
    })
    if (changes.length === 0) return false
    return this.#db.write(async (tx) => {
      for (const [id, code] of changes) await tx.run('UPDATE outbox SET problem_code = $3 WHERE peer = $1 AND id = $2', [peer, id, code])
      return true
    })
  }

  async pendingCount(): Promise<number> {
    const row = await this.#db.get<{ n: number }>(`SELECT COUNT(*) AS "n" FROM outbox WHERE state <> 'delivered'`)
    return row?.n ?? 0
  }

  async forgetDeliveredBefore(at: number): Promise<void> {
    await this.#db.run(`DELETE FROM outbox WHERE state = 'delivered' AND delivered_at < $1`, [at])
  }
}

async function positionOf(queries: Queries, peer: PartyId): Promise<{ sentUpTo: number; deliveredUpTo: number }> {
  const row = await queries.get<{ sentUpTo: number; deliveredUpTo: number }>(
    'SELECT sent_up_to AS "sentUpTo", delivered_up_to AS "deliveredUpTo" FROM link_peer WHERE peer = $1',
    [peer],
  )
  return row ?? { sentUpTo: 0, deliveredUpTo: 0 }
}

async function setDelivered(tx: Transaction, peer: PartyId, upTo: number, at: number): Promise<void> {
  await tx.run(`UPDATE outbox SET state = 'delivered', delivered_at = $3 WHERE peer = $1 AND seq <= $2 AND state <> 'delivered'`, [
    peer,
    upTo,
    at,
  ])
  await tx.run(`UPDATE outbox SET state = 'pending', delivered_at = NULL WHERE peer = $1 AND seq > $2 AND state = 'delivered'`, [
    peer,
    upTo,
  ])
  await tx.run('UPDATE link_peer SET delivered_up_to = $2 WHERE peer = $1', [peer, upTo])
}

/** Every message the peer has not confirmed, or has lost, gets a number behind `after`, in the old order. */
async function renumber(tx: Transaction, peer: PartyId, after: number): Promise<void> {
  const rows = await tx.all<{ id: string }>(`SELECT id FROM outbox WHERE peer = $1 AND (state <> 'delivered' OR seq > $2) ORDER BY seq`, [
    peer,
    after,
  ])
  // Through negative numbers, because an old number may equal another row's new one.
  for (const [index, row] of rows.entries()) await tx.run('UPDATE outbox SET seq = $2 WHERE id = $1', [row.id, -(after + 1 + index)])
  await tx.run(`UPDATE outbox SET seq = -seq, state = 'pending', delivered_at = NULL WHERE peer = $1 AND seq < 0`, [peer])
  await tx.run(
    `INSERT INTO link_peer (peer, sent_up_to, delivered_up_to, received_up_to) VALUES ($1, $2, $3, 0)
     ON CONFLICT (peer) DO UPDATE SET sent_up_to = $2, delivered_up_to = $3`,
    [peer, after + rows.length, after],
  )
}
