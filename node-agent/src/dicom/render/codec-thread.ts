import { Worker } from 'node:worker_threads'
import type { Log } from 'service-kit'
import type { CodecAnswer, CodecWork, RenderJob } from './render-job.ts'

/** A frame that takes longer is not going to come out: the worker is stopped and the next frame gets a new one. */
const jobTimeoutMs = 30_000
/** The codecs hold tens of megabytes; an idle worker gives them back. */
const idleMs = 60_000

interface Current {
  readonly job: RenderJob
  readonly resolve: (answer: Extract<CodecAnswer, { bytes: Uint8Array }>) => void
  readonly reject: (error: unknown) => void
}

/** One worker thread and one frame at a time; started when needed, replaced when it dies or hangs. */
export class CodecThread {
  readonly #log: Log
  #worker: Worker | undefined
  #current: Current | undefined
  #timer: NodeJS.Timeout | undefined
  #nextId = 1

  constructor(log: Log) {
    this.#log = log
  }

  /** @throws An Error that says why nothing came out. Called again only when the last frame is done. */
  run(work: CodecWork): Promise<Extract<CodecAnswer, { bytes: Uint8Array }>> {
    clearTimeout(this.#timer)
    return new Promise((resolve, reject) => {
      const job = { ...work, id: this.#nextId++ }
      this.#current = { job, resolve, reject }
      this.#timer = setTimeout(() => this.#replace('took too long'), jobTimeoutMs)
      this.#worker ??= this.#start()
      this.#worker.postMessage(job)
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./start-worker.mjs', import.meta.url), {
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 1_024 },
    })
    worker.unref()
    worker.on('message', (answer: CodecAnswer) => this.#answered(answer))
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'codec worker failed')
      if (this.#worker === worker) this.#replace(error.message)
    })
    worker.on('exit', () => {
      if (this.#worker === worker) this.#replace('ended')
    })
    return worker
  }

  #answered(answer: CodecAnswer): void {
    const done = this.#current
    if (!done || done.job.id !== answer.id) return
    this.#rest()
    if ('failure' in answer) done.reject(new Error(answer.failure))
    else done.resolve(answer)
  }

  #rest(): void {
    this.#current = undefined
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.close(), idleMs)
    this.#timer.unref()
  }

  #replace(reason: string): void {
    const broken = this.#worker
    const failed = this.#current
    this.#worker = undefined
    this.#rest()
    void broken?.terminate()
    failed?.reject(new Error(`codec worker ${reason}`))
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const worker = this.#worker
    const failed = this.#current
    this.#worker = undefined
    this.#current = undefined
    await worker?.terminate()
    failed?.reject(new Error('codec worker stopped'))
  }
}
