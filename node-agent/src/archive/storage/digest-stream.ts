import { Readable } from 'node:stream'
import { createSm3 } from 'pki'

/** Passes bytes on and keeps account of them. */
export class Counted {
  readonly #sm3 = createSm3()
  sizeBytes = 0

  of(source: Readable): Readable {
    const pass = async function* (this: Counted) {
      for await (const chunk of source) {
        const bytes = chunk as Uint8Array
        this.#sm3.update(bytes)
        this.sizeBytes += bytes.length
        yield bytes
      }
    }
    return Readable.from(pass.call(this), { objectMode: false })
  }

  /** Once, at the end. */
  digest(): string {
    return this.#sm3.digestHex()
  }
}

export async function countAll(source: Readable, onChunk?: (bytes: number) => Promise<void> | void): Promise<{ sizeBytes: number; sm3: string }> {
  const sm3 = createSm3()
  let sizeBytes = 0
  for await (const chunk of source) {
    const bytes = chunk as Uint8Array
    sm3.update(bytes)
    sizeBytes += bytes.length
    await onChunk?.(bytes.length)
  }
  return { sizeBytes, sm3: sm3.digestHex() }
}
