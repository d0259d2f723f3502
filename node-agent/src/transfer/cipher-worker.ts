import { parentPort } from 'node:worker_threads'
import { PieceCipher } from 'pki'
import { noteOf } from 'specs'
import { movable, type CipherAnswer, type CipherJob } from './cipher-thread.ts'

// Entry of the worker thread: SM4 over every image byte works here, so that the main thread goes on answering people.
const port = parentPort
if (!port) throw new Error('cipher-worker runs as a worker thread')

port.on('message', ({ id, task, keys, request, bytes }: CipherJob) => {
  try {
    const cipher = new PieceCipher(keys.encryptionKey, keys.macKey)
    const done = movable(task === 'seal' ? cipher.sealPiece(request, bytes) : cipher.openPiece(request, bytes))
    port.postMessage({ id, bytes: done } satisfies CipherAnswer, [done.buffer])
  } catch (error) {
    port.postMessage({ id, problem: noteOf(error) } satisfies CipherAnswer)
  }
})
