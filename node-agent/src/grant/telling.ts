import type { Log } from 'service-kit'
import type { EpochMs, HospitalId } from 'specs'

const FIRST_PAUSE_MS = 1_000
const SHORTEST_PAUSE_MS = 50

export interface TellingParts {
  readonly log: Log
  readonly now: () => EpochMs
  /** For the log, when a round could not be made: `withdrawals`. */
  readonly what: string
  /**
   * Tells everybody who is due. @param atOnce also who would have to be waited for.
   * @returns when somebody is due again, null when nobody is.
   */
  readonly round: (atOnce: boolean) => Promise<EpochMs | null>
}

/** Tells other hospitals what they must know, round after round, until all have confirmed; what is owed lies in the database, not here. */
export class Telling {
  readonly #parts: TellingParts
  #timer: NodeJS.Timeout | undefined
  #rounds: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: TellingParts) {
    this.#parts = parts
  }

  /** After something new is owed, at the start, and with `atOnce` whenever the line is back. */
  tell({ atOnce = false } = {}): void {
    clearTimeout(this.#timer)
    const { log, what, round, now } = this.#parts
    this.#rounds = this.#rounds
      .then(async () => {
        if (this.#stopped) return
        const next = await round(atOnce)
        if (next !== null) this.#sleep(next - now())
      })
      .catch((error: unknown) => {
        log.error({ err: error }, `${what} not told`)
        this.#sleep(FIRST_PAUSE_MS)
      })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#rounds
  }

  #sleep(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => this.tell(), Math.max(SHORTEST_PAUSE_MS, milliseconds))
    this.#timer.unref()
  }
}

/** Before who did not answer is asked again: 1, 2, 4 … seconds, `longestMs` at most. */
export const pauseAfter = (attempts: number, longestMs: number): number => Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20), longestMs)

/** One message for each: a hospital that is away must not keep the others waiting. */
export async function tellEach<T>(owed: readonly T[], whom: (one: T) => HospitalId, tellOne: (hospital: HospitalId, all: readonly T[]) => Promise<void>): Promise<void> {
  const byHospital = new Map<HospitalId, T[]>()
  for (const one of owed) byHospital.set(whom(one), [...(byHospital.get(whom(one)) ?? []), one])
  await Promise.all([...byHospital].map(([hospital, all]) => tellOne(hospital, all)))
}
