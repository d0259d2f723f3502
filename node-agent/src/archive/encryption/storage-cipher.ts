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
export type StorageCipherAnswer = { readonly ready: true } | { readonly id: number; readonly bytes: Uint8Array }

/** Less takes longer to hand over than to encipher. */
const INLINE_BYTES = 64 * 1024

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
  /** It takes a second until it has loaded, and then says so. */
  isReady: boolean
  readonly waiting: Map<number, { resolve(bytes: Uint8Array): void; reject(error: unknown): void }>
}

/**
 * SM4 for the files of all archives of a node: small pieces at once, large ones on threads of their own. The threads start with the first large
 * piece, or when told; until one is ready, nobody waits for it.
 */
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
    if (this.#closed) throw new Error('the archive is closed')
    const thread = blocks.length <= INLINE_BYTES ? undefined : this.#leastBusy()
    const bytes = thread ? await this.#onThread(thread, encryptionKey, iv, offset, blocks) : cipherBlocks(encryptionKey, iv, offset, blocks)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Where large pieces are to be expected. */
  warm(): void {
    while (this.#threads.length < this.#limit) this.#threads.push(this.#start())
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.splice(0).map((thread) => this.#end(thread, new Error('the archive closes'))))
  }

  #onThread(thread: Thread, key: Uint8Array, iv: Uint8Array, offset: number, blocks: Uint8Array): Promise<Uint8Array> {
    const id = ++this.#lastId
    const own = movable(blocks)
    return new Promise((resolve, reject) => {
      thread.waiting.set(id, { resolve, reject })
      thread.worker.postMessage({ id, key, iv, offset, blocks: own } satisfies StorageCipherJob, [own.buffer])
    })
  }

  #leastBusy(): Thread | undefined {
    this.warm()
    return this.#threads.filter((thread) => thread.isReady).sort((a, b) => a.waiting.size - b.waiting.size)[0]
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(new URL('./start-storage-cipher.mjs', import.meta.url), { execArgv: [] }), isReady: false, waiting: new Map() }
    thread.worker.unref()
    thread.worker.on('message', (answer: StorageCipherAnswer) => {
      if ('ready' in answer) {
        thread.isReady = true
        return
      }
      thread.waiting.get(answer.id)?.resolve(answer.bytes)
      thread.waiting.delete(answer.id)
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
