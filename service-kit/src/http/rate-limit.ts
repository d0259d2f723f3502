import type { RequestHandler } from 'express'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { Problem } from 'specs'

/** At most so many requests of one address in so many seconds; more are answered 429 with Retry-After. */
export function rateLimit(limit: { readonly requests: number; readonly seconds: number }): RequestHandler {
  const limiter = new RateLimiterMemory({ points: limit.requests, duration: limit.seconds })
  return async (request, _response, next) => {
    await consume(limiter, request.ip ?? 'unknown')
    next()
  }
}

/** @throws {Problem} request/too-many with the seconds to wait. */
export async function consume(limiter: RateLimiterMemory, key: string): Promise<void> {
  try {
    await limiter.consume(key)
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal
    throw new Problem('request/too-many', { retryAfterSeconds: Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)) })
  }
}
