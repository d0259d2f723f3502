import type { Database, Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import { append, chain, knownEvents, lockHead, type ChainedRecord } from './chain.ts'
import type { Draft } from './draft.ts'
import type { Tail, TailBreach } from './tail.ts'

export interface WriterParts {
  readonly db: Database
  readonly log: Log
  readonly now: () => number
  readonly tail: Tail
  /** After the commit. */
  readonly onWritten: (records: readonly ChainedRecord[]) => void
  /** Whether the trail can be written; told when that changes. */
  readonly onState: (available: boolean) => void
  /** Puts into the chain that events were lost, once it can be written again. */
  readonly lossNote: (lost: number) => Draft
  /** Puts into the chain that what stands before was not written by it. */
  readonly breachNote: (breach: TailBreach) => Draft
}

interface Waiting {
  readonly draft: Draft
  /** It comes from a pending table and may be in the chain already. */
  readonly once: boolean
  readonly settle?: { readonly resolve: () => void; readonly reject: (error: unknown) => void }
}

/** Events of one transaction; more only make it longer. */
const BATCH = 300
/** A note may wait this long for company. */
const NOTE_WAIT_MS = 200
const RETRY_MS = 1_000
/** Notes kept while the database is away. Beyond, they are counted. */
const MOST_WAITING = 50_000

/** Group commit: whatever has gathered while one transaction runs is the next one. */
export class ChainWriter {
  readonly #parts: WriterParts
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #lost = 0
  #available = true
  #closed = false

  constructor(parts: WriterParts) {
    this.#parts = parts
  }

  get available(): boolean {
    return this.#available
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Durable when it resolves. @throws what the database threw: then the event is not in the trail, and the act must not happen. */
  write(draft: Draft, { once = false } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ draft, once, settle: { resolve, reject } })
      this.#wake(0)
    })
  }

  /** Durable soon; kept in memory while the database is away. */
  note(draft: Draft): void {
    if (this.#waiting.length >= MOST_WAITING) this.#lost += 1
    else this.#waiting.push({ draft, once: false })
    this.#wake(this.#waiting.length >= BATCH ? 0 : NOTE_WAIT_MS)
  }

  /** Tries at once; also when there is nothing to write and only the state is in question. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await (this.#running ??= this.#drain().finally(() => (this.#running = undefined)))
  }

  async close(): Promise<void> {
    await this.#running
    await this.flush()
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #wake(afterMs: number): void {
    if (this.#closed || this.#running) return
    if (afterMs === 0 && this.#available) {
      clearTimeout(this.#timer)
      // Not in this very moment: callers of the same turn share the transaction.
      this.#timer = setTimeout(() => void this.flush(), 0)
    } else this.#timer ??= setTimeout(() => void this.flush(), this.#available ? afterMs : RETRY_MS)
  }

  async #drain(): Promise<void> {
    do {
      const batch = this.#waiting.splice(0, BATCH)
      try {
        const written = await this.#commit(batch.map(({ draft, once }) => ({ draft, once })))
        for (const { settle } of batch) settle?.resolve()
        this.#tell(true)
        if (written.length > 0) this.#parts.onWritten(written)
      } catch (error) {
        this.#parts.log.error({ err: error, events: batch.length }, 'the audit trail could not be written')
        for (const { settle } of batch) settle?.reject(error)
        this.#waiting.unshift(...batch.filter(({ settle }) => settle === undefined))
        this.#tell(false)
        this.#timer ??= this.#closed ? undefined : setTimeout(() => void this.flush(), RETRY_MS)
        return
      }
    } while (this.#waiting.length > 0)
  }

  async #commit(batch: readonly { draft: Draft; once: boolean }[]): Promise<ChainedRecord[]> {
    const { db, now, tail, lossNote, breachNote } = this.#parts
    const lost = this.#lost
    const { written, sealed } = await db.write(async (tx) => {
      const head = await lockHead(tx, db.dialect)
      const maybeKnown = batch.filter(({ once }) => once).map(({ draft }) => draft.eventId)
      const known = await knownEvents(tx, maybeKnown)
      const drafts = batch.map(({ draft }) => draft).filter(({ eventId }) => !known.has(eventId))
      if (lost > 0) drafts.push(lossNote(lost))
      const breach = tail.examine(head)
      if (breach) drafts.unshift(breachNote(await narrowed(tx, breach)))
      const at = now()
      const records = chain(head, drafts, at)
      const last = records.at(-1)
      // Also without records: shows that the database takes what is written.
      if (last === undefined) {
        await tx.run('UPDATE audit_head SET at = $1 WHERE id = 1', [at])
        return { written: records, sealed: undefined }
      }
      const seal = tail.seal({ trailId: head.trailId, seq: last.record.seq, hash: last.hash })
      await append(tx, db.dialect, records, at, seal)
      return { written: records, sealed: seal }
    })
    if (sealed !== undefined) tail.wrote(sealed)
    this.#lost -= lost
    return written
  }

  #tell(available: boolean): void {
    if (available === this.#available) return
    this.#available = available
    this.#parts.onState(available)
  }
}

/** What a checkpoint covers is vouched for by it: only what stands behind the last one is in question. */
async function narrowed(tx: Transaction, breach: TailBreach): Promise<TailBreach> {
  if (breach.kind !== 'rewritten') return breach
  const covered = await tx.get<{ seq: number | null }>('SELECT MAX(seq) AS "seq" FROM audit_checkpoint WHERE seq <= $1', [breach.toSeq])
  return { ...breach, fromSeq: Math.min(breach.toSeq, Math.max(1, (covered?.seq ?? 0) + 1)) }
}
