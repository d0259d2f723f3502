import { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import { createSm3, type StreamingSm3 } from 'pki'
import { BLOCK_BYTES } from './blocks.ts'
import type { DigestAnswer, DigestJob } from './digests.ts'

// Entry of a worker thread: SM3 over blocks that the main thread fills and writes to the disk meanwhile.
const port = parentPort
if (!port) throw new Error('digest-thread runs as a worker thread')
const { memory } = workerData as { memory: SharedArrayBuffer }
const contents = new Map<number, StreamingSm3>()

function contentOf(id: number): StreamingSm3 {
  const known = contents.get(id) ?? createSm3()
  contents.set(id, known)
  return known
}

const answer = (given: DigestAnswer): void => port.postMessage(given)

port.on('message', (job: DigestJob) => {
  const { id } = job
  if ('end' in job) {
    answer(job.end === 'digest' ? { id, sm3: contentOf(id).digestHex() } : { id })
    contents.delete(id)
    return
  }
  contentOf(id).update('index' in job ? Buffer.from(memory, job.index * BLOCK_BYTES, job.length) : job.bytes)
  answer({ id })
})
port.postMessage({ ready: true } satisfies DigestAnswer)
