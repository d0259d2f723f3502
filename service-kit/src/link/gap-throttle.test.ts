import { parseHospitalId } from 'specs'
import { describe, expect, it } from 'vitest'
import { GapThrottle } from './gap-throttle.ts'

describe('asking for missing messages', () => {
  it('happens once per gap and sender, and again when nothing came', () => {
    const throttle = new GapThrottle()
    const [a, b] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-b')]
    expect([throttle.shouldAsk(a, 5, 1_000), throttle.shouldAsk(a, 5, 1_100), throttle.shouldAsk(b, 5, 1_100)]).toEqual([true, false, true])
    expect(throttle.shouldAsk(a, 6, 1_200)).toBe(true)
    expect(throttle.shouldAsk(a, 6, 3_200)).toBe(true)
  })
})
