import { isProblem, type MessageId, noteOf, type PartyId, Problem, type ProblemNote } from 'specs'
import type { Database, Transaction } from '../database/index.ts'
import type { Clock } from './clock.ts'
import { decideReceive, decideRepetition, type Repetition, type Trace } from './receive.ts'

/** A genuine message, opened; `body` is still unknown to us and parsed by its handler. */
export interface Incoming extends Trace {
  readonly id: MessageId
  readonly from: PartyId
  readonly seq: number
  readonly kind: string
  readonly body: unknown
}

export type MessageHandler = (tx: Transaction, message: Pick<Incoming, 'id' | 'from' | 'seq' | 'body'>) => Promise<void>

export type Received =
  | { kind: 'taken' }
  /** The handler refused or broke; kept with its body for a person to retry. Those behind it are served. */
  | { kind: 'failed'; problem: ProblemNote; error: unknown }
  | { kind: 'repetition'; repetition: Repetition }
  | { kind: 'gap'; last: number }

/** A refusal is final. Anything else may be a passing fault of ours. */
const attemptsOfBugs = 3

/** Messages from other parties: effect, inbox row and the advance of the sequence are one transaction. */
export class Inbox {
  readonly #db: Database
  readonly #clock: Clock
  readonly #handlerOf: (kind: string) => MessageHandler

  constructor(db: Database, clock: Clock, handlerOf: (kind: string) => MessageHandler) {
    this.#db = db
    this.#clock = clock
    this.#handlerOf = handlerOf
  }

  /** @throws only what the database throws when not even a failure can be recorded; then the message must be offered again. */
  async receive(message: Incoming): Promise<Received> {
    const { last, taken } = await this.#look(message)
    const arrival = decideReceive(last, message.seq)
    if (arrival === 'gap') return { kind: 'gap', last }
    if (arrival === 'repetition') return { kind: 'repetition', repetition: decideRepetition(taken, message) }
    // Known under another number: its sender has numbered anew. Its effect stands, only the sequence moves.
    if (taken !== undefined) return this.#skip(message, last)
    return this.#take(message, last)
  }

  async #take(message: Incoming, last: number): Promise<Received> {
    let failure: unknown
    for (let attempt = 1; attempt <= attemptsOfBugs; attempt++) {
      try {
        await this.#db.write(async (tx) => {
          await advance(tx, message, last)
          await this.#insert(tx, message, { state: 'done', attempts: attempt })
          await this.#handlerOf(message.kind)(tx, message)
        })
        return { kind: 'taken' }
      } catch (error) {
        failure = error
        if (isProblem(error)) break
      }
    }
    const problem = noteOf(failure)
    await this.#db.write(async (tx) => {
      await advance(tx, message, last)
      await this.#insert(tx, message, { state: 'failed', attempts: isProblem(failure) ? 1 : attemptsOfBugs, problem })
    })
    return { kind: 'failed', problem, error: failure }
  }

  async #skip(message: Incoming, last: number): Promise<Received> {
    await this.#db.write((tx) => advance(tx, message, last))
    return { kind: 'repetition', repetition: 'duplicate' }
  }

  /**
   * Runs the handler of a failed message once more.
   *
   * @param from only if it is a message of this party.
   * @throws {Problem} request/not-found, message/not-failed, or what the handler refuses with (which is kept, too).
   */
  async retry(id: MessageId, from?: PartyId): Promise<void> {
    const row = await this.#db.get<{ id: MessageId; from: PartyId; seq: number; kind: string; body: string | null; state: string }>(
      'SELECT id, peer AS "from", seq, kind, body, state FROM inbox WHERE id = $1',
      [id],
    )
    if (row === undefined || (from !== undefined && row.from !== from)) throw new Problem('request/not-found', { messageId: id })
    if (row.state !== 'failed' || row.body === null) throw new Problem('message/not-failed', { messageId: id })
    const body: unknown = JSON.parse(row.body)
    try {
      await this.#db.write(async (tx) => {
        const changed = await tx.run(
          `UPDATE inbox SET state = 'done', attempts = attempts + 1, body = NULL, problem_code = NULL, problem_facts = NULL WHERE id = $1 AND state = 'failed'`,
          [id],
        )
        if (changed !== 1) throw new Problem('message/not-failed', { messageId: id }) // retried by somebody else meanwhile
        await this.#handlerOf(row.kind)(tx, { id, from: row.from, seq: row.seq, body })
      })
    } catch (error) {
      const { code, facts } = noteOf(error)
      await this.#db.run(
        `UPDATE inbox SET attempts = attempts + 1, problem_code = $2, problem_facts = $3 WHERE id = $1 AND state = 'failed'`,
        [id, code, JSON.stringify(facts)],
      )
      throw error
    }
  }

  async position(peer: PartyId): Promise<{ receivedUpTo: number; receivedId?: MessageId }> {
    const row = await this.#db.get<{ receivedUpTo: number; receivedId: MessageId | null }>(
      `SELECT p.received_up_to AS "receivedUpTo", i.id AS "receivedId" FROM link_peer p
       LEFT JOIN inbox i ON i.peer = p.peer AND i.seq = p.received_up_to WHERE p.peer = $1`,
      [peer],
    )
    if (row === undefined) return { receivedUpTo: 0 }
    return { receivedUpTo: row.receivedUpTo, ...(row.receivedId === null ? {} : { receivedId: row.receivedId }) }
  }

  /** Goes on after messages that their sender can no longer give us. @returns the numbers given up, if any. */
  async skipLost(peer: PartyId, heldFrom: number): Promise<{ from: number; to: number } | undefined> {
    const { receivedUpTo } = await this.position(peer)
    if (heldFrom <= receivedUpTo + 1) return undefined
    await this.#db.write((tx) => advance(tx, { from: peer, seq: heldFrom - 1 }, receivedUpTo))
    return { from: receivedUpTo + 1, to: heldFrom - 1 }
  }

  /** Messages of `peer` that failed here, newest first: to be told to it (AGT-07). */
  failedOf(peer: PartyId, limit: number): Promise<{ id: MessageId; code: string }[]> {
    return this.#db.all<{ id: MessageId; code: string }>(
      `SELECT id, COALESCE(problem_code, 'service/internal') AS "code" FROM inbox WHERE peer = $1 AND state = 'failed' ORDER BY seq DESC LIMIT $2`,
      [peer, limit],
    )
  }

  async failedCount(): Promise<number> {
    const row = await this.#db.get<{ n: number }>(`SELECT COUNT(*) AS "n" FROM inbox WHERE state = 'failed'`)
    return row?.n ?? 0
  }

  /** The last message of each peer stays: it names our position. */
  async forgetDoneBefore(at: number): Promise<void> {
    await this.#db.run(
      `DELETE FROM inbox WHERE state = 'done' AND received_at < $1
       AND seq < (SELECT received_up_to FROM link_peer WHERE link_peer.peer = inbox.peer)`,
      [at],
    )
  }

  async #look(message: Incoming): Promise<{ last: number; taken: Trace | undefined }> {
    const row = await this.#db.get<{ last: number; digest: Trace['digest'] | null; arrival: string | null }>(
      `SELECT p.received_up_to AS "last", i.digest AS "digest", i.arrival AS "arrival" FROM link_peer p
       LEFT JOIN inbox i ON i.peer = p.peer AND i.id = $2 WHERE p.peer = $1`,
      [message.from, message.id],
    )
    if (row === undefined) return { last: 0, taken: undefined }
    const taken = row.digest === null || row.arrival === null ? undefined : { digest: row.digest, arrival: row.arrival }
    return { last: row.last, taken }
  }

  async #insert(
    tx: Transaction,
    message: Incoming,
    outcome: { state: 'done' | 'failed'; attempts: number; problem?: ProblemNote },
  ): Promise<void> {
    const { problem } = outcome
    await tx.run(
      `INSERT INTO inbox (peer, id, seq, kind, state, attempts, received_at, digest, arrival, body, problem_code, problem_facts)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [
        message.from,
        message.id,
        message.seq,
        message.kind,
        outcome.state,
        outcome.attempts,
        this.#clock.now(),
        message.digest,
        message.arrival,
        problem ? JSON.stringify(message.body ?? null) : null,
        problem?.code ?? null,
        problem ? JSON.stringify(problem.facts) : null,
      ],
    )
  }
}

async function advance(tx: Transaction, to: { from: PartyId; seq: number }, last: number): Promise<void> {
  const changed = await tx.run(
    `INSERT INTO link_peer (peer, sent_up_to, delivered_up_to, received_up_to) VALUES ($1, 0, 0, $2)
     ON CONFLICT (peer) DO UPDATE SET received_up_to = $2 WHERE link_peer.received_up_to = $3`,
    [to.from, to.seq, last],
  )
  if (changed !== 1) throw new Error(`the sequence of ${to.from} moved meanwhile`) // a second process of the same party
}
