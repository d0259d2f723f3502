import { onScopeDispose, readonly, ref, shallowRef } from 'vue'
import type { ApiClient } from 'page-kit'
import type { ImportRow } from 'specs'
import { isNoise, isZip, nameOf, type PickedFile } from './dropped-files.ts'

const AT_ONCE = 4
const TRIES = 5

export interface UploadProgress {
  readonly sent: number
  readonly total: number
  /** Of everything, 0 to 1. */
  readonly share: number
  /** Could not be sent at all; what the service says of a file stands in its list. */
  readonly unsent: number
}

/** Sends files one by one, a few at a time, ZIP files whole; what the line loses is sent again. */
export function useUpload(api: ApiClient, onEnd: () => void) {
  const state = ref<'idle' | 'sending' | 'reading'>('idle')
  const progress = shallowRef<UploadProgress>({ sent: 0, total: 0, share: 0, unsent: 0 })
  let importId: string | undefined
  let stop = new AbortController()

  async function send(picked: readonly PickedFile[]): Promise<'done' | 'cancelled' | 'empty'> {
    const files = picked.filter((file) => !isNoise(file))
    if (files.length === 0) return 'empty'
    stop = new AbortController()
    const totalBytes = files.reduce((sum, { file }) => sum + file.size, 0) || 1
    const moved = new Map<PickedFile, number>()
    let [sent, unsent] = [0, 0]
    const tell = () => (progress.value = { sent, total: files.length, share: Math.min(1, [...moved.values()].reduce((sum, bytes) => sum + bytes, 0) / totalBytes), unsent })
    tell()
    state.value = 'sending'
    try {
      const begun = await api.send<ImportRow>('POST', '/api/imports', { name: nameOf(files), files: files.length })
      importId = begun.id
      const waiting = [...files].reverse()
      const worker = async () => {
        for (let next = waiting.pop(); next && !stop.signal.aborted; next = waiting.pop()) {
          const one = next
          const isSent = await sendAgain(begun.id, one, (bytes) => {
            moved.set(one, bytes)
            tell()
          })
          moved.set(one, one.file.size)
          if (isSent) sent += 1
          else unsent += 1
          tell()
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, worker))
      if (stop.signal.aborted) {
        await api.send('POST', `/api/imports/${begun.id}/cancel`)
        return 'cancelled'
      }
      state.value = 'reading'
      await api.send('POST', `/api/imports/${begun.id}/finish`)
      return 'done'
    } finally {
      state.value = 'idle'
      importId = undefined
      onEnd()
    }
  }

  async function sendAgain(id: string, picked: PickedFile, onBytes: (bytes: number) => void): Promise<boolean> {
    for (let attempt = 1; attempt <= TRIES && !stop.signal.aborted; attempt++) {
      const status = await put(`/api/imports/${id}/${isZip(picked) ? 'archive' : 'files'}?name=${encodeURIComponent(picked.name.slice(-300))}`, picked.file, stop.signal, onBytes)
      if (status >= 200 && status < 300) return true
      // Too many at once, or the line is gone: a little later. Everything else is said by the service and stays so.
      if (status !== 0 && status !== 429 && status < 500) return false
      await new Promise((resolve) => setTimeout(resolve, Math.min(15_000, attempt * attempt * 1_000)))
    }
    return false
  }

  const cancel = () => stop.abort()
  onScopeDispose(() => {
    if (importId !== undefined) cancel()
  })
  return { state: readonly(state), progress: readonly(progress), send, cancel }
}

/** `fetch` does not tell how far an upload is. @returns the status; 0 when there was no answer. */
function put(address: string, body: Blob, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<number> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    signal.addEventListener('abort', abort, { once: true })
    const end = (status: number) => {
      signal.removeEventListener('abort', abort)
      resolve(status)
    }
    request.open('PUT', address)
    request.setRequestHeader('x-requested-with', 'lianpian')
    request.setRequestHeader('content-type', 'application/octet-stream')
    request.upload.onprogress = ({ loaded }) => onBytes(loaded)
    request.onload = () => end(request.status)
    request.onerror = () => end(0)
    request.onabort = () => end(0)
    request.send(body)
  })
}
