import { readonly, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue'

export interface PageOf<Row> {
  rows: readonly Row[]
  next?: string | null
  total?: number
}

/** A long list read page by page: it follows its filter, `more` adds the next page. */
export function usePaged<Row, Query>({ query, load }: { query: MaybeRefOrGetter<Query>; load: (query: Query, after: string | undefined) => Promise<PageOf<Row>> }) {
  const rows = shallowRef<readonly Row[]>([])
  const total = ref<number>()
  const next = ref<string | null>(null)
  const problem = shallowRef<unknown>()
  const loading = ref(true)
  let latest = 0

  async function read(after: string | undefined) {
    const asked = ++latest // a slow answer to an older filter must not overwrite a newer one
    loading.value = true
    try {
      const page = await load(toValue(query), after)
      if (asked !== latest) return
      rows.value = after === undefined ? page.rows : [...rows.value, ...page.rows]
      next.value = page.next ?? null
      total.value = page.total
      problem.value = undefined
    } catch (error) {
      if (asked === latest) problem.value = error
    } finally {
      if (asked === latest) loading.value = false
    }
  }
  const refresh = () => read(undefined)
  const more = () => (next.value === null ? Promise.resolve() : read(next.value))

  let waiting: ReturnType<typeof setTimeout> | undefined
  watch(
    () => JSON.stringify(toValue(query)),
    (_now, before) => {
      clearTimeout(waiting)
      // The first page at once; what is typed into a filter a moment after the last key.
      waiting = setTimeout(() => void refresh(), before === undefined ? 0 : 250)
    },
    { immediate: true },
  )
  return { rows, total: readonly(total), next: readonly(next), problem: readonly(problem), loading: readonly(loading), refresh, more }
}

export type Paged<Row> = ReturnType<typeof usePaged<Row, unknown>>
