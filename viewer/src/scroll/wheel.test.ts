import { describe, expect, it } from 'vitest'
import { wheelAtRest, wheelSteps, type WheelMove } from './wheel.ts'

function stepsOf(moves: readonly WheelMove[]): number {
  let [state, total] = [wheelAtRest, 0]
  for (const move of moves) {
    const turned = wheelSteps(state, move)
    ;[state, total] = [turned.state, total + turned.steps]
  }
  return total
}

describe('scrolling by wheel', () => {
  it('moves exactly one image per notch, down to the next and up to the previous', () => {
    // VWR-08
    expect(stepsOf([{ deltaY: 100, deltaMode: 0, wheelDeltaY: -120, timeMs: 0 }])).toBe(1)
    expect(stepsOf([{ deltaY: -100, deltaMode: 0, wheelDeltaY: 120, timeMs: 0 }])).toBe(-1)
  })

  it('does not care how many lines or pixels the system makes of a notch', () => {
    // VWR-08
    expect(stepsOf([{ deltaY: 3, deltaMode: 1, timeMs: 0 }])).toBe(1)
    expect(stepsOf([{ deltaY: 53.33, deltaMode: 0, wheelDeltaY: -120, timeMs: 0 }])).toBe(1)
    expect(stepsOf([{ deltaY: 1, deltaMode: 2, timeMs: 0 }])).toBe(1)
  })

  it('counts notches that a busy browser put into one event', () => {
    expect(stepsOf([{ deltaY: 300, deltaMode: 0, wheelDeltaY: -360, timeMs: 0 }])).toBe(3)
  })

  it('gathers the small moves of a touch pad and loses none of the way', () => {
    const pad = Array.from({ length: 20 }, (_, index) => ({ deltaY: 7, deltaMode: 0, wheelDeltaY: -21, timeMs: index * 16 }))
    expect(stepsOf(pad)).toBe(3)
  })

  it('forgets a half move when the finger turns round or rests', () => {
    expect(
      stepsOf([
        { deltaY: 39, deltaMode: 0, timeMs: 0 },
        { deltaY: -2, deltaMode: 0, timeMs: 10 },
        { deltaY: -37, deltaMode: 0, timeMs: 20 },
      ]),
    ).toBe(0)
    expect(
      stepsOf([
        { deltaY: 39, deltaMode: 0, timeMs: 0 },
        { deltaY: 39, deltaMode: 0, timeMs: 1_000 },
      ]),
    ).toBe(0)
  })
})
