import { Buffer } from 'node:buffer'
import type { FileHandle } from 'node:fs/promises'
import type { FileEncryption } from './file-encryption.ts'
import { HEADER_BYTES } from './file-form.ts'
import { readFully } from './encrypted-input.ts'
import type { FileKey } from './file-keys.ts'
import { blocksFor } from './storage-cipher.ts'

/** Writes an encrypted file from its beginning to its end; plain bytes never reach the disk. */
export class EncryptedOutput {
  readonly #handle: FileHandle
  readonly #encryption: FileEncryption
  readonly #key: FileKey
  #header: Buffer | undefined
  #offset = 0
  #underWay: Promise<void> = Promise.resolve()

  /** @param handle of an empty file. @param id the file's, see Slot. */
  constructor(handle: FileHandle, encryption: FileEncryption, id: string, begun?: { key: FileKey; offset: number }) {
    const { key, header } = begun ? { key: begun.key, header: undefined } : encryption.keys.create(id)
    this.#handle = handle
    this.#encryption = encryption
    this.#key = key
    this.#header = header
    this.#offset = begun?.offset ?? 0
  }

  /**
   * Goes on in a file that was begun before a stop. What is written over is the same content again, or the key would hide two of them.
   * @param offset where to go on, in plain bytes. @throws {Problem} archive/damaged-file, archive/wrong-key
   */
  static async goOn(handle: FileHandle, encryption: FileEncryption, id: string, offset: number): Promise<EncryptedOutput> {
    const header = Buffer.alloc(HEADER_BYTES)
    await readFully(handle, header, 0)
    return new EncryptedOutput(handle, encryption, id, { key: encryption.keys.open(header, id), offset })
  }

  /** Takes the bytes over and returns while they are enciphered: the next ones are gathered meanwhile. A failure shows at the next call. */
  async write(parts: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    await this.#underWay
    const offset = this.#offset
    const { blocks, skip } = blocksFor(offset, sizeBytes)
    let at = skip
    for (const part of parts) {
      blocks.set(part, at)
      at += part.length
    }
    this.#offset += sizeBytes
    this.#underWay = this.#put(offset, blocks)
    this.#underWay.catch(() => undefined) // reaches whoever writes or ends next
  }

  /** Resolves when everything has been written; what makes it durable is the caller's. */
  async end(): Promise<void> {
    await this.#underWay
    if (this.#header) await writeFully(this.#handle, this.#header, 0)
    this.#header = undefined
  }

  async #put(offset: number, blocks: Buffer): Promise<void> {
    const bytes = await this.#encryption.cipher.apply(this.#key, offset, blocks)
    const header = this.#header
    this.#header = undefined
    if (header) await writeFully(this.#handle, Buffer.concat([header, bytes]), 0)
    else await writeFully(this.#handle, bytes, HEADER_BYTES + offset)
  }
}

/** @param position in the file; a short write goes on where it stopped, so that a full disk becomes its error. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten
}
