import { onScopeDispose, readonly, shallowRef } from 'vue'
import type { ApiClient } from 'page-kit'
import type { ExportRequest, ExportRow } from 'specs'

const LOOK_EVERY_MS = 1_000

/** One export from asking to the last byte. The browser keeps the file; we look how far it is. */
export function useExport(api: ApiClient) {
  const row = shallowRef<ExportRow>()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** A download that was asked for a moment ago has perhaps not begun yet. */
  let expectedUntil = 0

  const path = (exportId: string) => `/api/exports/${encodeURIComponent(exportId)}`
  async function look(exportId: string) {
    const found = await api.get<ExportRow>(path(exportId)).catch(() => undefined)
    if (row.value?.exportId !== exportId) return
    if (found) row.value = found
    const isMoving = found === undefined || found.state === 'running' || (found.state !== 'cancelled' && Date.now() < expectedUntil)
    if (isMoving) timer = setTimeout(() => void look(exportId), LOOK_EVERY_MS)
  }
  async function prepare(request: ExportRequest) {
    row.value = await api.send<ExportRow>('POST', '/api/exports', request)
  }
  function download() {
    const { value } = row
    if (!value) return
    // A link, not a request of ours: the browser writes to disk what it gets, however much it is.
    Object.assign(document.createElement('a'), { href: `${path(value.exportId)}/file`, download: '' }).click()
    expectedUntil = Date.now() + 3_000
    row.value = { ...value, state: 'running', done: 0, sentBytes: 0 }
    clearTimeout(timer)
    timer = setTimeout(() => void look(value.exportId), LOOK_EVERY_MS)
  }
  async function cancel() {
    if (row.value) row.value = await api.send<ExportRow>('POST', `${path(row.value.exportId)}/cancel`)
  }
  function forget() {
    clearTimeout(timer)
    row.value = undefined
  }
  onScopeDispose(forget)
  return { row: readonly(row), prepare, download, cancel, forget }
}
