import { dragAtRest, dragSteps } from '../scroll/drag.ts'
import { wheelAtRest, wheelSteps } from '../scroll/wheel.ts'
import type { DragTool } from '../tools/commands.ts'
import { pinch, toolOfPointer, zoomOfDrag } from '../tools/pointer-tool.ts'

/** What a hand on the viewport can do. Points are CSS pixels of the element. */
export interface GestureTarget {
  activate(): void
  step(steps: number): void
  dragWindow(deltaXPx: number, deltaYPx: number): void
  panBy(deltaXPx: number, deltaYPx: number): void
  zoomBy(factor: number, at: readonly [number, number]): void
  /** Pixels of dragging per image. */
  pxPerImage(): number
  chosenTool(): DragTool
  /** A measurement is being drawn or moved: the drag belongs to it. */
  isBusy(): boolean
}

type Point = readonly [number, number]
type Drag = { readonly tool: Exclude<DragTool, 'length'>; at: Point; readonly from: Point; scroll: typeof dragAtRest }

/** Connects pointers and wheel of the element with the target. @returns how to disconnect. */
export function connectGestures(element: HTMLElement, target: GestureTarget): () => void {
  const stop = new AbortController()
  const { signal } = stop
  const fingers = new Map<number, Point>()
  let drag: Drag | undefined
  let wheel = wheelAtRest

  const pointOf = (event: MouseEvent): Point => {
    const box = element.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }

  element.addEventListener(
    'pointerdown',
    (event) => {
      target.activate()
      const at = pointOf(event)
      if (event.pointerType === 'touch') fingers.set(event.pointerId, at)
      const tool = toolOfPointer(event, target.chosenTool())
      drag = tool && fingers.size < 2 ? { tool, at, from: at, scroll: dragAtRest } : undefined
      // The middle button would start the browser's own scrolling.
      if (event.button === 1) event.preventDefault()
    },
    { signal },
  )

  element.addEventListener(
    'pointermove',
    (event) => {
      const at = pointOf(event)
      if (event.pointerType === 'touch' && fingers.has(event.pointerId)) {
        if (fingers.size === 2) moveTwoFingers(event.pointerId, at)
        fingers.set(event.pointerId, at)
      }
      if (!drag || fingers.size > 1) return
      if (target.isBusy()) {
        drag = undefined
        return
      }
      if (!element.hasPointerCapture(event.pointerId)) element.setPointerCapture(event.pointerId)
      moveDrag(drag, at)
    },
    { signal },
  )

  const release = (event: PointerEvent): void => {
    fingers.delete(event.pointerId)
    drag = undefined
  }
  for (const type of ['pointerup', 'pointercancel'] as const) element.addEventListener(type, release, { signal })

  element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault()
      target.activate()
      if (event.ctrlKey) return target.zoomBy(Math.exp(-event.deltaY / 400), pointOf(event))
      const legacy = event as WheelEvent & { wheelDeltaY?: number }
      const turned = wheelSteps(wheel, {
        deltaY: event.deltaY,
        deltaMode: event.deltaMode,
        wheelDeltaY: legacy.wheelDeltaY,
        timeMs: event.timeStamp,
      })
      wheel = turned.state
      if (turned.steps !== 0) target.step(turned.steps)
    },
    { signal, passive: false },
  )

  element.addEventListener('contextmenu', (event) => event.preventDefault(), { signal })
  element.addEventListener('auxclick', (event) => event.preventDefault(), { signal })

  function moveDrag(current: Drag, at: Point): void {
    const [deltaX, deltaY] = [at[0] - current.at[0], at[1] - current.at[1]]
    current.at = at
    if (current.tool === 'scroll') {
      const moved = dragSteps(current.scroll, deltaY, target.pxPerImage())
      current.scroll = moved.state
      if (moved.steps !== 0) target.step(moved.steps)
    } else if (current.tool === 'window') target.dragWindow(deltaX, deltaY)
    else if (current.tool === 'pan') target.panBy(deltaX, deltaY)
    else target.zoomBy(zoomOfDrag(deltaY), current.from)
  }

  function moveTwoFingers(pointerId: number, at: Point): void {
    const [other] = [...fingers].filter(([id]) => id !== pointerId).map(([, point]) => point)
    const old = fingers.get(pointerId)
    if (!other || !old) return
    const { factor, center, panX, panY } = pinch([old, other], [at, other])
    target.panBy(panX, panY)
    if (factor !== 1) target.zoomBy(factor, center)
  }

  return () => stop.abort()
}
