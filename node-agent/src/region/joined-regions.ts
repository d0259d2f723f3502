import type { Database } from 'service-kit'
import { RegionId, type JoinedRegion } from 'specs'
import { listMemberships } from './membership.ts'

/** What images and exams carry that came before any region was joined, unless the configuration names another. */
export const unassigned = RegionId.parse('unassigned')

/**
 * The regions that this hospital has joined, known at every moment, also while no line is up: images that arrive during a
 * change of platform carry a region too (FED-20).
 */
export class JoinedRegions {
  readonly #db: Database
  readonly #beforeJoining: RegionId
  #regions: readonly JoinedRegion[] = []

  private constructor(db: Database, beforeJoining: RegionId) {
    this.#db = db
    this.#beforeJoining = beforeJoining
  }

  /** @param beforeJoining is the active one as long as no region has been joined. The membership table must exist. */
  static async open(db: Database, beforeJoining: RegionId = unassigned): Promise<JoinedRegions> {
    const joined = new JoinedRegions(db, beforeJoining)
    await joined.refresh()
    return joined
  }

  /** Whoever has joined a region, or chosen another, says so here. */
  async refresh(): Promise<void> {
    this.#regions = await listMemberships(this.#db)
  }

  /** What a new image or exam carries unless it says itself where it belongs. */
  get activeId(): RegionId {
    return this.#regions.find(({ isActive }) => isActive)?.regionId ?? this.#beforeJoining
  }

  /** The region joined first. What was here before belongs to it, whichever is active by now. */
  get firstId(): RegionId | undefined {
    return this.#regions[0]?.regionId
  }

  get count(): number {
    return this.#regions.length
  }

  includes(regionId: RegionId): boolean {
    return this.#regions.some((region) => region.regionId === regionId)
  }

  /** As the registers tell them now, in the order of joining. */
  list(): Promise<JoinedRegion[]> {
    return listMemberships(this.#db)
  }
}
