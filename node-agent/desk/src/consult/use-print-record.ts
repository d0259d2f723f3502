import { onScopeDispose, readonly, ref, shallowRef } from 'vue'

/** A browser tells of the beginning of a printing surely, of its end not always. */
const SAME_PRINTING_MS = 3_000

/**
 * Notes every printing of the page, however it was asked for: our button, the browser's menu or its shortcut. What became
 * of it in the printer's dialog no browser tells, so the giving to the printer is what is recorded.
 * @param record rejects when the note could not be kept; the page then offers to keep it again.
 */
export function usePrintRecord(record: () => Promise<void>) {
  const problem = shallowRef<unknown>()
  const printedAt = ref(Date.now())
  let beganAt = 0

  async function keep() {
    try {
      await record()
      problem.value = undefined
    } catch (error) {
      problem.value = error
    }
  }
  function begin() {
    if (Date.now() - beganAt < SAME_PRINTING_MS) return
    beganAt = Date.now()
    printedAt.value = beganAt
    void keep()
  }
  function end() {
    beganAt = 0
  }
  window.addEventListener('beforeprint', begin)
  window.addEventListener('afterprint', end)
  onScopeDispose(() => {
    window.removeEventListener('beforeprint', begin)
    window.removeEventListener('afterprint', end)
  })
  return { problem: readonly(problem), printedAt: readonly(printedAt), keep }
}
