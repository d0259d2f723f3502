/** Grey window: values from `center - width/2` to `center + width/2` become black to white. Units of the image (HU for CT). */
export interface Window {
  readonly center: number
  readonly width: number
}

/** Values that become black and white (PS3.3 C.11.2.1.2.1, VOI LUT function LINEAR). */
export function rangeOfWindow({ center, width }: Window): { lower: number; upper: number } {
  return { lower: center - 0.5 - (width - 1) / 2, upper: center - 0.5 + (width - 1) / 2 }
}

export function windowOfRange({ lower, upper }: { lower: number; upper: number }): Window {
  return { center: (lower + upper + 1) / 2, width: Math.abs(upper - lower) + 1 }
}

/**
 * Window after dragging: to the right wider, down brighter tissue becomes darker (level up). The step grows with the
 * width, so that a brain window is as easy to hit as a bone window.
 */
export function dragWindow(window: Window, deltaXPx: number, deltaYPx: number): Window {
  const unitPerPx = Math.max(window.width / 400, 0.01)
  const width = Math.max(1, window.width + deltaXPx * unitPerPx)
  return { center: window.center + deltaYPx * unitPerPx, width }
}

/** For show: whole numbers, unless the window is so narrow (quantitative maps) that they would say nothing. */
export function roundedWindow({ center, width }: Window): { center: string; width: string } {
  const digits = width < 10 ? 2 : 0
  return { center: cut(center, digits), width: cut(width, digits) }
}

function cut(value: number, digits: number): string {
  const text = value.toFixed(digits)
  return Number(text) === 0 ? (0).toFixed(digits) : text
}

/** What is wrong with typed numbers (VWR-23); `undefined` when they make a window. */
export function windowInputProblem(
  center: number,
  width: number,
): 'not-a-number' | 'width-out-of-range' | 'center-out-of-range' | undefined {
  if (!Number.isFinite(center) || !Number.isFinite(width)) return 'not-a-number'
  if (width < 1 || width > 65_536) return 'width-out-of-range'
  if (Math.abs(center) > 65_536) return 'center-out-of-range'
  return undefined
}
