import { onScopeDispose, readonly, ref, shallowRef } from 'vue'
import type { ApiClient, LiveEvents } from 'page-kit'
import type { CrossSearch, CrossSearchRequest } from 'specs'

/** When no event comes, the page looks by itself. */
const LOOK_MS = 2_000

/** A search that runs at the node: begun here, followed until every hospital has answered. */
export function useSearch({ api, live }: { api: ApiClient; live: LiveEvents }) {
  const search = shallowRef<CrossSearch>()
  const busy = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  async function begin(wish: CrossSearchRequest): Promise<void> {
    clearTimeout(timer)
    busy.value = true
    search.value = undefined
    try {
      search.value = await api.send<CrossSearch>('POST', '/api/cross-hospital/searches', wish)
      follow()
    } catch (error) {
      busy.value = false
      throw error
    }
  }

  async function look(): Promise<void> {
    const current = search.value
    if (!current || current.isComplete) return
    const found = await api.get<CrossSearch>(`/api/cross-hospital/searches/${current.searchId}`).catch(() => undefined)
    if (found && search.value?.searchId === found.searchId) search.value = found
    follow()
  }

  function follow(): void {
    clearTimeout(timer)
    busy.value = search.value !== undefined && !search.value.isComplete
    if (busy.value) timer = setTimeout(() => void look(), LOOK_MS)
  }

  live.onEvent((event) => {
    if (event.type === 'reconnected' || (event.type === 'cross-search' && event.searchId === search.value?.searchId)) void look()
  })
  onScopeDispose(() => clearTimeout(timer))
  return { search: readonly(search), busy: readonly(busy), begin }
}
