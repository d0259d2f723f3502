import { describe, expect, it } from 'vitest'
import { sliderIndex } from './slider.ts'

describe('slider beside the stack', () => {
  it('reaches the first and the last image at its ends, and nothing beyond', () => {
    expect([sliderIndex(-5, 200, 75), sliderIndex(0, 200, 75), sliderIndex(200, 200, 75), sliderIndex(900, 200, 75)]).toEqual([
      0, 0, 74, 74,
    ])
    expect(sliderIndex(100, 200, 75)).toBe(37)
  })
})
