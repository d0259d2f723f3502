import type { AuditTrail } from 'service-kit'
import type { HospitalId, StudyInstanceUid } from 'specs'
import type { Archive, StoredEvent } from '../archive/archive.ts'

interface Arriving {
  readonly study: StudyInstanceUid
  readonly source: StoredEvent['source']
  readonly archive: string
  readonly began: number
  last: number
  instances: number
  bytes: number
  replaced: number
}

/** An arrival is over when nothing has come for this long; a sender that never pauses is told of in between. */
const QUIET_MS = 5_000
const LONGEST_MS = 60_000
const LOOK_MS = 1_000

export interface ArrivalsParts {
  readonly audit: AuditTrail
  readonly archives: readonly Archive[]
  readonly hospitalId: HospitalId
  readonly patientKeyOf: (study: StudyInstanceUid) => Promise<string | undefined>
  readonly now?: () => number
}

/** 影像存档 (FED-34): one record for each study and sender with what has arrived, not one for each of a thousand slices. */
export class Arrivals {
  readonly #parts: ArrivalsParts
  readonly #now: () => number
  readonly #arriving = new Map<string, Arriving>()
  readonly #ends: (() => void)[]
  readonly #timer: NodeJS.Timeout

  constructor(parts: ArrivalsParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#ends = parts.archives.map((archive) => archive.onStored((event) => this.#note(archive.name, event)))
    this.#timer = setInterval(() => void this.#tell((each, now) => now - each.last >= QUIET_MS || now - each.began >= LONGEST_MS), LOOK_MS)
    this.#timer.unref()
  }

  #note(archive: string, { receipt, source }: StoredEvent): void {
    const now = this.#now()
    const study = receipt.studyInstanceUid
    const key = `${archive}\u0001${source.kind}\u0001${source.peer}\u0001${study}`
    const arriving = this.#arriving.get(key) ?? { study, source, archive, began: now, last: now, instances: 0, bytes: 0, replaced: 0 }
    this.#arriving.set(key, arriving)
    arriving.last = now
    arriving.instances += 1
    arriving.bytes += receipt.sizeBytes
    if (receipt.outcome.kind === 'replaced') arriving.replaced += 1
  }

  async #tell(isOver: (arriving: Arriving, now: number) => boolean): Promise<void> {
    const now = this.#now()
    for (const [key, arriving] of this.#arriving) {
      if (!isOver(arriving, now)) continue
      this.#arriving.delete(key)
      const { study, source, archive, instances, bytes, replaced, began, last } = arriving
      const { audit, hospitalId, patientKeyOf } = this.#parts
      const owner = source.owner ?? hospitalId
      const patientKey = owner === hospitalId ? await patientKeyOf(study) : undefined
      const kind = source.kind === 'dimse' ? 'dicom-node' : source.kind === 'transfer' ? 'hospital' : source.kind === 'stow' ? 'user' : 'system'
      audit.note({
        action: 'study.archive',
        outcome: 'success',
        at: last,
        actor: { kind, id: source.peer === '' ? hospitalId : source.peer, ...(kind === 'hospital' && { hospitalId: source.peer }) },
        object: { type: 'study', id: study, owner, ...(patientKey !== undefined && { patientKey }) },
        facts: { source: source.peer, destination: `${hospitalId}/${archive}`, by: source.kind, instances, bytes, replaced, began },
      })
    }
  }

  /** Tells what has arrived so far. */
  async flush(): Promise<void> {
    await this.#tell(() => true)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    for (const end of this.#ends) end()
    await this.flush()
  }
}
