import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { randomUUID } from 'node:crypto'
import { Problem } from 'specs'
import { syncFolder } from '../commit-queue.ts'
import { codeOf } from '../storage-problem.ts'
import type { ByteRange, ImageStore, StoredObject } from './image-store.ts'

const MARK = '.lianpian-store'
const UNFINISHED = '.unfinished'

/**
 * Another disk or a mounted NAS. A mark in the folder says that the right thing is mounted: without it an empty mount point would be
 * taken for a store that has lost everything, and filled.
 */
export class FolderStore implements ImageStore {
  readonly kind = 'folder'
  readonly storeId: string
  readonly #root: string
  #isMarked = false

  constructor(storeId: string, root: string) {
    this.storeId = storeId
    this.#root = root
  }

  async put(key: string, source: () => Readable, sizeBytes: number): Promise<void> {
    await this.#requireMark()
    const target = this.#fileOf(key)
    const temporary = path.join(this.#root, UNFINISHED, randomUUID())
    await this.#or('write', async () => {
      await mkdir(path.dirname(temporary), { recursive: true, mode: 0o750 })
      const handle = await open(temporary, 'wx', 0o640)
      let written = 0
      try {
        for await (const chunk of source()) {
          const bytes = chunk as Uint8Array
          for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten
          written += bytes.length
        }
        await handle.datasync()
      } finally {
        await handle.close()
        if (written !== sizeBytes) await rm(temporary, { force: true })
      }
      if (written !== sizeBytes) throw new Problem('store/refused', { storeId: this.storeId, key, reason: 'the source is shorter than told' })
      await mkdir(path.dirname(target), { recursive: true, mode: 0o750 })
      await rename(temporary, target)
      await syncFolder(path.dirname(target))
    }).catch(async (error: unknown) => {
      await rm(temporary, { force: true }).catch(() => undefined)
      throw error
    })
  }

  async open(key: string, range?: ByteRange): Promise<Readable> {
    const file = this.#fileOf(key)
    await this.#or('read', () => stat(file), key)
    return createReadStream(file, { highWaterMark: 256 * 1024, ...(range && { start: range.start, end: range.end - 1 }) })
  }

  async head(key: string): Promise<StoredObject | undefined> {
    try {
      return { key, sizeBytes: (await stat(this.#fileOf(key))).size }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw this.#problem('read', error, key)
      await this.#requireMark() // nothing here because nothing is mounted is no answer
      return undefined
    }
  }

  async delete(key: string): Promise<void> {
    await this.#requireMark()
    await this.#or('delete', () => rm(this.#fileOf(key), { force: true }))
  }

  async *list(prefix = ''): AsyncGenerator<StoredObject> {
    await this.#requireMark()
    for await (const key of this.#keysBelow('')) {
      if (!key.startsWith(prefix)) continue
      const object = await this.head(key)
      if (object) yield object
    }
  }

  async *#keysBelow(folder: string): AsyncGenerator<string> {
    for (const entry of await this.#or('read', () => readdir(path.join(this.#root, folder), { withFileTypes: true }))) {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (name === MARK || name === UNFINISHED) continue
      if (entry.isDirectory()) yield* this.#keysBelow(name)
      else yield name
    }
  }

  async capacity(): Promise<{ freeBytes: number; totalBytes: number }> {
    await this.#requireMark()
    const { bavail, blocks, bsize } = await this.#or('read', () => statfs(this.#root))
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  }

  close(): void {
    // nothing is held open
  }

  /** Marks the folder as this store's own; called when the store is set up, never later. @throws {Problem} store/unreachable, when the folder does not exist */
  async mark(): Promise<void> {
    await this.#or('write', async () => {
      await stat(this.#root) // a missing mount is not made up
      const handle = await open(path.join(this.#root, MARK), 'a', 0o640)
      await handle.close()
      await rm(path.join(this.#root, UNFINISHED), { recursive: true, force: true })
    })
  }

  async #requireMark(): Promise<void> {
    try {
      await stat(path.join(this.#root, MARK))
      this.#isMarked = true
    } catch (error) {
      throw new Problem('store/unreachable', { storeId: this.storeId, reason: this.#isMarked ? 'the folder has gone' : 'the folder is not there, or carries no mark of this store', code: codeOf(error) })
    }
  }

  #fileOf(key: string): string {
    const file = path.join(this.#root, key)
    if (!file.startsWith(this.#root + path.sep)) throw new Problem('store/refused', { storeId: this.storeId, reason: 'the key leaves the store' })
    return file
  }

  async #or<T>(what: string, work: () => Promise<T>, key?: string): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#problem(what, error, key)
    }
  }

  #problem(what: string, error: unknown, key?: string): unknown {
    if (error instanceof Problem) return error
    const code = codeOf(error)
    const facts = { storeId: this.storeId, what, code }
    if (code === 'ENOENT' && key !== undefined) return new Problem('store/no-object', { ...facts, key })
    if (code === 'ENOSPC' || code === 'EDQUOT') return new Problem('store/full', facts, { cause: error })
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return new Problem('store/refused', facts, { cause: error })
    return new Problem('store/unreachable', facts, { cause: error })
  }
}
