import { Enums, utilities, type Types } from '@cornerstonejs/core'
import { ApiProblem } from 'page-kit'
import type { ScreenAxes } from '../display/orientation.ts'
import { mirrored, rotated, upright, type Turning } from '../display/turning.ts'
import { rangeOfWindow, windowOfRange, type Window } from '../display/window.ts'
import { notShown } from '../problem/answer-details.ts'
import { indexAfter } from '../scroll/drag.ts'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'
import type { Engine } from './engine.ts'
import { emptyView, type ViewState } from './view-state.ts'

/**
 * One viewport showing one display set. Every verb takes effect at once on what is asked for; pixels follow when they
 * are there, and only those asked for last. Until then the old picture stays and the state says that it is old.
 */
export class StackView {
  readonly #engine: Engine
  readonly #viewport: Types.IStackViewport
  readonly #onChange: (state: ViewState) => void
  readonly #stopListening: () => void
  #set: DisplaySet | undefined
  #imageIds: readonly string[] = []
  #mountedIds: readonly string[] | undefined
  #state: ViewState = emptyView
  #asked = 0
  #baseInvert = false
  #turning = upright

  constructor(engine: Engine, viewport: Types.IStackViewport, onChange: (state: ViewState) => void) {
    this.#engine = engine
    this.#viewport = viewport
    this.#onChange = onChange
    const refresh = (): void => this.#update({ ...this.#display() })
    const events = [Enums.Events.IMAGE_RENDERED, Enums.Events.VOI_MODIFIED, Enums.Events.CAMERA_MODIFIED]
    for (const event of events) viewport.element.addEventListener(event, refresh)
    const stopLoaded = engine.onLoaded(() => this.#update({ loaded: engine.loadedAmong(this.#imageIds) }))
    this.#stopListening = () => {
      for (const event of events) viewport.element.removeEventListener(event, refresh)
      stopLoaded()
    }
  }

  get id(): string {
    return this.#viewport.id
  }

  get state(): ViewState {
    return this.#state
  }

  /** The picture asked for. */
  get frame(): ImageFrame | undefined {
    return this.#set?.frames[this.#state.index]
  }

  get imageId(): string | undefined {
    return this.#imageIds[this.#state.index]
  }

  /** Shows another display set, at once from `index`; zoom, window and turning begin anew. */
  show(set: DisplaySet, index: number): void {
    this.#set = set
    this.#imageIds = this.#engine.register(set.frames)
    this.#mountedIds = undefined
    this.#turning = upright
    const start = indexAfter(0, index, set.frames.length)
    this.#update({ ...emptyView, setId: set.id, index: start, count: set.frames.length, loaded: this.#engine.loadedAmong(this.#imageIds) })
    this.#ask(start, 1)
  }

  goTo(index: number): void {
    const target = indexAfter(0, index, this.#state.count)
    if (this.#set && target !== this.#state.index) this.#ask(target, target > this.#state.index ? 1 : -1)
  }

  step(steps: number, wrap = false): void {
    this.goTo(indexAfter(this.#state.index, steps, this.#state.count, wrap))
  }

  /** Asks once more for a picture that failed. */
  retry(): void {
    if (this.#set) this.#ask(this.#state.index, 1)
  }

  setWindow(window: Window): void {
    this.#viewport.setProperties({ voiRange: rangeOfWindow(window) })
    this.#viewport.render()
  }

  /** The window that the image itself proposes, else all of its values. */
  resetWindow(): void {
    const image = this.#viewport.getCornerstoneImage()
    if (!image) return
    const [center, width] = [first(image.windowCenter), first(image.windowWidth)]
    if (center !== undefined && width !== undefined && width >= 1) this.setWindow({ center, width })
    else this.setFullWindow()
  }

  setFullWindow(): void {
    const image = this.#viewport.getCornerstoneImage()
    if (image) this.setWindow(windowOfRange({ lower: image.minPixelValue, upper: image.maxPixelValue }))
  }

  /** @param at Point that stays where it is, in CSS pixels of the viewport; its middle by default. */
  zoomBy(factor: number, at?: readonly [number, number]): void {
    const zoom = this.#state.zoom
    if (zoom === undefined || !this.#mountedIds) return
    const bounded = Math.min(40, Math.max(0.05, zoom * factor)) / zoom
    const point: Types.Point2 = at ? [at[0], at[1]] : this.#middle()
    const before = this.#viewport.canvasToWorld(point)
    this.#viewport.setZoom(this.#viewport.getZoom() * bounded)
    this.#moveBy(before, this.#viewport.canvasToWorld(point))
    this.#viewport.render()
  }

  panBy(deltaXPx: number, deltaYPx: number): void {
    if (!this.#mountedIds) return
    const [x, y] = this.#middle()
    this.#moveBy(this.#viewport.canvasToWorld([x - deltaXPx, y - deltaYPx]), this.#viewport.canvasToWorld([x, y]))
    this.#viewport.render()
  }

  /** One image pixel on one CSS pixel. */
  showActualSize(): void {
    if (this.#state.zoom) this.zoomBy(1 / this.#state.zoom)
  }

  /** Whole picture in the viewport, turning kept. */
  fit(): void {
    const presentation = this.#viewport.getViewPresentation()
    this.#viewport.setViewPresentation({ ...presentation, zoom: 1, pan: [0, 0] })
    this.#viewport.render()
  }

  /** @param degrees Clockwise, a multiple of 90. */
  rotateBy(degrees: number): void {
    this.#turn(rotated(this.#turning, degrees))
  }

  /** Mirrors what is seen: left and right, or up and down, of the screen. */
  flip(direction: 'horizontal' | 'vertical'): void {
    this.#turn(mirrored(this.#turning, direction))
  }

  invert(): void {
    this.#viewport.setProperties({ invert: !this.#viewport.getProperties().invert })
    this.#viewport.render()
  }

  /** Back to the picture as it was opened (VWR-15). */
  reset(): void {
    if (!this.#mountedIds) return
    this.#turn(upright)
    this.#viewport.resetCamera()
    this.#viewport.setProperties({ invert: this.#baseInvert })
    this.resetWindow()
    this.#viewport.render()
  }

  close(): void {
    this.#asked++
    this.#stopListening()
    this.#engine.closeView(this.id)
  }

  #ask(index: number, direction: 1 | -1): void {
    const imageId = this.#imageIds[index]
    if (imageId === undefined) return
    const asked = ++this.#asked // an answer to an older wish must not replace a newer picture
    this.#engine.loader.forgetFailure(imageId)
    this.#update({ index, problem: undefined, loading: !this.#engine.isLoaded(imageId) })
    void this.#showWhenLoaded(imageId, index, asked)
    this.#engine.loader.focus(this.id, this.#imageIds, index, direction)
  }

  async #showWhenLoaded(imageId: string, index: number, asked: number): Promise<void> {
    try {
      await this.#engine.load(imageId, 'now')
      if (asked !== this.#asked) return
      if (this.#mountedIds === this.#imageIds) await this.#viewport.setImageIdIndex(index)
      else await this.#mount(index)
      if (asked === this.#asked)
        this.#update({ ...this.#display(), shownIndex: index, loading: false, loaded: this.#engine.loadedAmong(this.#imageIds) })
    } catch (error) {
      if (asked !== this.#asked) return
      this.#update({ loading: false, problem: error instanceof ApiProblem ? error.details : notShown })
    }
  }

  async #mount(index: number): Promise<void> {
    this.#mountedIds = this.#imageIds
    await this.#viewport.setStack([...this.#imageIds], index)
    this.#baseInvert = this.#viewport.getProperties().invert ?? false
    this.#viewport.render()
  }

  #turn(turning: Turning): void {
    if (!this.#mountedIds) return
    this.#turning = turning
    // Only the camera takes a mirror away again; a presentation can but add one.
    this.#viewport.setCamera({ flipHorizontal: turning.mirrored, flipVertical: false })
    this.#viewport.setViewPresentation({ ...this.#viewport.getViewPresentation(), rotation: turning.degrees })
    this.#viewport.render()
  }

  #moveBy(from: Types.Point3, to: Types.Point3): void {
    const { focalPoint, position } = this.#viewport.getCamera()
    if (!focalPoint || !position) return
    const shift = (point: Types.Point3): Types.Point3 => [
      point[0] + from[0] - to[0],
      point[1] + from[1] - to[1],
      point[2] + from[2] - to[2],
    ]
    this.#viewport.setCamera({ focalPoint: shift(focalPoint), position: shift(position) })
  }

  #middle(): Types.Point2 {
    return [this.#viewport.element.clientWidth / 2, this.#viewport.element.clientHeight / 2]
  }

  /** What the viewport itself knows: window, zoom, how the image lies. */
  #display(): Partial<ViewState> {
    if (!this.#mountedIds || !this.#viewport.getCornerstoneImage()) return {}
    const { voiRange, invert = false } = this.#viewport.getProperties()
    const lie = this.#lie()
    const zoom = lie && 1 / Math.max(Math.hypot(...lie.screen.right), 1e-9)
    return { window: voiRange && windowOfRange(voiRange), inverted: invert !== this.#baseInvert, ...(lie && { ...lie, zoom }) }
  }

  /** Which pixel is in the middle and which way the rows and columns run on the screen. */
  #lie(): { readonly centre: readonly [number, number]; readonly screen: ScreenAxes } | undefined {
    const imageData = this.#viewport.getImageData()?.imageData
    if (!imageData) return undefined
    const [x, y] = this.#middle()
    const step = 100
    const indexAt = (point: Types.Point2): Types.Point3 =>
      utilities.transformWorldToIndexContinuous(imageData, this.#viewport.canvasToWorld(point))
    const [origin, right, down] = [indexAt([x, y]), indexAt([x + step, y]), indexAt([x, y + step])]
    const screen: ScreenAxes = {
      right: [(right[0] - origin[0]) / step, (right[1] - origin[1]) / step],
      down: [(down[0] - origin[0]) / step, (down[1] - origin[1]) / step],
    }
    return Number.isFinite(screen.right[0]) && Number.isFinite(screen.down[1]) ? { centre: [origin[0], origin[1]], screen } : undefined
  }

  #update(change: Partial<ViewState>): void {
    this.#state = { ...this.#state, ...change }
    this.#onChange(this.#state)
  }
}

function first(value: number | number[] | undefined): number | undefined {
  return Array.isArray(value) ? value[0] : value
}
