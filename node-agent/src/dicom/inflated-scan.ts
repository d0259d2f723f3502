import { createInflateRaw } from 'node:zlib'
import { Problem } from 'specs'
import { DatasetScanner, type DatasetVisitor } from './dataset-scanner.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** A deflated dataset that unpacks to more is an attack on whoever reads it. */
export const maxInflatedBytes = 2 * 1024 * 1024 * 1024
/** Images shrink to a third, texts to a tenth. What grows a hundredfold beyond this size was made to keep us busy. */
const maxRatio = 100
const ratioCountsFromBytes = 64 * 1024 * 1024

/** Scans a deflated dataset (PS3.5 A.5) while it arrives, never holding more than a chunk of it unpacked. */
export class InflatedScan {
  readonly #scanner: DatasetScanner
  readonly #inflate = createInflateRaw()
  readonly #ended: Promise<void>
  #deflatedBytes = 0
  #inflatedBytes = 0
  #failure: unknown

  constructor(syntax: TransferSyntax, visitor: DatasetVisitor) {
    this.#scanner = new DatasetScanner(syntax, visitor)
    this.#ended = new Promise((resolve) => {
      this.#inflate.once('close', resolve)
      this.#inflate.once('end', resolve)
    })
    this.#inflate.on(
      'error',
      (error) => (this.#failure ??= new Problem('archive/unreadable', { reason: 'not deflated as announced' }, { cause: error })),
    )
    this.#inflate.on('data', (bytes: Uint8Array) => this.#scanChunk(bytes))
  }

  #scanChunk(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return
    this.#inflatedBytes += bytes.byteLength
    try {
      const isBomb = this.#inflatedBytes > ratioCountsFromBytes && this.#inflatedBytes > this.#deflatedBytes * maxRatio
      if (isBomb || this.#inflatedBytes > maxInflatedBytes)
        throw new Problem('archive/unreadable', { reason: 'unpacks to too much', limitBytes: maxInflatedBytes })
      this.#scanner.push(bytes)
    } catch (error) {
      this.#failure = error
      this.#inflate.destroy()
    }
  }

  async push(chunk: Uint8Array): Promise<void> {
    if (!this.#scanner.finished && this.#failure === undefined && !this.#inflate.writableEnded) {
      this.#deflatedBytes += chunk.byteLength
      await Promise.race([new Promise<void>((resolve) => void this.#inflate.write(chunk, () => resolve())), this.#ended])
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  async end(): Promise<void> {
    if (!this.#scanner.finished && this.#failure === undefined) {
      this.#inflate.end()
      await this.#ended
    }
    this.#inflate.destroy()
    if (this.#failure !== undefined) throw this.#failure
    this.#scanner.end()
  }
}
