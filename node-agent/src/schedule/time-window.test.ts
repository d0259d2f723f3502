import fc from 'fast-check'
import { TimeWindow } from 'specs'
import { describe, expect, it } from 'vitest'
import { isOpen, nextOpening } from './time-window.ts'

/** 2026-11-23 is a Monday. */
const on = (day: number, hour: number, minute = 0) => new Date(2026, 10, 22 + day, hour, minute).getTime()
const window = (from: string, to: string, ...days: number[]) => TimeWindow.parse({ from, to, days })

describe('the hours in which something may run', () => {
  // ARC-17
  it('are always, where nobody named any', () => {
    expect(nextOpening([], on(1, 3))).toBe(on(1, 3))
  })

  it('go on past midnight, and belong to the day on which they open', () => {
    const night = [window('22:00', '06:00', 1)]
    expect(isOpen(night, on(1, 21, 59))).toBe(false)
    expect(isOpen(night, on(1, 22))).toBe(true)
    expect(isOpen(night, on(2, 5, 59))).toBe(true)
    expect(isOpen(night, on(2, 6))).toBe(false)
    expect(isOpen(night, on(1, 3))).toBe(false) // Sunday's night does not count
    expect(nextOpening(night, on(2, 6))).toBe(on(8, 22))
  })

  it('open next at the earliest of several', () => {
    expect(nextOpening([window('12:00', '13:00'), window('22:00', '06:00')], on(1, 7))).toBe(on(1, 12))
    expect(nextOpening([window('12:00', '13:00'), window('22:00', '06:00')], on(1, 14))).toBe(on(1, 22))
    expect(nextOpening([window('08:00', '08:00')], on(1, 7, 59))).toBe(on(1, 7, 59))
  })

  it('are open when they are said to open, and at no time before', () => {
    const clock = fc.tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 })).map(([h, m]) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`)
    const windows = fc.array(fc.record({ from: clock, to: clock, days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 3 }) }), { minLength: 1, maxLength: 3 })
    const minutes = fc.integer({ min: 0, max: 20_160 })
    fc.assert(
      fc.property(windows, minutes, (given, minute) => {
        const now = on(1, 0) + minute * 60_000
        const opens = nextOpening(given, now)
        expect(isOpen(given, opens)).toBe(true)
        expect(opens).toBeGreaterThanOrEqual(now)
        if (opens > now) expect(isOpen(given, opens - 1)).toBe(false)
        for (let at = now; at < opens; at += 37 * 60_000) expect(isOpen(given, at)).toBe(false)
      }),
    )
  })
})
