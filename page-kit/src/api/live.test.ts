import { effectScope } from 'vue'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLiveEvents } from './live.ts'

/** As much of an EventSource as the page touches. */
class Source {
  onopen?: () => void
  onerror?: () => void
  readyState = 1
  addEventListener = () => {}
  close = () => {}
}

describe('the stream of live events', () => {
  const opened: Source[] = []
  const onRefused = vi.fn()
  const live = createLiveEvents({ open: () => (opened.push(new Source()), opened.at(-1)!) as unknown as EventSource, onRefused })
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('asks about the session when the service refuses it, and is opened again by and by', () => {
    // SEC-07: a session that was ended from afar leaves the screen at once
    const heard: string[] = []
    effectScope().run(() => live.onEvent(({ type }) => heard.push(type)))
    live.start()
    opened[0]?.onopen?.()
    opened[0]?.onerror?.() // a torn line: the browser reconnects
    expect([onRefused.mock.calls.length, opened.length]).toEqual([0, 1])
    Object.assign(opened[0]!, { readyState: 2 }).onerror?.()
    expect([onRefused.mock.calls.length, live.connected.value]).toEqual([1, false])
    vi.advanceTimersByTime(5_000)
    opened[1]?.onopen?.()
    expect([opened.length, heard]).toEqual([2, ['reconnected']])
  })

  it('is not opened again once the page has stopped it', () => {
    Object.assign(opened[1]!, { readyState: 2 }).onerror?.()
    live.stop()
    vi.advanceTimersByTime(60_000)
    expect(opened).toHaveLength(2)
  })
})
