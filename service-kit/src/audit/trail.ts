import { randomUUID } from 'node:crypto'
import type { Identity } from 'pki'
import { Problem, type AuditEvent, type SignedCheckpoint, type SignedHead } from 'specs'
import { openDatabase, type Database, type DatabaseConfig, type Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'
import { GENESIS, lockHead, type ChainedRecord } from './chain.ts'
import { Checkpoints } from './checkpoints.ts'
import type { AuditRules } from './config.ts'
import { actorOf } from './context.ts'
import { draftOf, keyedHash, noteRefusal, type Drafting } from './draft.ts'
import { Folding, foldingKey } from './folding.ts'
import { PendingMover, savePending } from './pending.ts'
import type { Vault } from '../vault/index.ts'
import { AuditSigner, openAuditKeys, type AuditKeys } from './signing.ts'
import { auditMigrations, auditPendingMigrations } from './tables.ts'
import { breachEvent, readTailMemory, Tail } from './tail.ts'
import { ChainWriter } from './writer.ts'

/** What every part calls. */
export interface AuditTrail {
  /** For acts that must not happen unseen. Durable when it resolves. @throws {Problem} audit/unavailable: refuse the act. */
  record(event: AuditEvent): Promise<void>
  /**
   * For looking: durable within a second; repetitions within a minute are counted. Never throws.
   * @param how `each`: a change of state is news every time, however like the one before.
   */
  note(event: AuditEvent, how?: { readonly each: boolean }): void
  /** Together with a fact: exists after the commit of `tx` or not at all, and enters the chain once. `tx` belongs to a database that the trail was opened with. */
  within(tx: Transaction, event: AuditEvent): Promise<void>
  /** How the trail names a patient: a keyed hash, so that "who looked at this patient" can be asked without keeping numbers. */
  patientKey(owner: string, patientId: string): string
  /** False while it cannot be written: privileged acts are refused. */
  readonly available: boolean
}

export interface TrailOptions {
  readonly database: DatabaseConfig
  readonly settings: AuditRules
  /** Whose trail it is; `hub` or a hospital. */
  readonly party: string
  /** Folder of secrets. */
  readonly keyFolder: string
  /** Seals them at rest. */
  readonly safe?: Pick<Vault, 'seal' | 'open'>
  /** Databases whose transactions may be given to `within`. */
  readonly callers: readonly Database[]
  readonly identity?: () => Identity | undefined
  readonly log: Log
  readonly metrics?: Metrics
  /** The trail can no longer, or again, be written. */
  readonly onState?: (available: boolean) => void
  readonly now?: () => number
}

const TICK_MS = 1_000

/** The audit trail of one node or of the hub: an append-only chain in a database of its own. */
export class Trail implements AuditTrail {
  readonly db: Database
  readonly party: string
  readonly settings: AuditRules
  readonly checkpoints: Checkpoints
  readonly signer: AuditSigner
  readonly tail: Tail
  readonly log: Log
  readonly now: () => number
  readonly #drafting: Drafting
  readonly #writer: ChainWriter
  readonly #folding: Folding
  readonly #pending: PendingMover
  readonly #listeners: ((records: readonly ChainedRecord[]) => void)[] = []
  readonly #checkpointListeners: ((checkpoint: SignedCheckpoint) => void)[] = []
  readonly #tick: NodeJS.Timeout
  readonly #keyFolder: string
  #headSeq = 0
  #checkpointing: Promise<void> = Promise.resolve()

  private constructor(options: TrailOptions, db: Database, keys: AuditKeys, tail: Tail) {
    const { party, settings, log, metrics, onState, identity = () => undefined, now = Date.now } = options
    this.db = db
    this.party = party
    this.settings = settings
    this.log = log
    this.now = now
    this.signer = new AuditSigner(keys.signingKey, identity)
    this.tail = tail
    this.#keyFolder = options.keyFolder
    this.#drafting = { node: party, hospital: party, key: keys.hashKey, now }
    const written = metrics?.counter('lianpian_audit_records_total', 'Records in the audit trail, by action', ['action'])
    const available = metrics?.gauge('lianpian_audit_available', 'Whether the audit trail can be written')
    available?.set(1)
    this.#writer = new ChainWriter({
      db, log, now, tail,
      onWritten: (records) => {
        for (const { record } of records) written?.inc({ action: record.action })
        this.#headSeq = records.at(-1)?.record.seq ?? this.#headSeq
        for (const listener of this.#listeners) listener(records)
        if (this.checkpoints.isDue(this.#headSeq)) this.#checkpoint()
      },
      onState: (state) => {
        available?.set(state ? 1 : 0)
        if (state) log.info('the audit trail can be written again')
        onState?.(state)
      },
      lossNote: (lost) => draftOf({ action: 'audit.alarm', outcome: 'failed', actor: { kind: 'system', id: party }, object: { type: 'audit', id: party }, code: 'audit/unavailable', facts: { lost } }, this.#drafting),
      breachNote: (breach) => {
        log.error({ ...breach }, 'the end of the audit trail was not written by it')
        return draftOf(breachEvent(party, breach), this.#drafting)
      },
    }) // prettier-ignore
    this.#folding = new Folding((draft) => this.#writer.note(draft))
    this.#pending = new PendingMover(options.callers, this.#writer, log)
    this.checkpoints = new Checkpoints({
      db, party, now, tail,
      signer: this.signer,
      onBreach: () => void this.#writer.flush(),
      everyRecords: settings.checkpointRecords,
      everyMs: settings.checkpointSeconds * 1_000,
    }) // prettier-ignore
    this.#tick = setInterval(() => {
      this.#folding.sweep(now())
      if (this.checkpoints.isDue(this.#headSeq)) this.#checkpoint()
    }, TICK_MS)
    this.#tick.unref()
  }

  static async open(options: TrailOptions): Promise<Trail> {
    const db = await openDatabase(options.database)
    await db.migrate('audit', auditMigrations(db.dialect))
    await db.run('INSERT INTO audit_head (id, trail_id, seq, hash, at) VALUES (1, $1, 0, $2, 0) ON CONFLICT (id) DO NOTHING', [randomUUID(), GENESIS])
    for (const caller of options.callers) await caller.migrate('audit-pending', auditPendingMigrations)
    const keys = await openAuditKeys(options.keyFolder, options.safe)
    const { party, keyFolder, log, now = Date.now } = options
    const tail = await Tail.open({ party, key: keys.tailKey, keyFolder, log, now })
    if (keys.isNewTailKey) await sealFirstHead(db, tail)
    const trail = new Trail(options, db, keys, tail)
    await trail.checkpoints.open()
    trail.#headSeq = (await db.get<{ seq: number }>('SELECT seq FROM audit_head WHERE id = 1'))?.seq ?? 0
    trail.#pending.wake()
    return trail
  }

  get available(): boolean {
    return this.#writer.available
  }

  async record(event: AuditEvent): Promise<void> {
    try {
      await this.#writer.write(draftOf(event, this.#drafting))
    } catch (cause) {
      throw new Problem('audit/unavailable', { action: event.action }, { cause })
    }
  }

  note(event: AuditEvent, { each } = { each: false }): void {
    try {
      if (each) {
        this.#writer.note(draftOf(event, this.#drafting))
        return
      }
      const actor = actorOf(event.actor, this.party)
      const key = foldingKey(event, actor)
      if (this.#folding.repeats(key, event.at ?? this.now())) {
        noteRefusal(event)
        return
      }
      this.#folding.begin(key, draftOf({ ...event, actor }, this.#drafting))
    } catch (error) {
      this.log.error({ err: error, action: event.action }, 'an audit event could not be made')
    }
  }

  async within(tx: Transaction, event: AuditEvent): Promise<void> {
    await savePending(tx, draftOf(event, this.#drafting))
    tx.afterCommit(() => this.#pending.wake())
  }

  patientKey(owner: string, patientId: string): string {
    return keyedHash(this.#drafting.key, `patient\u0000${owner}\u0000${patientId.trim()}`)
  }

  /** Called with every batch after it is durable, in this process. Followers that must miss nothing read the chain instead (follow.ts). */
  onRecords(listener: (records: readonly ChainedRecord[]) => void): void {
    this.#listeners.push(listener)
  }

  onCheckpoint(listener: (checkpoint: SignedCheckpoint) => void): void {
    this.#checkpointListeners.push(listener)
  }

  /** Everything told so far is in the chain, and no repetition is still being counted. For tests, verification and the end. */
  async settle(): Promise<void> {
    this.#folding.sweep(Infinity)
    await this.#pending.settle()
    await this.#writer.flush()
    await this.#checkpointing
  }

  /** What has been told is durable; minutes that are being counted go on. */
  async flush(): Promise<void> {
    await this.#pending.settle()
    await this.#writer.flush()
  }

  /** Signs the present end of the chain. */
  async makeCheckpoint(): Promise<SignedCheckpoint | undefined> {
    const made = await this.checkpoints.make()
    if (made) for (const listener of this.#checkpointListeners) listener(made)
    return made
  }

  /** What a verification may be told from outside the database. */
  async proof(): Promise<{ ownKeyPem: string; tailKeyPem: string; remembered: SignedHead | undefined }> {
    return { ownKeyPem: this.signer.ownKeyPem, tailKeyPem: this.tail.keyPem, remembered: await readTailMemory(this.#keyFolder) }
  }

  #checkpoint(): void {
    this.#checkpointing = this.#checkpointing.then(async () => {
      try {
        if (this.checkpoints.isDue(this.#headSeq)) await this.makeCheckpoint()
      } catch (error) {
        this.log.error({ err: error }, 'no checkpoint of the audit trail could be made')
      }
    })
  }

  /** For /health: refuses while the trail cannot be written. */
  health(): Record<string, unknown> {
    if (!this.available) throw new Problem('audit/unavailable', { waiting: this.#writer.waiting })
    return { records: this.#headSeq }
  }

  async close(): Promise<void> {
    clearInterval(this.#tick)
    this.#folding.sweep(Infinity)
    await this.#pending.close()
    await this.#writer.close()
    await this.#checkpointing
    await this.tail.close()
    await this.db.close()
  }
}

/**
 * A trail from before heads were signed is taken as it stands, once: when the key that signs them has just been made and no checkpoint names one. Whoever
 * takes the key away later does not get a second first time.
 */
async function sealFirstHead(db: Database, tail: Tail): Promise<void> {
  await db.write(async (tx) => {
    const head = await lockHead(tx, db.dialect)
    const named = await tx.get(`SELECT seq FROM audit_checkpoint WHERE signed LIKE '%"tailKey"%' LIMIT 1`)
    if (head.sealed === null && named === undefined) await tx.run('UPDATE audit_head SET sealed = $1 WHERE id = 1', [tail.seal(head)])
  })
}
