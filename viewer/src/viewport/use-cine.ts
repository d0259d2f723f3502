import { onScopeDispose, readonly, ref, watch } from 'vue'
import type { StackView } from './stack-view.ts'

const DEFAULT_RATE = 15

/**
 * Plays the active viewport round and round (VWR-07). The next picture waits until the one before is on the screen, so a
 * slow line plays slower instead of skipping.
 */
export function useCine(view: () => StackView | undefined, ratedAt: () => number | undefined) {
  const playing = ref(false)
  const rate = ref(DEFAULT_RATE)
  let timer: ReturnType<typeof setInterval> | undefined

  function halt(): void {
    clearInterval(timer)
    timer = undefined
    playing.value = false
  }

  function play(): void {
    clearInterval(timer)
    playing.value = true
    timer = setInterval(() => {
      const current = view()
      if (!current || current.state.count < 2) return halt()
      if (!current.state.loading) current.step(1, true)
    }, 1_000 / rate.value)
  }

  watch(ratedAt, (stated) => (rate.value = stated === undefined ? DEFAULT_RATE : Math.min(60, Math.max(1, Math.round(stated)))), {
    immediate: true,
  })
  watch(rate, () => playing.value && play())
  onScopeDispose(halt)
  return { playing: readonly(playing), rate, toggle: () => (playing.value ? halt() : play()), halt }
}

export type Cine = ReturnType<typeof useCine>
