import { describe, expect, it } from 'vitest'
import { mirrored, rotated, upright } from './turning.ts'

describe('turning and mirroring a picture', () => {
  it('comes back after four turns, and after the same mirror twice, however it lies', () => {
    // VWR-20
    expect([90, 90, 90, 90].reduce(rotated, upright)).toEqual(upright)
    const lying = rotated(mirrored(upright, 'horizontal'), 90)
    for (const direction of ['horizontal', 'vertical'] as const) expect(mirrored(mirrored(lying, direction), direction)).toEqual(lying)
  })

  it('makes half a turn of both mirrors together', () => {
    // VWR-20
    expect(mirrored(mirrored(upright, 'horizontal'), 'vertical')).toEqual({ mirrored: false, degrees: 180 })
  })

  it('mirrors the screen, not the picture, when the picture is turned', () => {
    // VWR-20
    // turned clockwise, then left and right exchanged: as if mirrored first and turned the other way
    expect(mirrored(rotated(upright, 90), 'horizontal')).toEqual({ mirrored: true, degrees: 270 })
  })
})
