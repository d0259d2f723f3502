import { onScopeDispose, readonly, ref } from 'vue'

/** Whether the page is as narrow as a phone held upright; follows turning and resizing. */
export function usePhone() {
  const query = window.matchMedia('(max-width: 760px)')
  const isPhone = ref(query.matches)
  const follow = (event: MediaQueryListEvent) => (isPhone.value = event.matches)
  query.addEventListener('change', follow)
  onScopeDispose(() => query.removeEventListener('change', follow))
  return readonly(isPhone)
}
