/** Of a WheelEvent, what tells a notch: `wheelDeltaY` is 120 per notch on every mouse where the browser knows it. */
export interface WheelMove {
  readonly deltaY: number
  /** 0 pixels, 1 lines, 2 pages (UI Events, WheelEvent.deltaMode). */
  readonly deltaMode: number
  readonly wheelDeltaY?: number | undefined
  readonly timeMs: number
}

export interface WheelState {
  readonly remainderPx: number
  readonly lastMs: number
}

export const wheelAtRest: WheelState = { remainderPx: 0, lastMs: Number.NEGATIVE_INFINITY }

const NOTCH = 120
/** A touch pad sends a stream of small moves: this far is one image. */
const PAD_PX_PER_IMAGE = 40
const NEW_GESTURE_MS = 250

/**
 * Turns wheel events into whole images (VWR-08): a notch is exactly one image whatever the system's scrolling speed,
 * a touch pad goes one image per 40 px.
 *
 * @returns Steps (positive: next image) and the state for the following event.
 */
export function wheelSteps(state: WheelState, move: WheelMove): { steps: number; state: WheelState } {
  const rest = { remainderPx: 0, lastMs: move.timeMs }
  if (move.deltaY === 0) return { steps: 0, state }
  if (move.deltaMode !== 0) return { steps: Math.sign(move.deltaY), state: rest }
  const notches = move.wheelDeltaY ? -move.wheelDeltaY / NOTCH : Number.NaN
  // Several notches may come in one event when the page was busy; each still counts.
  if (Number.isInteger(notches)) return { steps: notches, state: rest }
  const goesOn = move.timeMs - state.lastMs < NEW_GESTURE_MS && Math.sign(state.remainderPx) !== -Math.sign(move.deltaY)
  const distancePx = (goesOn ? state.remainderPx : 0) + move.deltaY
  const steps = Math.trunc(distancePx / PAD_PX_PER_IMAGE)
  return { steps, state: { remainderPx: distancePx - steps * PAD_PX_PER_IMAGE, lastMs: move.timeMs } }
}
