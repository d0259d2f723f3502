import { onScopeDispose, ref, shallowRef } from 'vue'
import { usePage } from 'page-kit'
import type { StorageState } from 'specs'

export type ArchiveChoice = StorageState['archive']

const EVERY_MS = 4_000

/** What one archive says of its storage, again and again while the page is looked at: copying and checking go on by themselves. */
export function useStorage(first: ArchiveChoice = 'in-hospital') {
  const { api } = usePage()
  const archive = ref<ArchiveChoice>(first)
  const state = shallowRef<StorageState>()
  const problem = shallowRef<unknown>()
  let latest = 0
  async function refresh() {
    const asked = ++latest // a slow answer about the other archive must not come last
    try {
      const answer = await api.get<StorageState>(`/api/storage/archives/${archive.value}`)
      if (asked === latest) [state.value, problem.value] = [answer, undefined]
    } catch (error) {
      if (asked === latest) problem.value = error
    }
  }
  const clock = setInterval(() => document.visibilityState === 'visible' && void refresh(), EVERY_MS)
  onScopeDispose(() => clearInterval(clock))
  return { archive, state, problem, refresh }
}
