/** Lets one caller in at a time, in the order of asking. */
export class Mutex {
  #last: Promise<void> = Promise.resolve()

  /** Runs `work` after everybody who asked before; its failure is the caller's and does not stop the queue. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last
    let leave = () => {}
    this.#last = new Promise((resolve) => (leave = resolve))
    await before
    try {
      return await work()
    } finally {
      leave()
    }
  }
}
