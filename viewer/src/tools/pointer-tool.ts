import type { DragTool } from './commands.ts'

export interface PointerPress {
  readonly pointerType: string
  /** 0 left, 1 middle, 2 right (UI Events, MouseEvent.button). */
  readonly button: number
  readonly shiftKey: boolean
  readonly ctrlKey: boolean
}

/**
 * What dragging does: the left button (or one finger) uses the chosen tool, the middle one always scrolls, the right one
 * always sets the window (VWR-21); Shift pans and Ctrl zooms whatever is chosen.
 *
 * @returns `undefined` where Cornerstone's own tool draws, or for other buttons.
 */
export function toolOfPointer(press: PointerPress, chosen: DragTool): Exclude<DragTool, 'length'> | undefined {
  if (press.button === 1) return 'scroll'
  if (press.button === 2) return 'window'
  if (press.button !== 0) return undefined
  if (press.shiftKey) return 'pan'
  if (press.ctrlKey) return 'zoom'
  return chosen === 'length' ? undefined : chosen
}

type Point = readonly [number, number]

/** Two fingers: how much they spread, and how far their middle moved. */
export function pinch(
  before: readonly [Point, Point],
  after: readonly [Point, Point],
): { factor: number; center: Point; panX: number; panY: number } {
  const distance = ([a, b]: readonly [Point, Point]): number => Math.hypot(b[0] - a[0], b[1] - a[1])
  const middle = ([a, b]: readonly [Point, Point]): Point => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
  const [from, to] = [middle(before), middle(after)]
  const start = distance(before)
  return { factor: start > 1 ? distance(after) / start : 1, center: to, panX: to[0] - from[0], panY: to[1] - from[1] }
}

/** Zoom of a vertical drag: up enlarges, about a factor of two per 150 px. */
export function zoomOfDrag(deltaYPx: number): number {
  return Math.exp(-deltaYPx / 216)
}
