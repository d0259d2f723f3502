import { prefetchOrder } from './prefetch-order.ts'

export interface LoadPort {
  load(imageId: string): Promise<unknown>
  isLoaded(imageId: string): boolean
  /** False when memory is nearly used up: then nothing is fetched ahead, and what is asked for still is. */
  hasRoom(): boolean
}

interface Focus {
  readonly imageIds: readonly string[]
  readonly order: readonly number[]
}

/**
 * Fetches ahead what the viewports will want: the active one's neighbours first. A picture that failed is not asked for
 * again until somebody looks at it, so that a broken one does not block the series.
 *
 * @param concurrency Requests at once; browsers open six connections per server, and the picture that is looked at and
 * the live events need theirs.
 */
export class SeriesLoader {
  readonly #port: LoadPort
  readonly #concurrency: number
  readonly #focuses = new Map<string, Focus>()
  readonly #failed = new Set<string>()
  readonly #running = new Set<string>()
  #stopped = false

  constructor(port: LoadPort, concurrency = 4) {
    this.#port = port
    this.#concurrency = concurrency
  }

  /** Looks from now on around `current` of these pictures; the newest focus goes first. */
  focus(viewId: string, imageIds: readonly string[], current: number, direction: 1 | -1): void {
    this.#focuses.delete(viewId)
    this.#focuses.set(viewId, { imageIds, order: prefetchOrder(imageIds.length, current, direction) })
    this.#fill()
  }

  unfocus(viewId: string): void {
    this.#focuses.delete(viewId)
  }

  forgetFailure(imageId: string): void {
    this.#failed.delete(imageId)
  }

  failedAmong(imageIds: readonly string[]): number {
    return imageIds.filter((imageId) => this.#failed.has(imageId)).length
  }

  stop(): void {
    this.#stopped = true
    this.#focuses.clear()
  }

  #fill(): void {
    while (!this.#stopped && this.#running.size < this.#concurrency && this.#port.hasRoom()) {
      const imageId = this.#next()
      if (imageId === undefined) return
      this.#running.add(imageId)
      void this.#port
        .load(imageId)
        .catch(() => this.#failed.add(imageId)) // shown with its reason when the picture is looked at
        .finally(() => {
          this.#running.delete(imageId)
          this.#fill()
        })
    }
  }

  #next(): string | undefined {
    for (const { imageIds, order } of [...this.#focuses.values()].reverse()) {
      for (const index of order) {
        const imageId = imageIds[index]
        if (imageId !== undefined && !this.#port.isLoaded(imageId) && !this.#running.has(imageId) && !this.#failed.has(imageId))
          return imageId
      }
    }
    return undefined
  }
}
