import { parentPort } from 'node:worker_threads'
import { noteOf } from 'specs'
import { codePiece, type CipherAnswer, type CipherJob } from './cipher-thread.ts'

// Entry of the worker thread: SM4 over every image byte works here, so that the main thread goes on answering people.
const port = parentPort
if (!port) throw new Error('cipher-worker runs as a worker thread')

port.on('message', ({ id, ...job }: CipherJob) => {
  try {
    const bytes = codePiece(job)
    port.postMessage({ id, bytes } satisfies CipherAnswer, [bytes.buffer])
  } catch (error) {
    port.postMessage({ id, problem: noteOf(error) } satisfies CipherAnswer)
  }
})
port.postMessage({ ready: true } satisfies CipherAnswer)
