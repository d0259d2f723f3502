import { describe, expect, it } from 'vitest'
import { effectScope, nextTick } from 'vue'
import type { JoinedRegion } from 'specs'
import { decideRegion, useRegionFilter } from './region-filter.ts'

const regionsOf = (...ids: string[]) => ids.map((regionId, index) => ({ regionId, regionName: regionId, hubUrl: '', isActive: index === 0 }) as JoinedRegion)

describe('the region that lists keep to', () => {
  it('is the remembered one as long as there is a choice and it is one of them', () => { // FED-20
    const [one, two] = [regionsOf('east'), regionsOf('east', 'west')]
    expect(decideRegion('west', undefined)).toBe('west')
    expect([decideRegion('west', two), decideRegion('north', two), decideRegion('', two)]).toEqual(['west', '', ''])
    expect([decideRegion('west', one), decideRegion('east', one), decideRegion('west', [])]).toEqual(['', '', ''])
  })
  it('is remembered by the browser, and offered only when there are several', async () => { // FED-20
    const kept = new Map<string, string>()
    const store = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) } as Storage
    let joined = regionsOf('east')
    let tell: (event: { type: 'link'; state: string }) => void = () => undefined
    const page = {
      api: { get: async () => joined, send: async () => undefined } as never,
      live: { onEvent: (listener: typeof tell) => void (tell = listener) } as never,
    }
    const scope = effectScope()
    const filter = scope.run(() => useRegionFilter(page, store))!
    await nextTick()
    expect(filter.choices.value).toEqual([])
    joined = regionsOf('east', 'west')
    tell({ type: 'link', state: 'connected' })
    await nextTick()
    await nextTick()
    expect(filter.choices.value.map(({ regionId }) => regionId)).toEqual(['east', 'west'])
    filter.regionId.value = 'west'
    expect(scope.run(() => useRegionFilter(page, store))!.regionId.value).toBe('west')
    scope.stop()
  })
})
