import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rm, stat, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { isProblem, type ManifestRow } from 'specs'
import { decrypted } from '../archive/encryption/encrypted-input.ts'
import { EncryptedOutput } from '../archive/encryption/encrypted-output.ts'
import type { FileEncryption } from '../archive/encryption/file-encryption.ts'
import { ENCRYPTED, HEADER_BYTES } from '../archive/encryption/file-form.ts'
import { idOfPlace } from '../archive/encryption/file-keys.ts'

const READ_BYTES = 1024 * 1024

/**
 * Instances larger than one piece grow in files of their own until they are whole, so that a restart goes on at the byte
 * where it stopped. The digest in the name keeps two contents of one instance apart. What a power cut spoils is found by
 * the digest of the whole and fetched again. Those of another form than the setting's are fetched again as well: what is to be encrypted must
 * not lie in clear for as long as a transfer takes.
 */
export class PartialFiles {
  readonly #folder: string
  readonly #encryption: FileEncryption | undefined
  readonly #open = new Map<string, Growing>()
  readonly #opening = new Map<string, Promise<Growing>>()
  /** Where the files of an earlier run go on. */
  readonly #begins = new Map<string, number>()

  /** @param folder of one transfer alone. */
  constructor(folder: string, encryption?: FileEncryption) {
    this.#folder = folder
    this.#encryption = encryption
  }

  /** Bytes that an earlier run left, by SOP Instance UID; files of other contents are removed. */
  async found(rows: readonly ManifestRow[]): Promise<Map<string, number>> {
    const wanted = new Map(rows.map((row) => [this.#nameOf(row), row]))
    const found = new Map<string, number>()
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names) {
      const row = wanted.get(name)
      const size = (await stat(join(this.#folder, name))).size - this.#headerBytes
      // A whole file was cut off before it was committed: its last byte is fetched again, and then it is.
      if (row && size >= 0 && size <= row.sizeBytes && (await this.#opens(name))) {
        found.set(row.sopInstanceUid, Math.min(size, row.sizeBytes - 1))
        this.#begins.set(name, Math.min(size, row.sizeBytes - 1))
      } else await unlink(join(this.#folder, name))
    }
    return found
  }

  /**
   * Puts bytes where they belong; pieces may come in any order, the file grows without holes.
   * @returns true once: to whoever made the instance whole.
   */
  async append(row: ManifestRow, offset: number, bytes: Uint8Array): Promise<boolean> {
    const growing = await this.#growing(row)
    growing.waiting.set(offset, bytes)
    growing.turn = growing.turn.then(() => growing.writeContiguous())
    await growing.turn
    if (growing.length < row.sizeBytes || growing.isWhole) return false
    growing.isWhole = true
    return true
  }

  /** Where the file ends without holes. */
  lengthOf(row: ManifestRow): number {
    return this.#open.get(this.#nameOf(row))?.length ?? this.#begins.get(this.#nameOf(row)) ?? 0
  }

  /** All bytes of an instance that is whole. */
  content(row: ManifestRow): Readable {
    const name = this.#nameOf(row)
    const file = join(this.#folder, name)
    return this.#encryption ? decrypted(this.#encryption, file, idOfPlace(name)) : createReadStream(file, { highWaterMark: READ_BYTES })
  }

  async close(row: ManifestRow): Promise<void> {
    const growing = this.#open.get(this.#nameOf(row))
    this.#open.delete(this.#nameOf(row))
    await growing?.turn.catch(() => undefined) // its writer has been told
    await growing?.file.close()
  }

  async remove(row: ManifestRow): Promise<void> {
    await this.close(row)
    this.#begins.delete(this.#nameOf(row))
    await rm(join(this.#folder, this.#nameOf(row)), { force: true })
  }

  async closeAll(): Promise<void> {
    for (const growing of this.#open.values()) {
      await growing.turn.catch(() => undefined)
      await growing.file.close()
    }
    this.#open.clear()
  }

  async removeAll(): Promise<void> {
    await this.closeAll()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #growing(row: ManifestRow): Promise<Growing> {
    const name = this.#nameOf(row)
    const known = this.#open.get(name) ?? this.#opening.get(name)
    if (known) return known
    const opening = this.#start(row)
    this.#opening.set(name, opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(name)
    }
  }

  async #start(row: ManifestRow): Promise<Growing> {
    const name = this.#nameOf(row)
    const begin = this.#begins.get(name) ?? 0
    await mkdir(this.#folder, { recursive: true })
    const file = await open(join(this.#folder, name), begin > 0 ? 'r+' : 'w+')
    const output = this.#encryption && (begin > 0 ? await EncryptedOutput.goOn(file, this.#encryption, idOfPlace(name), begin) : new EncryptedOutput(file, this.#encryption, idOfPlace(name)))
    const growing = new Growing(file, begin, output)
    this.#open.set(name, growing)
    return growing
  }

  get #headerBytes(): number {
    return this.#encryption ? HEADER_BYTES : 0
  }

  /** One that was begun under another key is begun anew. */
  async #opens(name: string): Promise<boolean> {
    if (!this.#encryption) return true
    try {
      for await (const _first of decrypted(this.#encryption, join(this.#folder, name), idOfPlace(name))) break
      return true
    } catch (error) {
      if (isProblem(error)) return false
      throw error
    }
  }

  // UIDs hold digits and dots only, so the name cannot lead elsewhere.
  #nameOf(row: ManifestRow): string {
    return `${row.sopInstanceUid}.${row.sm3.slice(0, 16)}.part${this.#encryption ? ENCRYPTED : ''}`
  }
}

class Growing {
  readonly file: FileHandle
  readonly #output: EncryptedOutput | undefined
  readonly waiting = new Map<number, Uint8Array>()
  length: number
  isWhole = false
  turn: Promise<void> = Promise.resolve()

  constructor(file: FileHandle, length: number, output: EncryptedOutput | undefined) {
    this.file = file
    this.length = length
    this.#output = output
  }

  async writeContiguous(): Promise<void> {
    for (let bytes = this.waiting.get(this.length); bytes; bytes = this.waiting.get(this.length)) {
      this.waiting.delete(this.length)
      if (this.#output) await this.#output.write([bytes], bytes.length)
      else await this.file.write(bytes, 0, bytes.length, this.length)
      this.length += bytes.length
    }
    await this.#output?.end()
  }
}
