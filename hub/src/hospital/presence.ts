import type { Database } from 'service-kit'
import { type EpochMs, type HospitalId, type LiveEvent, type SyncRequest } from 'specs'
import { isOnline, type Hospital } from './hospital.ts'
import { allHospitals, recordHeartbeat } from './store.ts'

export interface PresenceParts {
  readonly db: Database
  readonly heartbeatMs: number
  readonly announce: (event: LiveEvent) => void
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
  #shown = new Map<HospitalId, string>()

  constructor(parts: PresenceParts) {
    this.#parts = parts
  }

  async heartbeat(hospitalId: HospitalId, request: SyncRequest): Promise<void> {
    const { db, now } = this.#parts
    await recordHeartbeat(db, hospitalId, request, now())
  }

  /** Tells the console of hospitals that came, went, or whose operating facts changed. Meant to run once per heartbeat. */
  async look(): Promise<void> {
    const hospitals = await allHospitals(this.#parts.db)
    const seen = new Map(hospitals.map((hospital) => [hospital.config.id, this.#shownOf(hospital)]))
    for (const [hospitalId, shown] of seen) {
      if (this.#shown.get(hospitalId) !== shown) this.#parts.announce({ type: 'hospital', hospitalId })
    }
    this.#shown = seen
  }

  /** Free space changes all the time; the console hears of whole GiB. */
  #shownOf(hospital: Hospital): string {
    const { now, heartbeatMs } = this.#parts
    const { operating } = hospital
    const facts = operating && { ...operating, freeBytes: Math.floor(operating.freeBytes / GIB) }
    return JSON.stringify([isOnline(hospital, now(), heartbeatMs), facts])
  }
}
