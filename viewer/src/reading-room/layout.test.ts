import { describe, expect, it } from 'vitest'
import { fillPanes } from './layout.ts'

describe('viewports side by side', () => {
  it('fills empty viewports with the following series and keeps what is shown', () => {
    // VWR-10
    expect(fillPanes(['b'], ['a', 'b', 'c', 'd'], '2x2')).toEqual(['b', 'c', 'd', 'a'])
    expect(fillPanes(['b', 'c', 'd', 'a'], ['a', 'b', 'c', 'd'], '1x1')).toEqual(['b'])
  })

  it('leaves viewports empty when there are fewer series', () => {
    expect(fillPanes([undefined], ['a'], '1x2')).toEqual(['a', undefined])
  })
})
