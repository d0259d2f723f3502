import { parentPort } from 'node:worker_threads'
import { cipherBlocks } from './counter-mode.ts'
import { movable, type StorageCipherAnswer, type StorageCipherJob } from './storage-cipher.ts'

// Entry of a worker thread: SM4 over stored bytes works here, so that the main thread goes on answering people and modalities.
const port = parentPort
if (!port) throw new Error('storage-cipher-worker runs as a worker thread')

port.on('message', ({ id, key, iv, offset, blocks }: StorageCipherJob) => {
  const bytes = movable(cipherBlocks(key, iv, offset, blocks))
  port.postMessage({ id, bytes } satisfies StorageCipherAnswer, [bytes.buffer])
})
port.postMessage({ ready: true } satisfies StorageCipherAnswer)
