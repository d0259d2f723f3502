import type { User } from '../http/user.ts'

export interface KnownSession {
  readonly sessionId: string
  readonly user: User
}

/** Another process may have ended the session; ours tells at once by forget(). */
const FRESH_MS = 2_000
const MAX_SESSIONS = 5_000

/** Spares signature and database for the hundreds of image requests that one opened study sends with the same token. */
export class SessionCache {
  readonly #known = new Map<string, KnownSession & { readonly checkedAt: number }>()
  #endings = 0

  get(token: string, now: number): KnownSession | undefined {
    const known = this.#known.get(token)
    return known !== undefined && now >= known.checkedAt && now - known.checkedAt < FRESH_MS ? known : undefined
  }

  /** Asks `find`, and keeps the answer unless a session ended meanwhile: it might have been this one. */
  async keep(token: string, now: number, find: () => Promise<KnownSession>): Promise<KnownSession> {
    const endings = this.#endings
    const found = await find()
    if (endings === this.#endings) {
      this.#known.delete(token) // the newest goes to the end
      this.#known.set(token, { ...found, checkedAt: now })
      const [oldest] = this.#known.keys()
      if (this.#known.size > MAX_SESSIONS && oldest !== undefined) this.#known.delete(oldest)
    }
    return found
  }

  forget(sessionIds: readonly string[]): void {
    this.#endings++
    for (const [token, { sessionId }] of this.#known) if (sessionIds.includes(sessionId)) this.#known.delete(token)
  }
}
