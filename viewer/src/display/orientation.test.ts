import { describe, expect, it } from 'vitest'
import { edgeLetters, imageAxesOf, lettersOfVector, opposite, type ImageAxes } from './orientation.ts'

const upright = { right: [1, 0], down: [0, 1] } as const
const axial: ImageAxes = { kind: 'patient', row: [1, 0, 0], column: [0, 1, 0] }

describe('orientation letters', () => {
  it('puts R at the left and A on top of an axial image', () => {
    expect(edgeLetters(axial, upright)).toEqual({ left: 'R', right: 'L', top: 'A', bottom: 'P' })
  })

  it('puts A at the left and H on top of a sagittal image', () => {
    expect(edgeLetters({ kind: 'patient', row: [0, 1, 0], column: [0, 0, -1] }, upright)).toEqual({
      left: 'A',
      right: 'P',
      top: 'H',
      bottom: 'F',
    })
  })

  it('stays right when the image is mirrored or turned', () => {
    // VWR-20
    expect(edgeLetters(axial, { right: [-1, 0], down: [0, 1] })).toMatchObject({ left: 'L', right: 'R', top: 'A' })
    // a quarter turn clockwise: what pointed up now points right
    expect(edgeLetters(axial, { right: [0, -1], down: [1, 0] })).toEqual({ left: 'P', right: 'A', top: 'R', bottom: 'L' })
  })

  it('names both parts of an oblique direction, the stronger first', () => {
    expect(lettersOfVector([0.9, 0.43, 0])).toBe('LP')
    expect(lettersOfVector([0.99, 0.1, 0])).toBe('L')
    expect(opposite('LP')).toBe('RA')
  })

  it('uses Patient Orientation for a radiograph, and shows no letter when the image says nothing', () => {
    const chest = imageAxesOf({ '00200020': { Value: ['L', 'F'] } })
    expect(chest && edgeLetters(chest, upright)).toEqual({ left: 'R', right: 'L', top: 'H', bottom: 'F' })
    expect(imageAxesOf({})).toBeUndefined()
    expect(imageAxesOf({ '00200037': { Value: [0, 0, 0, 0, 0, 0] } })).toBeUndefined()
  })
})
