import { onScopeDispose, shallowReadonly, shallowRef } from 'vue'
import type { Length } from '../measure/length.ts'
import type { Engine } from './engine.ts'

const MIB = 1024 * 1024

/**
 * Loads Cornerstone beside the first requests; until it is there, everything else of the page works already. Memory
 * follows the device: a phone that runs out of it reloads the page in the middle of a case.
 */
export function useEngine(root: string, lengthText: (length: Length) => readonly string[]) {
  const engine = shallowRef<Engine>()
  const problem = shallowRef<unknown>()
  let gone = false
  const deviceGib = 'deviceMemory' in navigator && typeof navigator.deviceMemory === 'number' ? navigator.deviceMemory : 4
  const isPhone = matchMedia('(max-width: 820px)').matches

  async function start(): Promise<void> {
    try {
      const { Engine: Started } = await import('./engine.ts')
      if (!gone)
        engine.value = Started.start({
          root,
          lengthText,
          contexts: isPhone ? 1 : 4,
          cacheBytes: (isPhone ? 320 : Math.min(2_048, deviceGib * 256)) * MIB,
        })
    } catch (error) {
      problem.value = error
    }
  }
  onScopeDispose(() => (gone = true))
  void start()
  return { engine: shallowReadonly(engine), problem: shallowReadonly(problem), start }
}
