import { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import type { Log } from 'service-kit'
import { Problem } from 'specs'
import { CodecThread } from './codec-thread.ts'
import type { CodecAnswer, CodecWork } from './render-job.ts'

export type { CodecWork } from './render-job.ts'

export interface CodecResult {
  readonly bytes: Buffer
  /** Of these bytes: a codec may have changed the colours' form. */
  readonly photometricInterpretation: string
  readonly planarConfiguration: number
}

/** Whose turn it is: lanes take turns, so that a study being sent does not make a page wait; `background` comes when nobody else waits. */
export interface CodecTurn {
  /** One asker, for example an association or a request; work without a lane shares one. */
  readonly lane?: string
  readonly background?: boolean
}

/** Codecs on worker threads: they are synchronous, and the main thread goes on receiving images. */
export interface Codecs {
  /** How many frames are worked on at once. */
  readonly threads: number
  /** @throws An Error that says why the frame cannot be decoded or encoded; {Problem} service/unavailable when too many wait, or on stopping. */
  run(work: CodecWork, turn?: CodecTurn): Promise<CodecResult>
  close(): Promise<void>
}

/** More frames than this waiting in one lane: better to say so than to let everybody wait. */
const maxWaiting = 200

interface Waiting {
  readonly work: CodecWork
  readonly resolve: (result: CodecResult) => void
  readonly reject: (error: unknown) => void
}

/** @param threads all cores but one unless told, at least one: receiving must not wait for pixels. */
export function createCodecPool({ log, threads = Math.max(1, availableParallelism() - 1) }: { log: Log; threads?: number }): Codecs {
  const idle = Array.from({ length: threads }, () => new CodecThread(log))
  const all = [...idle]
  const waiting = { lanes: new Map<string, Waiting[]>(), background: new Map<string, Waiting[]>() }
  let closed = false

  function next(): void {
    while (idle.length > 0) {
      const turn = takeTurn(waiting.lanes) ?? takeTurn(waiting.background)
      if (!turn) return
      const thread = idle.pop()
      if (thread) void work(thread, turn)
    }
  }
  async function work(thread: CodecThread, { work, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(resultOf(await thread.run(work)))
    } catch (error) {
      reject(closed ? stopping() : error)
    } finally {
      idle.push(thread)
      if (!closed) next()
    }
  }
  return {
    threads,
    run(work, { lane = '', background = false } = {}) {
      if (closed) return Promise.reject(stopping())
      const lanes = background ? waiting.background : waiting.lanes
      const queue = lanes.get(lane) ?? []
      if (queue.length >= maxWaiting) return Promise.reject(new Problem('service/unavailable', { reason: 'too many frames asked for at once' }))
      return new Promise((resolve, reject) => {
        queue.push({ work, resolve, reject })
        lanes.set(lane, queue)
        next()
      })
    },
    async close() {
      closed = true
      const left = [...waiting.lanes.values(), ...waiting.background.values()].flat()
      waiting.lanes.clear()
      waiting.background.clear()
      for (const { reject } of left) reject(stopping())
      await Promise.all(all.map((thread) => thread.close()))
    },
  }
}

const stopping = () => new Problem('service/unavailable', { reason: 'stopping' })

const resultOf = ({ bytes, photometricInterpretation, planarConfiguration }: Extract<CodecAnswer, { bytes: Uint8Array }>): CodecResult => ({
  bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  photometricInterpretation,
  planarConfiguration,
})

/** The first of the lane that has waited longest for a turn; the lane goes to the end of the row. */
function takeTurn(lanes: Map<string, Waiting[]>): Waiting | undefined {
  const [first] = lanes
  if (!first) return undefined
  const [lane, queue] = first
  const turn = queue.shift()
  lanes.delete(lane)
  if (queue.length > 0) lanes.set(lane, queue)
  return turn
}
