import { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import { createSm3, type StreamingSm3 } from 'pki'
import { BLOCK_BYTES } from './blocks.ts'
import type { DigestAnswer, DigestJob } from './digests.ts'

// Entry of a worker thread: SM3 over blocks that the main thread fills and writes to the disk meanwhile.
const port = parentPort
if (!port) throw new Error('digest-thread runs as a worker thread')
const { memory, digesting } = workerData as { memory: SharedArrayBuffer; digesting: SharedArrayBuffer }
const flags = new Int32Array(digesting)
const contents = new Map<number, StreamingSm3>()

function contentOf(id: number): StreamingSm3 {
  const known = contents.get(id) ?? createSm3()
  contents.set(id, known)
  return known
}

port.on('message', (job: DigestJob) => {
  if ('index' in job) {
    contentOf(job.id).update(Buffer.from(memory, job.index * BLOCK_BYTES, job.length))
    Atomics.store(flags, job.index, 0)
  } else if ('bytes' in job) contentOf(job.id).update(job.bytes)
  else {
    if (job.end === 'digest') port.postMessage({ id: job.id, sm3: contentOf(job.id).digestHex() } satisfies DigestAnswer)
    contents.delete(job.id)
  }
})
port.postMessage({ ready: true } satisfies DigestAnswer)
