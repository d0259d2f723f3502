import { verifyDocument, type TrustStore } from 'pki'
import type { Database, Trail, Witness } from 'service-kit'
import { AuditRecord, auditKinds, HUB, parseWith, Problem, services, WitnessedCheckpoint, witnessStatement, type CrossViewing, type HealthChange, type HospitalId } from 'specs' // prettier-ignore
import { z } from 'zod'
import type { SwitchableLine } from '../region/line.ts'
import { crossViewingOf } from './cross-viewing.ts'
import { keepWitness, witnessMigrations } from './store.ts'

export interface RegionReportsParts {
  readonly db: Database
  readonly trail: Trail
  readonly line: SwitchableLine
  readonly hospitalId: HospitalId
  readonly trust: () => TrustStore | undefined
}

const FOLLOWER = 'cross-viewing'
const PAGE = 500
const EVENTS_PER_MESSAGE = 100
/** Records come in batches: what follows them waits this long for the next one. */
const SETTLE_MS = 2_000
/** Nobody may need longer than a minute to hear of it. */
const LOOK_MS = 15_000
/** A position that only moved past records of the house is saved this seldom. */
const SAVE_EVERY = 5_000

/**
 * What this node's trail tells the region: signed checkpoints, viewings across hospitals, faults. Everything leaves through the outbox; how far the
 * chain has been read is saved with what was posted, so each viewing is told once, also after an outage of days or a killed process.
 */
export class RegionReports {
  readonly #parts: RegionReportsParts
  readonly #timer: NodeJS.Timeout
  #soon: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #position = { saved: 0, read: 0 }
  #stopped = false

  private constructor(parts: RegionReportsParts) {
    this.#parts = parts
    const { trail, line } = parts
    this.#timer = setInterval(() => void this.report(), LOOK_MS)
    this.#timer.unref()
    trail.onRecords(() => this.#wake())
    trail.onCheckpoint(() => this.#wake())
    line.onMessage(auditKinds.countersigned, async (_tx, { from, body }) => {
      const witnessed = this.#genuine(from, body)
      if (witnessed.checkpoint.party !== parts.hospitalId) throw new Problem('access/forbidden')
      if (!(await trail.checkpoints.keepWitness(witnessed))) throw new Problem('audit/conflict', { seq: witnessed.checkpoint.seq })
    })
    line.onMessage(auditKinds.witness, async (tx, { from, body }) => keepWitness(tx, this.#genuine(from, body)))
  }

  static async open(parts: RegionReportsParts): Promise<RegionReports> {
    await parts.db.migrate('audit-witness', witnessMigrations)
    await parts.db.run('INSERT INTO audit_follower (name, seq) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING', [FOLLOWER])
    const row = await parts.db.get<{ seq: number }>('SELECT seq FROM audit_follower WHERE name = $1', [FOLLOWER])
    const reports = new RegionReports(parts)
    reports.#position = { saved: row?.seq ?? 0, read: row?.seq ?? 0 }
    return reports
  }

  /** Only the hub hands out checkpoints, each under its signature. */
  #genuine(from: string, body: unknown): WitnessedCheckpoint {
    if (from !== HUB) throw new Problem('access/forbidden')
    const witnessed = parseWith(WitnessedCheckpoint, body, 'audit.witness')
    const trust = this.#parts.trust()
    if (trust === undefined) throw new Problem('region/not-joined')
    const signer = verifyDocument(trust, witnessStatement(witnessed), witnessed.countersigned, witnessed.receivedAt, { historical: true })
    if (signer.party !== HUB) throw new Problem('envelope/wrong-sender')
    return witnessed
  }

  #wake(): void {
    if (this.#stopped) return
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      void this.report()
    }, SETTLE_MS)
    this.#soon.unref()
  }

  /** Tells the region what it does not know yet. */
  report(): Promise<void> {
    const { trail, line } = this.#parts
    this.#running = this.#running.then(async () => {
      if (this.#stopped || !line.isAttached) return // everything waits in the chain until there is a region
      try {
        await this.#postCheckpoints()
        while ((await this.#postViewings()) === PAGE);
      } catch (error) {
        trail.log.warn({ err: error }, 'the region has not been told of the audit trail; it will be tried again')
      }
    })
    return this.#running
  }

  async #postCheckpoints(): Promise<void> {
    const { db, trail, line } = this.#parts
    for (const signed of await trail.checkpoints.unposted()) {
      await db.write((tx) => line.post(tx, HUB, auditKinds.checkpoint, signed))
      // Between these two a checkpoint may be told twice; the hub knows it by its place and hash.
      await trail.checkpoints.markPosted(signed.checkpoint.seq)
    }
  }

  async #postViewings(): Promise<number> {
    const { db, trail, line, hospitalId } = this.#parts
    const rows = await trail.db.all<{ seq: number; body: string }>('SELECT seq, body FROM audit_record WHERE seq > $1 ORDER BY seq LIMIT $2', [this.#position.read, PAGE])
    const last = rows.at(-1)?.seq
    if (last === undefined) return 0
    // Nearly every record is of the house: only what leaves it is looked at closely.
    const leaves = (record: unknown) => crossViewingOf(record as AuditRecord, hospitalId) !== undefined
    const viewings = rows.map(({ body }) => JSON.parse(body) as unknown).filter(leaves).flatMap((record) => crossViewingOf(AuditRecord.parse(record), hospitalId) ?? [])
    if (viewings.length > 0 || last - this.#position.saved >= SAVE_EVERY) {
      const before = this.#position.saved
      const isOurs = await db.write(async (tx) => {
        const changed = await tx.run('UPDATE audit_follower SET seq = $2 WHERE name = $1 AND seq = $3', [FOLLOWER, last, before])
        if (changed !== 1) return false // another process of this node was quicker
        for (const events of inParts(viewings)) await line.post(tx, HUB, auditKinds.crossViewing, { events })
        return true
      })
      if (!isOurs) {
        const row = await db.get<{ seq: number }>('SELECT seq FROM audit_follower WHERE name = $1', [FOLLOWER])
        this.#position = { saved: row?.seq ?? last, read: row?.seq ?? last }
        return rows.length
      }
      this.#position.saved = last
    }
    this.#position.read = last
    return rows.length
  }

  /** A component here stopped or came back (FED-28). */
  async tellHealth(change: HealthChange): Promise<void> {
    const { db, trail, line } = this.#parts
    if (!line.isAttached) return
    try {
      await db.write((tx) => line.post(tx, HUB, auditKinds.health, change))
    } catch (error) {
      trail.log.warn({ err: error, component: change.component }, 'the region has not been told of a fault')
    }
  }

  /** What the hub keeps of this trail, for a verification. @throws {Problem} region/… */
  async witnesses(): Promise<Witness[]> {
    return z.array(WitnessedCheckpoint).parse(await this.#parts.line.request(HUB, services.auditWitnesses, {}, { timeoutMs: 10_000 }))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    clearTimeout(this.#soon)
    await this.#running
  }
}

function inParts(events: readonly CrossViewing[]): CrossViewing[][] {
  return Array.from({ length: Math.ceil(events.length / EVENTS_PER_MESSAGE) }, (_part, index) => events.slice(index * EVENTS_PER_MESSAGE, (index + 1) * EVENTS_PER_MESSAGE))
}
