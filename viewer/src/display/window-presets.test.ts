import { describe, expect, it } from 'vitest'
import { presetsFor, windowsOf } from './window-presets.ts'

const ct = { '00080060': { Value: ['CT'] }, '00281050': { Value: [-450, -450] }, '00281051': { Value: [2000, 2000] } }
const mr = {
  '00080060': { Value: ['MR'] },
  '00281050': { Value: [600, 300] },
  '00281051': { Value: [1200, 500] },
  '00281055': { Value: ['Normal', 'HARDER'] },
}

describe('window presets', () => {
  it('offers lung, mediastinum, bone, brain and abdomen for CT on the first keys', () => {
    // VWR-22
    const presets = presetsFor(ct)
    expect(presets.slice(0, 5).map((preset) => [preset.key, preset.id])).toEqual([
      [1, 'lung'],
      [2, 'mediastinum'],
      [3, 'bone'],
      [4, 'brain'],
      [5, 'abdomen'],
    ])
    expect(presets[0]?.window).toEqual({ center: -600, width: 1500 })
    expect(presets.at(-1)).toEqual({ id: 'image', key: 9, window: 'image' })
  })

  it('does not offer Hounsfield windows for an MR image but those of its header', () => {
    const presets = presetsFor(mr)
    expect(presets.map((preset) => preset.id)).toEqual(['image', 'contrast', 'soft', 'full', 'header-2'])
    expect(presets.at(-1)).toMatchObject({ key: 5, label: 'HARDER', window: { center: 300, width: 500 } })
  })

  it('names a window that the header repeats only once, and drops one without width', () => {
    expect(windowsOf(ct)).toHaveLength(1)
    expect(windowsOf({ '00281050': { Value: [10] }, '00281051': { Value: [0] } })).toEqual([])
  })
})
