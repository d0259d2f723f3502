/** Lets so many through at the same time, in the order in which they came; how many is asked each time. */
export class Turnstile {
  readonly #limit: () => number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(limit: () => number) {
    this.#limit = limit
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#limit()) this.#inside += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      this.#inside -= 1
      // More than one where the limit has grown meanwhile; whoever is let in counts from now on.
      for (; this.#waiting.length > 0 && this.#inside < this.#limit(); this.#inside += 1) this.#waiting.shift()?.()
    }
  }
}
