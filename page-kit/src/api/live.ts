import { onScopeDispose, readonly, ref } from 'vue'
import type { LiveEvent } from 'specs'

type Listener = (event: LiveEvent | { type: 'reconnected' }) => void

const CLOSED = 2 // EventSource.CLOSED
const AGAIN_MS = 5_000

export interface LiveOptions {
  open?: () => EventSource
  /** The service refused the stream: most often the session has ended, and who sits there should see that at once. */
  onRefused?: () => void
}

/**
 * The service's server-sent events, one connection per page. After a gap listeners hear `reconnected`, so that whatever was
 * missed is read again. A torn line the browser itself mends; after a refusal it gives up, and we try again.
 */
export function createLiveEvents({ open = () => new EventSource('/api/events'), onRefused = () => {} }: LiveOptions = {}) {
  const listeners = new Set<Listener>()
  const connected = ref(false)
  let source: EventSource | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  let wasConnected = false
  const types = ['consult', 'hospital', 'refusal', 'link', 'transfer', 'exam', 'audit', 'break-glass', 'rule', 'grant', 'cross-search', 'forward', 'acquisition', 'import', 'routing'] as const

  function start() {
    if (source) return
    source = open()
    source.onopen = () => {
      connected.value = true
      if (wasConnected) for (const listener of listeners) listener({ type: 'reconnected' })
      wasConnected = true
    }
    source.onerror = () => {
      connected.value = false
      if (source?.readyState !== CLOSED) return
      stop()
      again = setTimeout(start, AGAIN_MS)
      onRefused()
    }
    const hear = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as LiveEvent
      for (const listener of listeners) listener(event)
    }
    source.onmessage = hear
    for (const type of types) source.addEventListener(type, hear)
    // The server no longer has what happened since our last event: read everything again.
    source.addEventListener('resync', () => {
      for (const listener of listeners) listener({ type: 'reconnected' })
    })
  }

  function stop() {
    clearTimeout(again)
    source?.close()
    source = undefined
    connected.value = false
  }

  /** Hears events until the calling component is gone. */
  function onEvent(listener: Listener) {
    listeners.add(listener)
    onScopeDispose(() => listeners.delete(listener))
  }

  return { start, stop, onEvent, connected: readonly(connected) }
}

export type LiveEvents = ReturnType<typeof createLiveEvents>
