/** Pixels of dragging per image: the whole series lies within the viewport's height, yet one image is never a hair's breadth. */
export function dragPxPerImage(count: number, viewportHeightPx: number): number {
  if (count <= 1) return Number.POSITIVE_INFINITY
  return Math.min(24, Math.max(4, (viewportHeightPx * 0.8) / count))
}

export interface DragState {
  readonly remainderPx: number
}

export const dragAtRest: DragState = { remainderPx: 0 }

/**
 * Turns dragging into whole images: up is the previous, down the next one (VWR-08). What is left of the way is kept, so
 * that going back the same distance comes back to the same image.
 *
 * @param deltaYPx Movement since the last call, positive downwards.
 */
export function dragSteps(state: DragState, deltaYPx: number, pxPerImage: number): { steps: number; state: DragState } {
  if (!Number.isFinite(pxPerImage)) return { steps: 0, state: dragAtRest }
  const distancePx = state.remainderPx + deltaYPx
  const steps = Math.trunc(distancePx / pxPerImage)
  return { steps, state: { remainderPx: distancePx - steps * pxPerImage } }
}

/** Index after `steps` from `index`, kept within 0…count-1; `wrap` goes round (cine). */
export function indexAfter(index: number, steps: number, count: number, wrap = false): number {
  if (count <= 0) return 0
  const target = index + steps
  return wrap ? ((target % count) + count) % count : Math.min(count - 1, Math.max(0, target))
}
