import { Worker } from 'node:worker_threads'
import { problemFromNote, type PieceRequest, type ProblemNote } from 'specs'
import type { Log } from 'service-kit'

/** Keys of one transfer session. */
export interface SessionKeys {
  readonly encryptionKey: Uint8Array
  readonly macKey: Uint8Array
}

/** Encrypts and decrypts pieces (PieceCipher.sealPiece and openPiece) without holding up the main thread. */
export interface PieceCoder {
  seal(keys: SessionKeys, request: PieceRequest, plain: Uint8Array): Promise<Uint8Array>
  /** @throws {Problem} transfer/bad-request */
  open(keys: SessionKeys, request: PieceRequest, frame: Uint8Array): Promise<Uint8Array>
}

export interface CipherJob {
  readonly id: number
  readonly task: 'seal' | 'open'
  readonly keys: SessionKeys
  readonly request: PieceRequest
  readonly bytes: Uint8Array
}
export type CipherAnswer = { readonly id: number; readonly bytes: Uint8Array } | { readonly id: number; readonly problem: ProblemNote }

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

/** Bytes that own their memory can be handed to another thread without a copy; a view into something larger is copied once. */
export function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) return new Uint8Array(buffer)
  return Uint8Array.from(bytes)
}

/** One worker thread for all transfers of the node: SM4 costs about a hundredth of a second per piece. */
export class CipherThread implements PieceCoder {
  readonly #log: Log
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #lastId = 0

  constructor(log: Log) {
    this.#log = log
  }

  seal(keys: SessionKeys, request: PieceRequest, plain: Uint8Array): Promise<Uint8Array> {
    return this.#run('seal', keys, request, plain)
  }

  open(keys: SessionKeys, request: PieceRequest, frame: Uint8Array): Promise<Uint8Array> {
    return this.#run('open', keys, request, frame)
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
    this.#failAll(new Error('the node stops'))
  }

  #run(task: CipherJob['task'], keys: SessionKeys, request: PieceRequest, bytes: Uint8Array): Promise<Uint8Array> {
    const id = ++this.#lastId
    const own = movable(bytes)
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker ??= this.#start()
      this.#worker.postMessage({ id, task, keys, request, bytes: own } satisfies CipherJob, [own.buffer])
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./start-cipher-worker.mjs', import.meta.url), { execArgv: [] })
    worker.unref()
    worker.on('message', (answer: CipherAnswer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if ('bytes' in answer) waiting?.resolve(answer.bytes)
      else waiting?.reject(problemFromNote(answer.problem))
    })
    worker.on('error', (error) => this.#lost(worker, error))
    worker.on('exit', () => this.#lost(worker, new Error('the cipher thread ended')))
    return worker
  }

  /** What was under way fails and is asked for again; the next piece starts a new thread. */
  #lost(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#log.error({ err: error }, 'cipher thread lost')
    this.#failAll(error)
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}
