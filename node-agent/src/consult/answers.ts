/** Pages wait a moment for the hub, so that a refusal is shown at the button; afterwards the answer comes as a live event. */
export class AnswerDesk {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Resolves when something about the task has been committed, or after `waitMs`. Begin waiting before looking. */
  change(taskId: string, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(taskId) ?? new Set()
      const done = () => {
        clearTimeout(timer)
        waiting.delete(done)
        if (waiting.size === 0 && this.#waiting.get(taskId) === waiting) this.#waiting.delete(taskId)
        resolve()
      }
      const timer = setTimeout(done, waitMs)
      waiting.add(done)
      this.#waiting.set(taskId, waiting)
    })
  }

  changed(taskId: string): void {
    for (const done of [...(this.#waiting.get(taskId) ?? [])]) done()
  }

  /** @param look returns what was waited for, or undefined. @returns the same, undefined when time is up. */
  async until<T>(taskId: string, waitMs: number, look: () => Promise<T | undefined>): Promise<T | undefined> {
    const deadline = Date.now() + waitMs
    for (;;) {
      const left = deadline - Date.now()
      const change = left > 0 ? this.change(taskId, left) : undefined
      const seen = await look()
      if (seen !== undefined || change === undefined) {
        this.changed(taskId)
        return seen
      }
      await change
    }
  }
}
