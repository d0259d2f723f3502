import { Buffer } from 'node:buffer'
import { Worker } from 'node:worker_threads'
import type { Log } from 'service-kit'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import { readFrame, type Frame } from '../frames.ts'
import { EXPLICIT_LE, transferSyntax } from '../transfer-syntax.ts'
import { isDecodable } from './decode.ts'
import { describePixels } from './pixel-description.ts'
import type { PictureOptions, RenderAnswer, RenderJob } from './render-job.ts'

/** Decodes frames and makes pictures of them, away from the main thread. */
export interface Renderer {
  /** The frame's samples, uncompressed little endian. @throws {Problem} archive/not-renderable, archive/unknown-instance */
  decode(file: InstanceFile, frame: number): Promise<Frame>
  /** @throws {Problem} archive/not-renderable, archive/unknown-instance, service/unavailable */
  picture(file: InstanceFile, frame: number, options: PictureOptions): Promise<Buffer>
  close(): Promise<void>
}

/** A frame that takes longer is not going to be shown: the worker is stopped and the next job gets a new one. */
const jobTimeoutMs = 30_000
/** More jobs than this waiting: better to say so than to let everybody wait. */
const maxWaiting = 200
/** The codecs hold tens of megabytes; an idle worker gives them back. */
const idleMs = 60_000

interface Waiting {
  readonly job: RenderJob
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: unknown) => void
}

export function createRenderer({ log }: { log: Log }): Renderer {
  const pool = new RenderWorker(log)
  const run = async (file: InstanceFile, frame: number, picture?: PictureOptions): Promise<Buffer> => {
    const syntax = transferSyntax(file.transferSyntaxUid)
    const refuse = (reason: string) => new Problem('archive/not-renderable', { sopInstanceUid: file.row.sopInstanceUid, reason })
    if (!isDecodable(syntax.uid, syntax.encapsulated)) throw refuse(`no decoder for ${syntax.name}`)
    const [stored, pixels] = [await readFrame(file, frame), await describePixels(file, frame)]
    try {
      return await pool.run({
        bytes: stored.bytes,
        transferSyntaxUid: syntax.uid,
        encapsulated: syntax.encapsulated,
        pixels,
        ...(picture && { picture: fitRegion(picture, pixels) }),
      })
    } catch (error) {
      if (error instanceof Problem) throw error
      log.warn({ err: error, sopInstanceUid: file.row.sopInstanceUid, transferSyntaxUid: syntax.uid }, 'frame not decoded')
      throw new Problem(
        'archive/not-renderable',
        { sopInstanceUid: file.row.sopInstanceUid, reason: 'the pixels cannot be decoded' },
        { cause: error },
      )
    }
  }
  return {
    async decode(file, frame) {
      return { bytes: await run(file, frame), transferSyntaxUid: EXPLICIT_LE, mediaType: 'application/octet-stream' }
    },
    picture: run,
    close: () => pool.close(),
  }
}

/** A region outside the image would make libvips fail; what is left of it inside is shown, or the whole image. */
function fitRegion(picture: PictureOptions, { rows, columns }: { rows: number; columns: number }): PictureOptions {
  const { region, ...rest } = picture
  if (!region) return rest
  const left = Math.min(Math.max(0, Math.floor(region.left)), columns - 1)
  const top = Math.min(Math.max(0, Math.floor(region.top)), rows - 1)
  const width = Math.max(1, Math.min(Math.floor(region.width), columns - left))
  const height = Math.max(1, Math.min(Math.floor(region.height), rows - top))
  return { ...rest, region: { left, top, width, height } }
}

/** One worker thread, started when needed, replaced when it dies or hangs. */
class RenderWorker {
  readonly #log: Log
  #worker: Worker | undefined
  #current: Waiting | undefined
  #waiting: Waiting[] = []
  #timer: NodeJS.Timeout | undefined
  #nextId = 1

  constructor(log: Log) {
    this.#log = log
  }

  run(job: Omit<RenderJob, 'id'>): Promise<Buffer> {
    if (this.#waiting.length >= maxWaiting)
      return Promise.reject(new Problem('service/unavailable', { reason: 'too many pictures asked for at once' }))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job: { ...job, id: this.#nextId++ }, resolve, reject })
      this.#next()
    })
  }

  #next(): void {
    if (this.#current) return
    this.#current = this.#waiting.shift()
    clearTimeout(this.#timer)
    if (!this.#current) {
      this.#timer = setTimeout(() => void this.close(), idleMs)
      this.#timer.unref()
      return
    }
    this.#timer = setTimeout(() => this.#replace('took too long'), jobTimeoutMs)
    this.#worker ??= this.#start()
    this.#worker.postMessage(this.#current.job)
  }

  #start(): Worker {
    const worker = new Worker(new URL('./start-worker.mjs', import.meta.url), {
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 1_024 },
    })
    worker.unref()
    worker.on('message', (answer: RenderAnswer) => this.#answered(answer))
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'render worker failed')
      if (this.#worker === worker) this.#replace(error.message)
    })
    worker.on('exit', () => {
      if (this.#worker === worker) this.#replace('ended')
    })
    return worker
  }

  #answered(answer: RenderAnswer): void {
    const done = this.#current
    if (!done || done.job.id !== answer.id) return
    this.#current = undefined
    if ('failure' in answer) done.reject(new Error(answer.failure))
    else done.resolve(Buffer.from(answer.bytes.buffer, answer.bytes.byteOffset, answer.bytes.byteLength))
    this.#next()
  }

  #replace(reason: string): void {
    const broken = this.#worker
    const failed = this.#current
    this.#worker = undefined
    this.#current = undefined
    void broken?.terminate()
    failed?.reject(new Error(`render worker ${reason}`))
    this.#next()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
    const left = [...(this.#current ? [this.#current] : []), ...this.#waiting]
    this.#current = undefined
    this.#waiting = []
    for (const { reject } of left) reject(new Problem('service/unavailable', { reason: 'stopping' }))
  }
}
