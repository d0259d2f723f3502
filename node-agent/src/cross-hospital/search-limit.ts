import { Problem, type EpochMs } from 'specs'

const HOUR_MS = 3_600_000
/** Askers remembered; beyond, those who asked longest ago are forgotten. */
const MOST = 10_000

/** Searches of each asker, a person or a whole hospital, within the last hour: nobody walks through a register, or through codes, by guessing. */
export class SearchLimit {
  readonly #perHour: number
  readonly #asked = new Map<string, EpochMs[]>()

  constructor(perHour: number) {
    this.#perHour = perHour
  }

  /** @throws {Problem} request/too-many */
  count(who: string, now: EpochMs): void {
    const recent = (this.#asked.get(who) ?? []).filter((at) => now - at < HOUR_MS)
    if (recent.length >= this.#perHour) throw new Problem('request/too-many', { perHour: this.#perHour })
    this.#asked.delete(who) // the newest goes to the end
    this.#asked.set(who, [...recent, now])
    const [oldest] = this.#asked.keys()
    if (this.#asked.size > MOST && oldest !== undefined) this.#asked.delete(oldest)
  }
}
