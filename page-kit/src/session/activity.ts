/** Whether a person is at the page: the session must not live on a page that only refreshes itself (GB/T 22239 8.1.4.1 b). */

const AT_WORK_MS = 60_000
const TOLD_EVERY_MS = 60_000
const INPUTS = ['pointerdown', 'keydown', 'wheel', 'touchstart'] as const

let lastInputAt = Date.now()
const listeners = new Set<() => void>()

function noteInput(): void {
  lastInputAt = Date.now()
  for (const listener of listeners) listener()
}
if (typeof window !== 'undefined') for (const input of INPUTS) window.addEventListener(input, noteInput, { passive: true, capture: true })

/** When somebody last touched the page, epoch ms. */
export const lastInput = () => lastInputAt

/** For requests that the page makes by itself; the service does not take them for a person's. */
export const backgroundHeader = (now = Date.now()): Record<string, string> => (now - lastInputAt > AT_WORK_MS ? { 'x-lianpian-background': '1' } : {})

/** Reading may need no request for a long time: then the page tells that somebody is there, once a minute. @returns how to stop. */
export function tellActivity(tell: () => void): () => void {
  let toldAt = Date.now()
  const listener = () => {
    if (Date.now() - toldAt < TOLD_EVERY_MS) return
    toldAt = Date.now()
    tell()
  }
  listeners.add(listener)
  return () => listeners.delete(listener)
}
