import { describe, expect, it } from 'vitest'
import { scaleBar } from './scale-bar.ts'

describe('scale bar', () => {
  it('is the longest round length that fits', () => {
    expect(scaleBar(0.5, 240)).toEqual({ lengthMm: 100, lengthPx: 200, parts: 5, label: '10 cm' })
    expect(scaleBar(0.05, 240)).toMatchObject({ lengthMm: 10, label: '1 cm' })
    expect(scaleBar(0.01, 240)).toMatchObject({ lengthMm: 2, label: '2 mm' })
  })

  it('is left out when no spacing is known', () => {
    expect(scaleBar(Number.NaN, 200)).toBeUndefined()
    expect(scaleBar(0, 200)).toBeUndefined()
  })
})
