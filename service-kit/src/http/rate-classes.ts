import type { Request } from 'express'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { HttpLimits } from './config.ts'
import { consume } from './rate-limit.ts'
import type { Method } from './route.ts'
import type { Allow, SignedIn } from './user.ts'

/** What asking may cost: by a stranger, a change, a search. Reading what one has found (pages, frames) only meets the general limit. */
export type RateClass = 'open' | 'change' | 'search'

interface Asked {
  readonly method: Method
  readonly path: string
  readonly allow: Allow
  readonly query?: unknown
}

/** Asked by balancers and monitors in their own rhythm. */
const unlimited = new Set(['/health', '/metrics'])
/** QIDO-RS (PS3.18 10.6): the last part of the path names what is searched for. */
const qido = /^\/dicom-web(?:\/.*)?\/(?:studies|series|instances)$/

export function rateClassOf({ method, path, allow, query }: Asked): RateClass | undefined {
  if (unlimited.has(path)) return undefined
  if (allow === 'anyone') return 'open'
  if (method !== 'GET') return 'change'
  return query !== undefined || qido.test(path) ? 'search' : undefined
}

/** Counts requests by class: strangers by address, people and programs by account, so that a whole hospital behind one address is not one person. */
export class RateClasses {
  readonly #limiters: Readonly<Record<RateClass, RateLimiterMemory>>

  constructor({ openPerMinute, changesPerMinute, searchesPerMinute }: HttpLimits) {
    const perMinute = (points: number) => new RateLimiterMemory({ points, duration: 60 })
    this.#limiters = { open: perMinute(openPerMinute), change: perMinute(changesPerMinute), search: perMinute(searchesPerMinute) }
  }

  /** @throws {Problem} request/too-many with the seconds to wait. */
  async charge(asked: Asked, request: Request, signedIn: SignedIn | undefined): Promise<void> {
    const kind = rateClassOf(asked)
    if (kind === undefined) return
    await consume(this.#limiters[kind], (kind === 'open' ? undefined : signedIn?.user.id) ?? request.ip ?? 'unknown')
  }
}
