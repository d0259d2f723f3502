import { RateLimiterMemory } from 'rate-limiter-flexible'
import { consume } from '../http/rate-limit.ts'
import { normalUsername } from './store.ts'

export interface SignInLimits {
  /** Wrong passwords of one user name from one address. */
  readonly perAccountAndAddress: number
  /** Wrong passwords from one address; a whole hospital may share one. */
  readonly perAddress: number
  readonly windowSeconds: number
}

export const signInLimits: SignInLimits = { perAccountAndAddress: 10, perAddress: 200, windowSeconds: 15 * 60 }

/**
 * Slows guessing down. An attempt is counted before it is judged, so that many at once gain nothing, and taken back when it was right.
 * A user name is never locked for other addresses: nobody can lock a doctor out from elsewhere.
 */
export class SignInGuard {
  readonly #pairs: RateLimiterMemory
  readonly #addresses: RateLimiterMemory

  constructor(limits: SignInLimits) {
    this.#pairs = new RateLimiterMemory({ points: limits.perAccountAndAddress, duration: limits.windowSeconds })
    this.#addresses = new RateLimiterMemory({ points: limits.perAddress, duration: limits.windowSeconds })
  }

  /** @throws {Problem} request/too-many */
  async attempt(username: string, address: string): Promise<{ succeeded(): Promise<void> }> {
    const pair = `${normalUsername(username)}\n${address}`
    await consume(this.#addresses, address)
    await consume(this.#pairs, pair)
    return {
      succeeded: async () => {
        await this.#pairs.delete(pair)
        await this.#addresses.reward(address)
      },
    }
  }
}
