// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { backgroundHeader, tellActivity } from './activity.ts'

describe('a page that somebody reads, or nobody', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())
  const press = () => window.dispatchEvent(new Event('keydown'))

  it('marks its own requests once nobody has touched it for a minute', () => {
    // SEC-07
    press()
    vi.advanceTimersByTime(59_000)
    expect(backgroundHeader()).toEqual({})
    vi.advanceTimersByTime(2_000)
    expect(backgroundHeader()).toEqual({ 'x-lianpian-background': '1' })
    press()
    expect(backgroundHeader()).toEqual({})
  })

  it('tells once a minute that somebody works, and nothing while nobody does', () => {
    const tell = vi.fn()
    const stop = tellActivity(tell)
    vi.advanceTimersByTime(600_000)
    expect(tell).not.toHaveBeenCalled()
    press()
    press()
    expect(tell).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(61_000)
    press()
    expect(tell).toHaveBeenCalledTimes(2)
    stop()
  })
})
