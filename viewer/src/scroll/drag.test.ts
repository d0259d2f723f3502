import { describe, expect, it } from 'vitest'
import { dragAtRest, dragPxPerImage, dragSteps, indexAfter } from './drag.ts'

describe('scrolling by dragging', () => {
  it('goes to the previous image when dragged up and to the next when dragged down, one per step', () => {
    // VWR-08
    expect(dragSteps(dragAtRest, -10, 10).steps).toBe(-1)
    expect(dragSteps(dragAtRest, 10, 10).steps).toBe(1)
    expect(dragSteps(dragAtRest, 9, 10).steps).toBe(0)
  })

  it('comes back to the same image when the hand goes back the same way', () => {
    let [state, index] = [dragAtRest, 30]
    for (const delta of [3, 5, 17, 4, -9, -15, -3, -2]) {
      const moved = dragSteps(state, delta, 8)
      ;[state, index] = [moved.state, index + moved.steps]
    }
    expect(index).toBe(30)
  })

  it('lets a long series fit the hand and a short one stay controllable', () => {
    expect(dragPxPerImage(75, 800)).toBeCloseTo(8.53, 2)
    expect(dragPxPerImage(1_000, 800)).toBe(4)
    expect(dragPxPerImage(3, 800)).toBe(24)
    expect(dragSteps(dragAtRest, 500, dragPxPerImage(1, 800)).steps).toBe(0)
  })

  it('stops at the ends and goes round only in cine', () => {
    expect(indexAfter(73, 5, 75)).toBe(74)
    expect(indexAfter(2, -5, 75)).toBe(0)
    expect(indexAfter(74, 1, 75, true)).toBe(0)
    expect(indexAfter(0, -1, 75, true)).toBe(74)
  })
})
