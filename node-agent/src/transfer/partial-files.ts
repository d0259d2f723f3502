import { mkdir, open, readdir, rm, stat, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManifestRow } from 'specs'

/**
 * Instances larger than one piece grow in files of their own until they are whole, so that a restart goes on at the byte
 * where it stopped. The digest in the name keeps two contents of one instance apart. What a power cut spoils is found by
 * the digest of the whole and fetched again.
 */
export class PartialFiles {
  readonly #folder: string
  readonly #open = new Map<string, Growing>()
  readonly #opening = new Map<string, Promise<Growing>>()
  /** Where the files of an earlier run go on. */
  readonly #begins = new Map<string, number>()

  /** @param folder of one transfer alone. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Bytes that an earlier run left, by SOP Instance UID; files of other contents are removed. */
  async found(rows: readonly ManifestRow[]): Promise<Map<string, number>> {
    const wanted = new Map(rows.map((row) => [nameOf(row), row]))
    const found = new Map<string, number>()
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names) {
      const row = wanted.get(name)
      const { size } = await stat(join(this.#folder, name))
      // A whole file was cut off before it was committed: its last byte is fetched again, and then it is.
      if (row && size <= row.sizeBytes) {
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
    return this.#open.get(nameOf(row))?.length ?? this.#begins.get(nameOf(row)) ?? 0
  }

  pathOf(row: ManifestRow): string {
    return join(this.#folder, nameOf(row))
  }

  async close(row: ManifestRow): Promise<void> {
    const growing = this.#open.get(nameOf(row))
    this.#open.delete(nameOf(row))
    await growing?.turn.catch(() => undefined) // its writer has been told
    await growing?.file.close()
  }

  async remove(row: ManifestRow): Promise<void> {
    await this.close(row)
    this.#begins.delete(nameOf(row))
    await rm(this.pathOf(row), { force: true })
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
    const name = nameOf(row)
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
    const begin = this.#begins.get(nameOf(row)) ?? 0
    await mkdir(this.#folder, { recursive: true })
    const growing = new Growing(await open(this.pathOf(row), begin > 0 ? 'r+' : 'w+'), begin)
    this.#open.set(nameOf(row), growing)
    return growing
  }
}

class Growing {
  readonly file: FileHandle
  readonly waiting = new Map<number, Uint8Array>()
  length: number
  isWhole = false
  turn: Promise<void> = Promise.resolve()

  constructor(file: FileHandle, length: number) {
    this.file = file
    this.length = length
  }

  async writeContiguous(): Promise<void> {
    for (let bytes = this.waiting.get(this.length); bytes; bytes = this.waiting.get(this.length)) {
      this.waiting.delete(this.length)
      await this.file.write(bytes, 0, bytes.length, this.length)
      this.length += bytes.length
    }
  }
}

// UIDs hold digits and dots only, so the name cannot lead elsewhere.
const nameOf = (row: ManifestRow): string => `${row.sopInstanceUid}.${row.sm3.slice(0, 16)}.part`
