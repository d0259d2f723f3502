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
 * written and digested, each of which gives it back.
 */
export class Blocks {
  readonly memory = new SharedArrayBuffer(KEPT * BLOCK_BYTES)
  readonly #users = Array.from({ length: KEPT }, () => 0)

  /** In use once, by whoever takes it. */
  take(): Block {
    const index = this.#users.indexOf(0)
    if (index < 0) return { bytes: Buffer.from(new SharedArrayBuffer(BLOCK_BYTES)), index: undefined }
    this.#users[index] = 1
    return { bytes: Buffer.from(this.memory, index * BLOCK_BYTES, BLOCK_BYTES), index }
  }

  /** Somebody else uses it, too. */
  share({ index }: Block): void {
    if (index !== undefined) this.#users[index]! += 1
  }

  giveBack({ index }: Block): void {
    if (index !== undefined) this.#users[index]! -= 1
  }
}
