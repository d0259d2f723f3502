import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { createSm3 } from 'pki'
import type { Database, Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { syncFolder } from '../commit-queue.ts'
import { isEncryptedPath } from '../encryption/file-form.ts'
import type { Folders } from '../folders.ts'
import type { FreeSpace } from '../free-space.ts'
import { copiesOfFile, isCurrentCopy, type Copy, type FileRow } from './copies.ts'
import { storedBytes } from './copier.ts'
import type { StoreBook } from './store-book.ts'

/** What reading needs of an open file; one that is still on its way fulfils it as well. */
export interface ReadHandle {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  close(): Promise<void>
}

export interface RecallParts {
  readonly db: Database
  readonly folders: Folders
  readonly stores: StoreBook
  readonly space: FreeSpace
  readonly log: Log
  /** Runs while nothing is being put in place or deleted. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  /** The bytes of a copy are not what they were: told once, by whoever reads them. */
  readonly onDamaged: (file: FileRow, copy: Copy) => void
}

/** Whoever wants bytes further ahead than this does not wait for those before: they are read from the store at once. */
const AHEAD_BYTES = 8 * 1024 * 1024

type FileToRecall = Pick<FileRow, 'sopInstanceUid' | 'studyInstanceUid' | 'fileId' | 'path' | 'sizeBytes' | 'sm3'>

/** Files on their way back to the local disk, one for each however many read it (ARC-20). */
export class Recalls {
  readonly #parts: RecallParts
  readonly #running = new Map<string, Recall>()

  constructor(parts: RecallParts) {
    this.#parts = parts
  }

  /** @returns undefined when no store has a copy. */
  async of(file: FileToRecall): Promise<Recall | undefined> {
    const running = this.#running.get(file.fileId)
    if (running) return running
    const copies = (await copiesOfFile(this.#parts.db, file.fileId)).filter((copy) => isCurrentCopy(copy, file))
    if (copies.length === 0) return undefined
    return this.#running.get(file.fileId) ?? this.#begin(file, copies)
  }

  #begin(file: FileToRecall, copies: readonly Copy[]): Recall {
    const recall = new Recall(this.#parts, { ...file, away: 1 }, copies, () => this.#running.delete(file.fileId))
    this.#running.set(file.fileId, recall)
    return recall
  }

  /** Back on the local disk, compared with its digest. @throws {Problem} archive/recall-failed, archive/out-of-space, archive/unknown-instance */
  async bring(file: FileToRecall): Promise<void> {
    const recall = await this.of(file)
    if (!recall) throw new Problem('archive/unknown-instance', { sopInstanceUid: file.sopInstanceUid, reason: 'no store has a copy' })
    await recall.bring()
  }

  get active(): number {
    return this.#running.size
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((recall) => recall.stop()))
  }
}

/** One file on its way. Readers follow the bytes as they come; the last one is given out only when the whole is what its digest says. */
export class Recall {
  readonly #parts: RecallParts
  readonly #file: FileRow
  readonly #copies: readonly Copy[]
  readonly #onEnd: () => void
  readonly #size: number
  readonly #temporary: string
  readonly #stopped = new AbortController()
  #available = 0
  #work: Promise<void> | undefined
  #ended: 'placed' | 'failed' | undefined
  #error: unknown
  #handle: FileHandle | undefined
  #readers = 0
  #waiting: (() => void)[] = []

  constructor(parts: RecallParts, file: FileRow, copies: readonly Copy[], onEnd: () => void) {
    this.#parts = parts
    this.#file = file
    this.#copies = copies
    this.#onEnd = onEnd
    this.#size = storedBytes(file)
    this.#temporary = path.join(parts.folders.recalled, `${file.fileId}.${randomUUID()}.part`)
  }

  bring(): Promise<void> {
    return (this.#work ??= this.#run())
  }

  /** To be closed like a file. */
  open(): ReadHandle {
    this.#readers += 1
    let isOpen = true
    return {
      read: (buffer, offset, length, position) => this.#read(buffer.subarray(offset, offset + length), position),
      close: async () => {
        if (!isOpen) return
        isOpen = false
        this.#readers -= 1
        await this.#release()
      },
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#work?.catch(() => undefined)
  }

  async #read(bytes: Uint8Array, position: number): Promise<{ bytesRead: number }> {
    const end = Math.min(position + bytes.length, this.#size)
    if (end <= position) return { bytesRead: 0 }
    this.bring().catch(() => undefined) // told to whoever waits for it
    while (this.#available < end && this.#ended === undefined) {
      if (end - this.#available > AHEAD_BYTES) return this.#readThrough(bytes, position, end)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (this.#handle && this.#available >= end) return this.#handle.read(bytes, 0, end - position, position)
    // No room to copy it back is no reason not to show it.
    if (isProblem(this.#error) && this.#error.code === 'archive/out-of-space') return this.#readThrough(bytes, position, end)
    throw this.#error ?? new Problem('archive/recall-failed', { sopInstanceUid: this.#file.sopInstanceUid })
  }

  async #readThrough(bytes: Uint8Array, position: number, end: number): Promise<{ bytesRead: number }> {
    const filled = await this.#fromAnyCopy(async (copy) => {
      let at = 0
      const stream = await this.#parts.stores.use(copy.storeId, (store) => store.open(copy.objectKey, { start: position, end }))
      for await (const chunk of stream) {
        bytes.set(chunk as Uint8Array, at)
        at += (chunk as Uint8Array).length
      }
      return at
    })
    return { bytesRead: filled }
  }

  async #run(): Promise<void> {
    try {
      await this.#parts.space.require()
      this.#handle = await open(this.#temporary, 'w+', 0o640)
      await this.#fromAnyCopy((copy) => this.#download(copy))
      await this.#handle.datasync()
      await this.#place(this.#temporary)
      this.#available = this.#size
      this.#ended = 'placed'
    } catch (error) {
      this.#ended = 'failed'
      this.#error = error
      if (!this.#stopped.signal.aborted) this.#parts.log.warn({ err: error, sopInstanceUid: this.#file.sopInstanceUid }, 'file not called back from its store')
      throw error
    } finally {
      this.#onEnd()
      this.#wake()
      await this.#release()
    }
  }

  async #download(copy: Copy): Promise<void> {
    const sm3 = createSm3()
    let at = 0
    const stream = await this.#parts.stores.use(copy.storeId, (store) => store.open(copy.objectKey, undefined, this.#stopped.signal))
    try {
      for await (const chunk of stream) {
        const bytes = chunk as Uint8Array
        for (let done = 0; done < bytes.length; ) done += (await this.#handle!.write(bytes, done, bytes.length - done, at + done)).bytesWritten
        sm3.update(bytes)
        at += bytes.length
        this.#available = Math.max(this.#available, Math.min(at, this.#size - 1))
        this.#wake()
      }
    } catch (error) {
      throw isProblem(error) ? error : new Problem('store/unreachable', { storeId: copy.storeId, reason: error instanceof Error ? error.message : String(error) }, { cause: error })
    }
    const wanted = isEncryptedPath(this.#file.path) ? copy.sm3 : this.#file.sm3
    if (at === this.#size && sm3.digestHex() === wanted) return
    this.#parts.onDamaged(this.#file, copy)
    throw new Problem('archive/damaged-file', { sopInstanceUid: this.#file.sopInstanceUid, storeId: copy.storeId })
  }

  /** Only while the row still names this very file. */
  async #place(from: string): Promise<void> {
    const { db, folders, exclusively } = this.#parts
    await exclusively(async () => {
      const row = await db.get<{ path: string; missing: number }>('SELECT path, missing FROM archive_instance WHERE file_id = $1', [this.#file.fileId])
      if (!row) return rm(from, { force: true })
      const target = path.join(folders.root, row.path)
      await mkdir(path.dirname(target), { recursive: true, mode: 0o750 })
      await rename(from, target)
      await syncFolder(path.dirname(target))
      await db.run('UPDATE archive_away SET left_at = 0 WHERE file_id = $1', [this.#file.fileId])
      if (row.missing !== 0) await db.run('UPDATE archive_instance SET missing = 0 WHERE file_id = $1', [this.#file.fileId])
    })
  }

  async #fromAnyCopy<T>(work: (copy: Copy) => Promise<T>): Promise<T> {
    let last: unknown
    const { stores } = this.#parts
    const paused = stores.paused(this.#copies.map(({ storeId }) => storeId))
    // Those that did not answer a moment ago are asked last.
    for (const copy of [...this.#copies].sort((a, b) => Number(paused.includes(a.storeId)) - Number(paused.includes(b.storeId)))) {
      try {
        return await work(copy)
      } catch (error) {
        last = error
        // Whoever has read of a damaged copy must not be given the rest of another.
        if (this.#stopped.signal.aborted || (isDamaged(error) && this.#readers > 0)) break
        if (isDamaged(error)) this.#available = 0
      }
    }
    if (isDamaged(last)) throw last
    const facts = isProblem(last) ? { ...(last.facts as object), because: last.code } : {}
    throw new Problem('archive/recall-failed', { sopInstanceUid: this.#file.sopInstanceUid, ...facts }, { cause: last })
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #release(): Promise<void> {
    if (this.#readers > 0 || this.#ended === undefined || !this.#handle) return
    const handle = this.#handle
    this.#handle = undefined
    await handle.close()
    if (this.#ended === 'failed') await rm(this.#temporary, { force: true })
  }
}

const isDamaged = (error: unknown): boolean => isProblem(error) && error.code === 'archive/damaged-file'

/** Bytes [start, end) of an open file in chunks; closes it. */
export async function* chunksOf(handle: ReadHandle, start: number, end: number): AsyncGenerator<Buffer> {
  try {
    for (let at = start; at < end; ) {
      const chunk = Buffer.allocUnsafe(Math.min(256 * 1024, end - at))
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield chunk.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}
