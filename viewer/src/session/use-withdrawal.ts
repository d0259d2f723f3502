import { onScopeDispose, readonly, shallowRef } from 'vue'
import type { ApiClient, LiveEvents } from 'page-kit'

/**
 * Whether the study may still be shown. When a grant was taken back, or events may have been missed, the node is asked again; what it
 * refuses leaves the screen, also when the pictures lie in memory already.
 */
export function useWithdrawal(studyInstanceUid: string, api: Pick<ApiClient, 'get'>, live: LiveEvents) {
  const ended = shallowRef<unknown>()
  let gone = false

  async function ask(): Promise<void> {
    try {
      await api.get(`/dicom-web/studies/${encodeURIComponent(studyInstanceUid)}/series`)
    } catch (error) {
      if (!gone && isRefusal(error)) ended.value = error
    }
  }

  live.onEvent((event) => {
    const concerns = event.type === 'grant' && event.state === 'withdrawn' && event.studyInstanceUids.includes(studyInstanceUid)
    if (concerns || event.type === 'rule') void ask()
  })
  onScopeDispose(() => (gone = true))
  return { ended: readonly(ended) }
}

/** A word of the node; while it cannot be asked, nothing has been taken back. */
function isRefusal(error: unknown): boolean {
  const details = typeof error === 'object' && error !== null && 'details' in error ? (error.details as { status?: unknown }) : {}
  return details.status === 403 || details.status === 404
}
