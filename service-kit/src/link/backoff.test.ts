import { describe, expect, it } from 'vitest'
import { backoffMs } from './backoff.ts'

describe('waiting before the next attempt', () => {
  it('doubles, stays below its limit, and differs from node to node', () => {
    const limits = { firstMs: 100, maxMs: 5_000 }
    expect([1, 2, 3, 4].map((attempt) => backoffMs(attempt, limits, 0.5))).toEqual([100, 200, 400, 800])
    expect(backoffMs(1_000_000, limits, 0.5)).toBe(5_000)
    expect(backoffMs(1, limits, 0)).toBe(80)
    expect(backoffMs(1, limits, 1)).toBe(120)
  })
})
