import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dragWindow, rangeOfWindow, roundedWindow, windowInputProblem, windowOfRange } from './window.ts'

describe('window width and level', () => {
  it('follows the linear function of the standard', () => {
    // VWR-21
    expect(rangeOfWindow({ center: 2048, width: 4096 })).toEqual({ lower: 0, upper: 4095 })
    expect(rangeOfWindow({ center: -600, width: 1500 })).toEqual({ lower: -1350, upper: 149 })
  })

  it('comes back unchanged from a range', () => {
    fc.assert(
      fc.property(fc.integer({ min: -4096, max: 4096 }), fc.integer({ min: 1, max: 8192 }), (center, width) => {
        expect(windowOfRange(rangeOfWindow({ center, width }))).toEqual({ center, width })
      }),
    )
  })

  it('becomes wider to the right, and never narrower than one grey value', () => {
    // VWR-21
    expect(dragWindow({ center: 40, width: 400 }, 50, 0)).toEqual({ center: 40, width: 450 })
    expect(dragWindow({ center: 40, width: 400 }, 0, -10)).toEqual({ center: 30, width: 400 })
    expect(dragWindow({ center: 40, width: 80 }, -5_000, 0).width).toBe(1)
  })

  it('shows whole numbers and never a negative zero', () => {
    expect(roundedWindow({ center: -0.3, width: 399.6 })).toEqual({ center: '0', width: '400' })
    expect(roundedWindow({ center: 0.5, width: 1.25 })).toEqual({ center: '0.50', width: '1.25' })
  })

  it('refuses typed numbers that make no window', () => {
    // VWR-23
    expect(windowInputProblem(-600, 1500)).toBeUndefined()
    expect(windowInputProblem(0, 0)).toBe('width-out-of-range')
    expect(windowInputProblem(Number.NaN, 100)).toBe('not-a-number')
    expect(windowInputProblem(99_999, 100)).toBe('center-out-of-range')
  })
})
