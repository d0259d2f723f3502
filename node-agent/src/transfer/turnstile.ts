/** Lets so many through at the same time, in the order in which they came; how many is asked each time. */
export class Turnstile {
  readonly #limit: () => number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(limit: () => number) {
    this.#limit = limit
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside >= this.#limit()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#inside += 1
    try {
      return await work()
    } finally {
      this.#inside -= 1
      // More than one where the limit has grown meanwhile.
      for (let free = this.#limit() - this.#inside; free > 0 && this.#waiting.length > 0; free--) this.#waiting.shift()?.()
    }
  }
}
