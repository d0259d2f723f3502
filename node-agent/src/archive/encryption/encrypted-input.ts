import { Buffer } from 'node:buffer'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ReadHandle } from '../storage/recall.ts'
import type { FileEncryption } from './file-encryption.ts'
import { HEADER_BYTES } from './file-form.ts'
import type { FileKey } from './file-keys.ts'
import { blocksFor } from './storage-cipher.ts'

const CHUNK_BYTES = 256 * 1024

/** Reads of one encrypted file, wherever it lies at the moment. */
export class EncryptedInput {
  readonly #encryption: FileEncryption
  readonly #id: string
  #header: Buffer | undefined
  #key: FileKey | undefined

  /** @param id whose content it must be. */
  constructor(encryption: FileEncryption, id: string) {
    this.#encryption = encryption
    this.#id = id
  }

  /**
   * Plain bytes [offset, offset+length), shorter only at the end of the file.
   * @throws {Problem} archive/damaged-file, archive/wrong-key
   */
  async read(handle: ReadHandle, offset: number, length: number): Promise<Buffer> {
    const key = await this.#keyOf(handle)
    const { blocks, skip } = blocksFor(offset, length)
    const filled = await readFully(handle, blocks.subarray(skip), HEADER_BYTES + offset)
    return this.#encryption.cipher.apply(key, offset, filled === length ? blocks : blocks.subarray(0, skip + filled))
  }

  /** Plain bytes [start, end) in chunks; the next one is made while the last is used. */
  stream(open: () => Promise<ReadHandle>, start: number, end: number): Readable {
    const chunks = async function* (this: EncryptedInput) {
      const handle = await open()
      const chunkAt = (at: number) => {
        const chunk = this.read(handle, at, Math.max(0, Math.min(CHUNK_BYTES, end - at)))
        chunk.catch(() => undefined) // thrown when its turn comes; whoever has gone before needs none
        return chunk
      }
      let next = chunkAt(start)
      try {
        for (let at = start; at < end; ) {
          const chunk = await next
          if (chunk.length === 0) return
          at += chunk.length
          next = chunkAt(at)
          yield chunk
        }
      } finally {
        await next.catch(() => undefined)
        await handle.close()
      }
    }
    return Readable.from(chunks.call(this), { objectMode: false, highWaterMark: CHUNK_BYTES })
  }

  /** The header is read every time, and its key made anew only when it is another one: a file of one name may have been put there since. */
  async #keyOf(handle: ReadHandle): Promise<FileKey> {
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    const filled = await readFully(handle, header, 0)
    if (this.#key && this.#header?.equals(header)) return this.#key
    this.#key = this.#encryption.keys.open(header.subarray(0, filled), this.#id)
    this.#header = header
    return this.#key
  }
}

/** An encrypted file outside the index, as one stream of its plain bytes. @throws {Problem} archive/damaged-file, archive/wrong-key, by the stream */
export const decrypted = (encryption: FileEncryption, file: string, id: string): Readable =>
  new EncryptedInput(encryption, id).stream(() => open(file, 'r'), 0, Number.MAX_SAFE_INTEGER)

/** @returns how many bytes there were, fewer than asked for only at the end of the file. */
export async function readFully(handle: ReadHandle, bytes: Uint8Array, position: number): Promise<number> {
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}
