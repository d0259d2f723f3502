import { describe, expect, it } from 'vitest'
import { imagePointOf } from './image-plane.ts'

describe('pixel under a point of the patient', () => {
  it('counts columns along the rows and rows along the columns, each with its own spacing', () => {
    // VWR-36
    const plane = { origin: [-100, -50, 30], row: [1, 0, 0], columnSpacing: 0.5, column: [0, 1, 0], rowSpacing: 2 } as const
    expect(imagePointOf(plane, [-90, -30, 30])).toEqual([20, 10])
  })

  it('holds for a sagittal plane', () => {
    const plane = { origin: [10, -80, 90], row: [0, 1, 0], columnSpacing: 1, column: [0, 0, -1], rowSpacing: 1 } as const
    expect(imagePointOf(plane, [10, -75, 83])).toEqual([5, 7])
  })
})
