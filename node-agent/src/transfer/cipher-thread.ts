import { Worker } from 'node:worker_threads'
import { PieceCipher } from 'pki'
import { problemFromNote, type PieceRequest, type ProblemNote } from 'specs'
import type { Log } from 'service-kit'
import { movable } from '../archive/encryption/storage-cipher.ts'

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
export type CipherAnswer = { readonly ready: true } | { readonly id: number; readonly bytes: Uint8Array } | { readonly id: number; readonly problem: ProblemNote }

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

/** @returns bytes that own their memory. @throws {Problem} transfer/bad-request */
export function codePiece({ task, keys, request, bytes }: Omit<CipherJob, 'id'>): Uint8Array<ArrayBuffer> {
  const cipher = new PieceCipher(keys.encryptionKey, keys.macKey)
  return movable(task === 'seal' ? cipher.sealPiece(request, bytes) : cipher.openPiece(request, bytes))
}

/**
 * One worker thread for all transfers of the node: SM4 and its copies cost some milliseconds per piece. It loads with the first piece, which
 * may take longer than an asker waits for its answer; until it is ready, pieces are done at once where they are.
 */
export class CipherThread implements PieceCoder {
  readonly #log: Log
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #isReady = false
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
    this.#isReady = false
    await worker?.terminate()
    this.#failAll(new Error('the node stops'))
  }

  async #run(task: CipherJob['task'], keys: SessionKeys, request: PieceRequest, bytes: Uint8Array): Promise<Uint8Array> {
    const worker = (this.#worker ??= this.#start())
    if (!this.#isReady) return codePiece({ task, keys, request, bytes })
    const id = ++this.#lastId
    const own = movable(bytes)
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, task, keys, request, bytes: own } satisfies CipherJob, [own.buffer])
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./start-cipher-worker.mjs', import.meta.url), { execArgv: [] })
    worker.unref()
    worker.on('message', (answer: CipherAnswer) => {
      if ('ready' in answer) {
        this.#isReady = this.#worker === worker
        return
      }
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
    this.#isReady = false
    this.#log.error({ err: error }, 'cipher thread lost')
    this.#failAll(error)
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}
