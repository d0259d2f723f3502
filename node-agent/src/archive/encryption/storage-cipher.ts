import { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Log } from 'service-kit'
import { cipherBlocks, intoBlock } from './counter-mode.ts'
import type { FileKey } from './file-keys.ts'

export interface StorageCipherJob {
  readonly id: number
  readonly key: Uint8Array
  readonly iv: Uint8Array
  readonly offset: number
  readonly blocks: Uint8Array
}
export interface StorageCipherAnswer {
  readonly id: number
  readonly bytes: Uint8Array
}

/** Less takes longer to hand over than to encipher. */
const INLINE_BYTES = 32 * 1024

/** Memory for `sizeBytes` bytes of a file from `offset` on, to be filled behind `skip`; a thread can take it over without a copy. */
export function blocksFor(offset: number, sizeBytes: number): { readonly blocks: Buffer; readonly skip: number } {
  const skip = intoBlock(offset)
  return { blocks: Buffer.allocUnsafeSlow(skip + sizeBytes), skip }
}

/** Bytes that own their memory go to another thread without a copy; a view into something larger is copied once. */
export function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) return new Uint8Array(buffer)
  return Uint8Array.from(bytes)
}

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, { resolve(bytes: Uint8Array): void; reject(error: unknown): void }>
}

/** SM4 for the files of all archives of a node: small pieces at once, large ones on threads of their own, which start with the first of them. */
export class StorageCipher {
  readonly #log: Log
  readonly #limit: number
  readonly #threads: Thread[] = []
  #lastId = 0
  #closed = false

  constructor(log: Log, { threads = Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2))) }: { threads?: number } = {}) {
    this.#log = log
    this.#limit = threads
  }

  /** @param blocks as blocksFor made it and filled; not to be used afterwards. @returns the bytes from `offset` on. */
  async apply({ encryptionKey, iv }: FileKey, offset: number, blocks: Uint8Array): Promise<Buffer> {
    const bytes = blocks.length <= INLINE_BYTES ? cipherBlocks(encryptionKey, iv, offset, blocks) : await this.#onThread(encryptionKey, iv, offset, blocks)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.splice(0).map((thread) => this.#end(thread, new Error('the archive closes'))))
  }

  #onThread(key: Uint8Array, iv: Uint8Array, offset: number, blocks: Uint8Array): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(new Error('the archive is closed'))
    const thread = this.#leastBusy()
    const id = ++this.#lastId
    const own = movable(blocks)
    return new Promise((resolve, reject) => {
      thread.waiting.set(id, { resolve, reject })
      thread.worker.postMessage({ id, key, iv, offset, blocks: own } satisfies StorageCipherJob, [own.buffer])
    })
  }

  #leastBusy(): Thread {
    const [first] = [...this.#threads].sort((a, b) => a.waiting.size - b.waiting.size)
    if (first && (first.waiting.size === 0 || this.#threads.length >= this.#limit)) return first
    const thread = this.#start()
    this.#threads.push(thread)
    return thread
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(new URL('./start-storage-cipher.mjs', import.meta.url), { execArgv: [] }), waiting: new Map() }
    thread.worker.unref()
    thread.worker.on('message', ({ id, bytes }: StorageCipherAnswer) => {
      thread.waiting.get(id)?.resolve(bytes)
      thread.waiting.delete(id)
    })
    const lost = (error: Error) => {
      const at = this.#threads.indexOf(thread)
      if (at < 0) return
      this.#threads.splice(at, 1)
      this.#log.error({ err: error }, 'thread that enciphers stored images lost')
      void this.#end(thread, error)
    }
    thread.worker.on('error', lost)
    thread.worker.on('exit', () => lost(new Error('the thread ended')))
    return thread
  }

  /** What was under way fails like any write or read that the disk refuses; the next one starts a new thread. */
  async #end(thread: Thread, error: Error): Promise<void> {
    for (const { reject } of thread.waiting.values()) reject(error)
    thread.waiting.clear()
    await thread.worker.terminate()
  }
}
