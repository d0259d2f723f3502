/** Promises that something else will settle, by key; whoever gives up waiting is forgotten. */
export class Waiters {
  readonly #waiting = new Map<string, Set<{ resolve: () => void; reject: (error: unknown) => void }>>()

  wait(key: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key) ?? new Set()
      const forget = () => {
        waiting.delete(waiter)
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        signal?.removeEventListener('abort', giveUp)
      }
      const waiter = {
        resolve: () => (forget(), resolve()),
        reject: (error: unknown) => (forget(), reject(error)),
      }
      const giveUp = () => waiter.reject(signal?.reason)
      if (signal?.aborted) return reject(signal.reason)
      signal?.addEventListener('abort', giveUp, { once: true })
      waiting.add(waiter)
      this.#waiting.set(key, waiting)
    })
  }

  fulfil(key: string): void {
    for (const waiter of [...(this.#waiting.get(key) ?? [])]) waiter.resolve()
  }

  fail(key: string, error: unknown): void {
    for (const waiter of [...(this.#waiting.get(key) ?? [])]) waiter.reject(error)
  }

  failWhere(isConcerned: (key: string) => boolean, error: unknown): void {
    for (const key of [...this.#waiting.keys()]) if (isConcerned(key)) this.fail(key, error)
  }
}
