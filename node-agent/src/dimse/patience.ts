interface Wait {
  readonly waitingFor: string
  readonly limitMs: number
  readonly minBytes: number
}

/**
 * How long we wait for a peer. One wait is open at a time; when its limit passes, the peer must have moved at least
 * `minBytes` since the last look, or we are done waiting. A peer that sends a byte now and then is therefore not kept.
 */
export class Patience {
  readonly #onLost: (waitingFor: string) => void
  #wait: Wait | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #movedBytes = 0
  #paused = false

  constructor(onLost: (waitingFor: string) => void) {
    this.#onLost = onLost
  }

  /**
   * @param waitingFor for the log: what the peer owes us.
   * @param minBytes bytes that must move per `limitMs` to be waited for again; Infinity when only the end of the wait counts.
   */
  wait(waitingFor: string, limitMs: number, minBytes = Infinity): void {
    this.#wait = { waitingFor, limitMs, minBytes }
    this.#arm()
  }

  /** Nothing is expected of the peer: it is our turn. */
  rest(): void {
    this.#wait = undefined
    clearTimeout(this.#timer)
  }

  /** We do not listen now, so the peer cannot be late. */
  pause(): void {
    this.#paused = true
    clearTimeout(this.#timer)
  }

  resume(): void {
    this.#paused = false
    this.#arm()
  }

  moved(bytes: number): void {
    this.#movedBytes += bytes
  }

  #arm(): void {
    clearTimeout(this.#timer)
    this.#movedBytes = 0
    const wait = this.#wait
    if (this.#paused || wait === undefined) return
    this.#timer = setTimeout(() => {
      if (this.#movedBytes >= wait.minBytes) this.#arm()
      else this.#onLost(wait.waitingFor)
    }, wait.limitMs)
  }
}
