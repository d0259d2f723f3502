import { describe, expect, it } from 'vitest'
import { possibleValues } from './possible-values.ts'
import { presetsFor, windowsOf } from './window-presets.ts'

const values = (rest: Record<string, number | string>) =>
  Object.fromEntries(Object.entries(rest).map(([tag, value]) => [tag, { Value: [value] }]))

/** A radiograph for presentation whose window was copied from a CT of the same patient (LIDC-IDRI-0005). */
const copied = values({ '00080060': 'DX', '00280101': 14, '00280103': 0, '00281050': -600, '00281051': 1600, '00281052': 0, '00281053': 1 })

describe('values that pixels can have', () => {
  it('follow from the bits stored, their sign and the rescale', () => {
    expect(possibleValues(copied)).toEqual({ lower: 0, upper: 16_383 })
    expect(possibleValues(values({ '00280101': 12, '00280103': 1 }))).toEqual({ lower: -2_048, upper: 2_047 })
    expect(possibleValues(values({ '00280101': 12, '00281053': 1, '00281052': -1_000 }))).toEqual({ lower: -1_000, upper: 3_095 })
    expect(possibleValues({ ...copied, '00283000': { Value: [{}] } })).toBeUndefined()
    expect(possibleValues({})).toBeUndefined()
  })

  it('leave out a window of the header that would show a white surface', () => {
    // VWR-04
    expect(windowsOf(copied)).toEqual([])
    expect(presetsFor(copied).map(({ id }) => id)).toEqual(['image', 'full'])
    expect(windowsOf({ ...copied, '00281050': { Value: [8_000] } })).toHaveLength(1)
    // Half of this one belongs to the picture: a map whose maker centred it at zero.
    expect(windowsOf({ ...copied, '00281050': { Value: [-2] }, '00281051': { Value: [4_955] } })).toHaveLength(1)
  })
})
