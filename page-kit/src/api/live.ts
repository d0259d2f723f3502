import { onScopeDispose, readonly, ref } from 'vue'
import type { LiveEvent } from 'specs'

type Listener = (event: LiveEvent | { type: 'reconnected' }) => void

/**
 * The hub's server-sent events, one connection per page. After a gap listeners hear `reconnected`, so that whatever was
 * missed is read again; the browser itself reconnects.
 */
export function createLiveEvents(open: () => EventSource = () => new EventSource('/api/events')) {
  const listeners = new Set<Listener>()
  const connected = ref(false)
  let source: EventSource | undefined
  let wasConnected = false
  const types = ['consult', 'hospital', 'refusal', 'link', 'transfer', 'exam', 'audit', 'break-glass', 'rule', 'grant', 'cross-search'] as const

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
