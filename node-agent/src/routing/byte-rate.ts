import { setTimeout as delay } from 'node:timers/promises'
import type { InstanceToSend } from '../dimse/scu.ts'

/** Small enough that a slow line moves something well within the patience of both ends. */
const SLICE_BYTES = 32 * 1024

/** A narrow line shared by everything that goes to one node (ARC-10): who wants to send waits for its turn, nothing fails. */
export class ByteRate {
  readonly #bytesPerMs: number
  readonly #now: () => number
  readonly #sleep: (ms: number) => Promise<unknown>
  /** When everything promised so far will have gone. */
  #freeAt = 0

  constructor(bytesPerSecond: number, clock: { now: () => number; sleep: (ms: number) => Promise<unknown> } = { now: () => performance.now(), sleep: delay }) {
    this.#bytesPerMs = bytesPerSecond / 1_000
    this.#now = clock.now
    this.#sleep = clock.sleep
  }

  /** Resolves when the bytes may go. */
  async take(bytes: number): Promise<void> {
    const now = this.#now()
    const from = Math.max(now, this.#freeAt)
    this.#freeAt = from + bytes / this.#bytesPerMs
    if (from > now) await this.#sleep(from - now)
  }

  /** The same instance, read no faster than the line allows. */
  slowed(instance: InstanceToSend): InstanceToSend {
    const { openAs } = instance
    return { ...instance, open: async () => this.#paced(await instance.open()), ...(openAs && { openAs: async (syntax: string) => this.#paced(await openAs(syntax)) }) }
  }

  async *#paced(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks)
      for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
        const slice = chunk.subarray(at, at + SLICE_BYTES)
        await this.take(slice.length)
        yield slice
      }
  }
}
