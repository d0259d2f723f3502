import { onScopeDispose, readonly, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue'
import type { LiveEvents } from './live.ts'

export interface ListOptions<Row, Query> {
  query: MaybeRefOrGetter<Query>
  load: (query: Query) => Promise<readonly Row[]>
  live: LiveEvents
  /** Which events make this list out of date. */
  on: readonly string[]
}

/** A list that follows its filter and the live events. Rows are replaced, never edited in place. */
export function useList<Row, Query>({ query, load, live, on }: ListOptions<Row, Query>) {
  const rows = shallowRef<readonly Row[]>([])
  const problem = shallowRef<unknown>()
  const loading = ref(true)
  let latest = 0
  let waiting: ReturnType<typeof setTimeout> | undefined

  async function refresh() {
    const asked = ++latest // a slow answer to an older filter must not overwrite a newer one
    try {
      const found = await load(toValue(query))
      if (asked === latest) [rows.value, problem.value] = [found, undefined]
    } catch (error) {
      if (asked === latest) problem.value = error
    } finally {
      if (asked === latest) loading.value = false
    }
  }

  // Several events in a row (a command and its answer) make one request.
  function refreshSoon() {
    if (waiting) return
    waiting = setTimeout(() => {
      waiting = undefined
      void refresh()
    }, 60)
  }

  watch(
    () => JSON.stringify(toValue(query)),
    () => {
      loading.value = true
      void refresh()
    },
    { immediate: true },
  )
  live.onEvent((event) => {
    if (event.type === 'reconnected' || on.includes(event.type)) refreshSoon()
  })
  onScopeDispose(() => clearTimeout(waiting))
  return { rows, problem: readonly(problem), loading: readonly(loading), refresh }
}
