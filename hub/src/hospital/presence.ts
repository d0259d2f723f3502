import type { Database } from 'service-kit'
import type { AuditEvent, EpochMs, HospitalId, LiveEvent, SyncRequest } from 'specs'
import { isOnline, type Hospital } from './hospital.ts'
import { allHospitals, recordHeartbeat } from './store.ts'

export interface PresenceParts {
  readonly db: Database
  readonly heartbeatMs: number
  readonly announce: (event: LiveEvent) => void
  /** A node went silent or came back, told once. */
  readonly onPresence?: (hospitalId: HospitalId, online: boolean) => void
  readonly now: () => EpochMs
}

const GIB = 2 ** 30

/**
 * Which nodes are there, by the heartbeats they send (a hub cannot knock at a hospital's door). Kept in the database, so
 * that every hub process and a restarted one know it.
 */
export class Presence {
  readonly #parts: PresenceParts
  /** What the console was last told of each hospital. */
  #shown = new Map<HospitalId, Shown>()
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: PresenceParts) {
    this.#parts = parts
  }

  async heartbeat(hospitalId: HospitalId, request: SyncRequest): Promise<void> {
    const { db, now } = this.#parts
    const counts = await recordHeartbeat(db, hospitalId, request, now())
    // Whoever comes back is shown at once; everything else can wait for the next round.
    if (counts && this.#shown.get(hospitalId)?.online !== true) await this.look()
  }

  /** Tells the console of hospitals that came, went, or whose operating facts changed. Meant to run once per heartbeat. */
  look(): Promise<void> {
    // One after the other: what an earlier look has read must not be told after a later one.
    const looked = this.#looking.then(() => this.#look())
    this.#looking = looked.catch(() => undefined)
    return looked
  }

  async #look(): Promise<void> {
    const hospitals = await allHospitals(this.#parts.db)
    const seen = new Map(hospitals.map((hospital) => [hospital.config.id, this.#shownOf(hospital)]))
    for (const [hospitalId, shown] of seen) {
      const before = this.#shown.get(hospitalId)
      if (before && before.online !== shown.online) this.#parts.onPresence?.(hospitalId, shown.online)
      if (this.#shown.get(hospitalId)?.text !== shown.text) this.#parts.announce({ type: 'hospital', hospitalId })
    }
    this.#shown = seen
  }

  /** Free space changes all the time; the console hears of whole GiB. */
  #shownOf(hospital: Hospital): Shown {
    const { now, heartbeatMs } = this.#parts
    const { operating } = hospital
    const facts = operating && { ...operating, freeBytes: Math.floor(operating.freeBytes / GIB) }
    const online = isOnline(hospital, now(), heartbeatMs)
    return { online, text: JSON.stringify([online, facts]) }
  }
}

interface Shown {
  readonly online: boolean
  readonly text: string
}

/** A node that went silent, or came back (FED-28). */
export const presenceEvent = (hospitalId: HospitalId, online: boolean): AuditEvent => ({
  action: online ? 'system.recovery' : 'system.fault',
  outcome: online ? 'success' : 'failed',
  actor: { kind: 'hospital', id: hospitalId, hospitalId },
  object: { type: 'component', id: 'node' },
  ...(!online && { code: 'region/hospital-offline' as const }),
  facts: { operation: 'heartbeat' },
})
