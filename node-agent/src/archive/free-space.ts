import { statfs } from 'node:fs/promises'
import { Problem } from 'specs'

/** Refuses new bytes before the disk is full, so that databases and logs on it keep working. */
export class FreeSpace {
  readonly #folder: string
  readonly #minFreeBytes: number
  #freeBytes = Infinity
  #measuredAt = 0

  constructor(folder: string, minFreeBytes: number) {
    this.#folder = folder
    this.#minFreeBytes = minFreeBytes
  }

  async measure(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#folder)
    this.#measuredAt = Date.now()
    return (this.#freeBytes = bavail * bsize)
  }

  /** Whether there is little more than what is kept free: time to make room before anybody is refused. */
  async isShort(): Promise<boolean> {
    return (await this.measure()) < this.#minFreeBytes * 1.2
  }

  /** @throws {Problem} archive/out-of-space. Measures at most once a second. */
  async require(): Promise<void> {
    if (Date.now() - this.#measuredAt > 1_000) await this.measure()
    if (this.#freeBytes < this.#minFreeBytes)
      throw new Problem('archive/out-of-space', { where: 'files', freeBytes: this.#freeBytes, minFreeBytes: this.#minFreeBytes })
  }
}
