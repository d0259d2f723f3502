import { Buffer } from 'node:buffer'

/** What is gathered before it is written and digested: few, large steps. */
export const BLOCK_BYTES = 256 * 1024
const KEPT = 32

/** Memory that this thread fills and the digest thread reads, without anything being copied between them. */
export interface Block {
  readonly bytes: Buffer
  /** Of blocks that are used again and again. */
  readonly index: number | undefined
}

/**
 * Blocks for what arrives. Making shared memory anew for each costs three times as much as filling it, so some are kept; one is free again when it has been
 * written (said by `giveBack`) and digested (said by the thread, in `digesting`).
 */
export class Blocks {
  readonly memory = new SharedArrayBuffer(KEPT * BLOCK_BYTES)
  /** For each kept block 1 while the digest thread needs it. */
  readonly digesting = new SharedArrayBuffer(KEPT * Int32Array.BYTES_PER_ELEMENT)
  readonly #digesting = new Int32Array(this.digesting)
  readonly #inUse = Array.from({ length: KEPT }, () => false)

  take(): Block {
    for (let index = 0; index < KEPT; index++) {
      if (this.#inUse[index] || Atomics.load(this.#digesting, index) !== 0) continue
      this.#inUse[index] = true
      return { bytes: Buffer.from(this.memory, index * BLOCK_BYTES, BLOCK_BYTES), index }
    }
    return { bytes: Buffer.from(new SharedArrayBuffer(BLOCK_BYTES)), index: undefined }
  }

  giveBack({ index }: Block): void {
    if (index !== undefined) this.#inUse[index] = false
  }

  lend({ index }: Block): void {
    if (index !== undefined) Atomics.store(this.#digesting, index, 1)
  }

  /** The thread is lost: nobody reads any of them any more. */
  takeAllBack(): void {
    this.#digesting.fill(0)
  }
}
