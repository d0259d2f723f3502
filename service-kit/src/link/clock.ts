import type { EpochMs } from 'specs'

/** Time as an argument, so that outages of hours can be tested in milliseconds. */
export interface Clock {
  now(): EpochMs
  /** Runs `work` once after `delayMs`; the returned function takes it back. */
  after(delayMs: number, work: () => void): () => void
}

export const systemClock: Clock = {
  now: Date.now,
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`, or at once when `signal` is (or becomes) aborted; never rejects. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      takeBack()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const takeBack = clock.after(delayMs, done)
    signal.addEventListener('abort', done)
  })
}
