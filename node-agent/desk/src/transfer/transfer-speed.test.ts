import { describe, expect, it } from 'vitest'
import { bytesPerSecond, percentOf } from './transfer-speed.ts'

describe('the progress of a transfer', () => {
  it('averages over the time it has run', () => expect(bytesPerSecond({ bytesDone: 4_000_000, startedAt: 1_000, updatedAt: 3_000 })).toBe(2_000_000))
  it('tells no speed before anything arrived', () => expect(bytesPerSecond({ bytesDone: 0, startedAt: 1, updatedAt: 1 })).toBeUndefined())
  it('reaches 100 % only when it is complete', () => { // AGT-16
    expect(percentOf({ bytesDone: 10, bytesTotal: 10, state: 'running' })).toBe(99)
    expect(percentOf({ bytesDone: 10, bytesTotal: 10, state: 'complete' })).toBe(100)
  })
})
