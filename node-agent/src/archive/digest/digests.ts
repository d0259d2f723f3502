import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { createSm3 } from 'pki'
import type { Log } from 'service-kit'
import type { Sm3Hex } from 'specs'
import { Blocks, type Block } from './blocks.ts'

/** Less takes longer to hand over than to digest. */
const INLINE_BYTES = 64 * 1024

/** A piece of a content, by its block or, when that is none of those kept, with its memory. */
export type DigestJob =
  | { readonly id: number; readonly index: number; readonly length: number }
  | { readonly id: number; readonly bytes: Uint8Array }
  | { readonly id: number; readonly end: 'digest' | 'forget' }
/** Each block is answered in its turn, and the end with the digest. */
export type DigestAnswer = { readonly ready: true } | { readonly id: number; readonly sm3?: Sm3Hex }

/** SM3 of one content, fed block by block. */
export interface ContentDigest {
  /** The first `length` bytes of the block, which stays in use until they are digested. @returns what to wait for while too much of it waits. */
  update(block: Block, length: number): Promise<void> | undefined
  /** Once, after the last block. */
  digest(): Promise<Sm3Hex>
  /** Instead of `digest`, when the content is given up. */
  forget(): void
}

/** Blocks of one content that may wait for the thread; whoever brings more of it waits for the thread, too. */
const BEHIND = 4

/** A content on the thread. */
interface UnderWay {
  readonly waiting: Block[]
  /** Resolves when the thread has caught up. */
  caughtUp: (() => void) | undefined
  end: { resolve(sm3: Sm3Hex): void; reject(error: unknown): void } | undefined
}

/**
 * SM3 of what arrives at the archives of a node, on a thread of its own: it is two fifths of what receiving costs, and the thread that answers people and
 * modalities has no time for it. Where there is no second processor, until the thread is ready and after it is lost, the caller's thread does it.
 */
export class Digests {
  readonly blocks = new Blocks()
  readonly #log: Log | undefined
  readonly #underWay = new Map<number, UnderWay>()
  #worker: Worker | undefined
  #isReady = false
  #lastId = 0

  private constructor(log?: Log) {
    this.#log = log
  }

  /** With a thread, if the machine has a processor for it. */
  static threaded(log: Log): Digests {
    const digests = new Digests(log)
    if (availableParallelism() > 1) digests.#start()
    return digests
  }

  static inline(): Digests {
    return new Digests()
  }

  /** False where there is none, until it is ready, and after it is lost. */
  get hasThread(): boolean {
    return this.#isReady
  }

  /** @param sizeBytes of the whole content, or as much of it as there is yet. */
  begin(sizeBytes: number): ContentDigest {
    return this.#worker && this.#isReady && sizeBytes > INLINE_BYTES ? this.#onThread(this.#worker) : this.#here()
  }

  async close(): Promise<void> {
    this.#isReady = false
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
    this.#failAll(new Error('the archive is closed'))
  }

  #here(): ContentDigest {
    const sm3 = createSm3()
    return {
      update: ({ bytes }, length) => void sm3.update(bytes.subarray(0, length)),
      digest: () => Promise.resolve(sm3.digestHex()),
      forget: () => undefined,
    }
  }

  #onThread(worker: Worker): ContentDigest {
    const id = ++this.#lastId
    const content: UnderWay = { waiting: [], caughtUp: undefined, end: undefined }
    this.#underWay.set(id, content)
    const post = (job: DigestJob) => worker.postMessage(job)
    return {
      update: (block, length) => {
        if (this.#worker !== worker) return
        this.blocks.share(block)
        content.waiting.push(block)
        post(block.index === undefined ? { id, bytes: block.bytes.subarray(0, length) } : { id, index: block.index, length })
        return content.waiting.length > BEHIND ? new Promise((resolve) => (content.caughtUp = resolve)) : undefined
      },
      digest: () =>
        new Promise((resolve, reject) => {
          if (this.#worker !== worker) return reject(new Error('the thread that digests is gone'))
          content.end = { resolve, reject }
          post({ id, end: 'digest' })
        }),
      forget: () => post({ id, end: 'forget' }),
    }
  }

  #answered({ id, sm3 }: { readonly id: number; readonly sm3?: Sm3Hex }): void {
    const content = this.#underWay.get(id)
    if (!content) return
    const block = content.waiting.shift()
    if (block) {
      this.blocks.giveBack(block)
      content.caughtUp?.()
      content.caughtUp = undefined
      return
    }
    this.#underWay.delete(id)
    if (sm3 !== undefined) content.end?.resolve(sm3)
  }

  #start(): void {
    const worker = new Worker(new URL('./start-digest-thread.mjs', import.meta.url), { execArgv: [], workerData: { memory: this.blocks.memory } })
    this.#worker = worker
    worker.unref()
    worker.on('message', (answer: DigestAnswer) => {
      if ('ready' in answer) {
        this.#isReady = true
        return
      }
      this.#answered(answer)
    })
    const lost = (error: Error) => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#isReady = false
      this.#log?.error({ err: error }, 'thread that digests what arrives lost')
      // What was under way fails and is sent again; what comes next is digested here.
      this.#failAll(error)
    }
    worker.on('error', lost)
    worker.on('exit', () => lost(new Error('the thread ended')))
  }

  #failAll(error: Error): void {
    for (const { waiting, caughtUp, end } of this.#underWay.values()) {
      for (const block of waiting) this.blocks.giveBack(block)
      caughtUp?.()
      end?.reject(error)
    }
    this.#underWay.clear()
  }
}
