import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Patience } from './patience.ts'

describe('waiting for a peer', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('ends when the limit has passed', () => {
    const lost: string[] = []
    new Patience((waitingFor) => lost.push(waitingFor)).wait('next message', 1_000)
    vi.advanceTimersByTime(999)
    expect(lost).toEqual([])
    vi.advanceTimersByTime(1)
    expect(lost).toEqual(['next message'])
  })

  it('goes on while enough moves, and ends for a peer that sends a byte now and then', () => {
    const lost: string[] = []
    const patience = new Patience((waitingFor) => lost.push(waitingFor))
    patience.wait('rest of the message', 1_000, 100)
    patience.moved(100)
    vi.advanceTimersByTime(1_000)
    expect(lost).toEqual([])
    patience.moved(99)
    vi.advanceTimersByTime(1_000)
    expect(lost).toEqual(['rest of the message'])
  })

  it('does not count the time in which we are the slow ones', () => {
    const lost: string[] = []
    const patience = new Patience((waitingFor) => lost.push(waitingFor))
    patience.wait('rest of the message', 1_000, 100)
    patience.pause()
    vi.advanceTimersByTime(60_000)
    patience.resume()
    vi.advanceTimersByTime(999)
    expect(lost).toEqual([])
  })

  it('is over when it is our turn', () => {
    const lost: string[] = []
    const patience = new Patience((waitingFor) => lost.push(waitingFor))
    patience.wait('next message', 1_000)
    patience.rest()
    vi.advanceTimersByTime(10_000)
    expect(lost).toEqual([])
  })
})
