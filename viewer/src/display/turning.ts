/** How a picture lies on the screen: first mirrored left to right, then turned clockwise. Every position of a sheet of paper is one of these eight. */
export interface Turning {
  readonly mirrored: boolean
  readonly degrees: 0 | 90 | 180 | 270
}

export const upright: Turning = { mirrored: false, degrees: 0 }

/** Turns what is seen, clockwise. */
export function rotated(turning: Turning, degrees: number): Turning {
  return { ...turning, degrees: quarter(turning.degrees + degrees) }
}

/** Mirrors what is seen. A mirror before a turn is the opposite turn before the mirror, hence the sign. */
export function mirrored(turning: Turning, direction: 'horizontal' | 'vertical'): Turning {
  const half = direction === 'vertical' ? 180 : 0
  return { mirrored: !turning.mirrored, degrees: quarter(half - turning.degrees) }
}

function quarter(degrees: number): Turning['degrees'] {
  const turns = ((Math.round(degrees / 90) % 4) + 4) % 4
  return ([0, 90, 180, 270] as const)[turns] ?? 0
}
