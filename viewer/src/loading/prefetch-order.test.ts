import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prefetchOrder } from './prefetch-order.ts'

describe('order of fetching a series', () => {
  it('begins with the neighbours and looks further in the direction of reading', () => {
    // VWR-02
    expect(prefetchOrder(10, 4, 1)).toEqual([5, 6, 3, 7, 8, 2, 9, 1, 0])
    expect(prefetchOrder(10, 4, -1).slice(0, 3)).toEqual([3, 2, 5])
  })

  it('fetches every other picture once, wherever reading began', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.boolean(), (count, seed, forward) => {
        const current = seed % count
        const order = prefetchOrder(count, current, forward ? 1 : -1)
        expect([...order, current].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index))
      }),
    )
  })
})
