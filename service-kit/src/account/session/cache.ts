import type { User } from '../../http/user.ts'

/** What a request needs to know of its session. */
export interface KnownSession {
  readonly sessionId: string
  readonly user: User
  /** A second factor was shown, or the request itself is signed. */
  readonly strong: boolean
  /** What must be done before anything else. */
  readonly must?: 'change-password'
  /** The session's own end or that of the account, whichever comes first. Epoch ms. */
  readonly endsAt: number
  /** Absent: never idle. */
  readonly idleMs?: number
}

interface Remembered extends KnownSession {
  readonly revision: number
  lastActiveAt: number
  savedAt: number
}

const MAX_SESSIONS = 5_000

/**
 * Spares signature and joins for the hundreds of image requests that one opened study sends with the same token. What is
 * remembered counts only while the revision of the accounts is the one it was read at, so a change acts at the next request.
 */
export class SessionCache {
  readonly #known = new Map<string, Remembered>()

  get(token: string, revision: number): Remembered | undefined {
    const known = this.#known.get(token)
    if (known === undefined || known.revision === revision) return known
    this.#known.delete(token)
    return undefined
  }

  keep(token: string, revision: number, session: KnownSession, lastActiveAt: number): Remembered {
    const remembered = { ...session, revision, lastActiveAt, savedAt: lastActiveAt }
    this.#known.delete(token) // the newest goes to the end
    this.#known.set(token, remembered)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_SESSIONS && oldest !== undefined) this.#known.delete(oldest)
    return remembered
  }

  forget(sessionId: string): void {
    for (const [token, known] of this.#known) if (known.sessionId === sessionId) this.#known.delete(token)
  }
}
