import { computed, ref, shallowRef, type WritableComputedRef } from 'vue'
import type { ApiClient, LiveEvents } from 'page-kit'
import type { JoinedRegion } from 'specs'

const key = 'lianpian-desk-region'

/**
 * Which region the lists keep to: '' for all of them.
 *
 * @param remembered what was chosen in this browser. It counts until the regions are known, so that no row of another one flashes up.
 */
export function decideRegion(remembered: string, regions: readonly JoinedRegion[] | undefined): string {
  if (regions === undefined) return remembered
  return hasChoice(regions) && regions.some(({ regionId }) => regionId === remembered) ? remembered : ''
}

export const hasChoice = (regions: readonly JoinedRegion[] | undefined): boolean => regions !== undefined && regions.length > 1

export interface RegionFilter {
  /** Regions to choose from; none while this hospital is in one region or in none. */
  readonly choices: Readonly<{ value: readonly JoinedRegion[] }>
  readonly regionId: WritableComputedRef<string>
}

/** The region that exam and case lists show, the same in all of them and after a reload (FED-20). */
export function useRegionFilter({ api, live }: { api: ApiClient; live: LiveEvents }, store: Storage = localStorage): RegionFilter {
  const regions = shallowRef<readonly JoinedRegion[]>()
  const remembered = ref(store.getItem(key) ?? '')
  async function read() {
    // Without an answer the lists stay as they are; they say themselves when the service cannot be reached.
    regions.value = await api.get<JoinedRegion[]>('/api/regions').catch(() => regions.value)
  }
  void read()
  live.onEvent(({ type }) => {
    if (type === 'link' || type === 'reconnected') void read()
  })
  return {
    choices: computed(() => (hasChoice(regions.value) ? (regions.value ?? []) : [])),
    regionId: computed({
      get: () => decideRegion(remembered.value, regions.value),
      set: (chosen: string | undefined) => {
        remembered.value = chosen ?? ''
        store.setItem(key, remembered.value)
      },
    }),
  }
}
