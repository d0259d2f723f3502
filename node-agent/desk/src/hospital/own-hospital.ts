import { inject, shallowRef, type InjectionKey, type ShallowRef } from 'vue'

/** GET /api/hospital: who we are in the region; kinds and modes are the defaults of a lone hospital before joining. */
export interface OwnHospital {
  id: string
  name: string
  regionId: string | null
  kinds: readonly string[]
  taskTypes: readonly string[]
  flowModes: readonly string[]
}

export const hospitalKey: InjectionKey<ShallowRef<OwnHospital | undefined>> = Symbol('hospital')

export function useHospital(): ShallowRef<OwnHospital | undefined> {
  return inject(hospitalKey, () => shallowRef(undefined), true)
}
