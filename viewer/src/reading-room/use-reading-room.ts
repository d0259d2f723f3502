import { computed, onScopeDispose, readonly, ref, shallowRef, watch } from 'vue'
import { imageAxesOf } from '../display/orientation.ts'
import { dragWindow, type Window } from '../display/window.ts'
import { presetsFor, type WindowPreset } from '../display/window-presets.ts'
import { findKeyImage, keyImageSet, type PictureName } from '../key-image/key-images.ts'
import { dragPxPerImage } from '../scroll/drag.ts'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'
import type { Study } from '../series/use-study.ts'
import type { Command, DragTool } from '../tools/commands.ts'
import type { Engine } from '../viewport/engine.ts'
import type { GestureTarget } from '../viewport/gestures.ts'
import type { Pane } from '../viewport/pane.ts'
import type { StackView } from '../viewport/stack-view.ts'
import { useCine } from '../viewport/use-cine.ts'
import { emptyView, type ViewState } from '../viewport/view-state.ts'
import { fillPanes, paneCount, type LayoutName } from './layout.ts'

export interface RoomOptions {
  readonly study: Study
  readonly wanted: { readonly series: string | undefined; readonly instance: string | undefined }
  /** Marks or unmarks a picture; absent where nothing can be marked. */
  readonly markKeyImage: () => ((frame: ImageFrame) => void) | undefined
  /** Pictures that somebody marked, here or in a Key Object Selection. */
  readonly marked: () => readonly PictureName[]
  /** Commands that concern the page around the viewports. */
  readonly onCommand: (command: Command) => void
}

const paneIds = ['pane-0', 'pane-1', 'pane-2', 'pane-3'] as const
const emptyPane = (id: string): Pane => ({ id, set: undefined, index: 0, state: emptyView })

/** The viewports, which series each shows, which one is active and what the tools do to it. */
export function useReadingRoom(engine: () => Engine | undefined, options: RoomOptions) {
  const layout = ref<LayoutName>('1x1')
  const panes = shallowRef<readonly Pane[]>(paneIds.map(emptyPane))
  const activeIndex = ref(0)
  const tool = ref<DragTool>('scroll')
  const textsShown = ref(true)
  const keyImagesOnly = ref(false)
  const views = new Map<string, StackView>()

  const visible = computed(() => panes.value.slice(0, paneCount(layout.value)))
  const active = computed(() => panes.value[activeIndex.value] ?? emptyPane('pane-0'))
  const frame = computed(() => active.value.set?.frames[active.value.state.index])
  const presets = computed<readonly WindowPreset[]>(() => (frame.value ? presetsFor(frame.value.dataset) : []))
  const activeView = (): StackView | undefined => views.get(active.value.id)
  const cine = useCine(activeView, () => active.value.set?.frameRate)

  function change(index: number, part: Partial<Pane>): void {
    panes.value = panes.value.map((pane, at) => (at === index ? { ...pane, ...part } : pane))
  }

  /** Shows a display set in a viewport, from `index` on. */
  function assign(paneIndex: number, set: DisplaySet, index = 0): void {
    if (paneIndex === activeIndex.value) cine.halt()
    change(paneIndex, { set, index, state: { ...emptyView, setId: set.id, index, count: set.frames.length } })
    views.get(paneIds[paneIndex] ?? '')?.show(set, index)
  }

  function activate(paneIndex: number): void {
    if (paneIndex === activeIndex.value) return
    cine.halt()
    activeIndex.value = paneIndex
  }

  function setLayout(name: LayoutName): void {
    layout.value = name
    if (activeIndex.value >= paneCount(name)) activate(0)
    const sets = new Map(options.study.displaySets.value.map((set) => [set.id, set]))
    const filled = fillPanes(
      panes.value.map((pane) => pane.set?.id),
      [...sets.keys()],
      name,
    )
    for (const [index, id] of filled.entries()) {
      const set = id === undefined ? undefined : sets.get(id)
      if (set && panes.value[index]?.set?.id !== id) assign(index, set)
    }
  }

  /** Goes to a picture wherever it is; @returns whether the study holds it. */
  function jumpTo(picture: PictureName): boolean {
    const found = findKeyImage(picture, options.study.displaySets.value)
    if (!found) return false
    keyImagesOnly.value = false
    const shown = visible.value.findIndex((pane) => pane.set?.id === found.set.id)
    if (shown < 0) assign(activeIndex.value, found.set, found.index)
    else {
      activate(shown)
      views.get(paneIds[shown] ?? '')?.goTo(found.index)
    }
    return true
  }

  function showKeyImagesOnly(only: boolean): void {
    const before = frame.value
    const gathered = only ? keyImageSet(options.marked(), options.study.displaySets.value) : undefined
    keyImagesOnly.value = gathered !== undefined
    if (gathered)
      assign(
        activeIndex.value,
        gathered,
        Math.max(
          0,
          gathered.frames.findIndex((one) => one.sopInstanceUid === before?.sopInstanceUid),
        ),
      )
    else if (before) jumpTo({ sopInstanceUid: before.sopInstanceUid, frame: before.frame })
  }

  function applyPreset(preset: WindowPreset): void {
    const view = activeView()
    if (preset.window === 'image') view?.resetWindow()
    else if (preset.window === 'full') view?.setFullWindow()
    else view?.setWindow(preset.window)
  }

  function stepSeries(step: number): void {
    const sets = options.study.displaySets.value
    const next = sets[sets.findIndex((set) => set.id === active.value.set?.id) + step]
    if (next) assign(activeIndex.value, next)
  }

  function clearMeasurements(which: 'all' | 'selected'): void {
    const imageId = activeView()?.imageId
    if (imageId !== undefined) engine()?.measuring.clear(imageId, which)
  }

  function mark(): void {
    const marking = options.markKeyImage()
    if (marking && frame.value) marking(frame.value)
    else options.onCommand({ kind: 'mark-key-image' })
  }

  function run(command: Command): void {
    const view = activeView()
    if (command.kind === 'tool') tool.value = command.tool
    else if (command.kind === 'step') view?.step(command.steps)
    else if (command.kind === 'first') view?.goTo(0)
    else if (command.kind === 'last') view?.goTo(active.value.state.count - 1)
    else if (command.kind === 'series') stepSeries(command.step)
    else if (command.kind === 'zoom') view?.zoomBy(command.factor)
    else if (command.kind === 'rotate') view?.rotateBy(command.degrees)
    else if (command.kind === 'flip-horizontal') view?.flip('horizontal')
    else if (command.kind === 'flip-vertical') view?.flip('vertical')
    else if (command.kind === 'invert') view?.invert()
    else if (command.kind === 'fit') view?.fit()
    else if (command.kind === 'actual-size') view?.showActualSize()
    else if (command.kind === 'reset') view?.reset()
    else if (command.kind === 'cine') cine.toggle()
    else if (command.kind === 'toggle-texts') textsShown.value = !textsShown.value
    else if (command.kind === 'mark-key-image') mark()
    else if (command.kind === 'key-images-only') showKeyImagesOnly(!keyImagesOnly.value)
    else if (command.kind === 'delete-measurement') clearMeasurements('selected')
    else if (command.kind === 'clear-measurements') clearMeasurements('all')
    else if (command.kind === 'preset') {
      const preset = presets.value.find((one) => one.key === command.key)
      if (preset) applyPreset(preset)
    } else options.onCommand(command)
  }

  /** Opens the viewport of a pane in its element; called once it has a size. */
  function openView(paneIndex: number, element: HTMLDivElement): () => void {
    const pane = panes.value[paneIndex]
    const opened = engine()
    if (!pane || !opened) return () => undefined
    const view = opened.openView(pane.id, element, (state: ViewState) => change(paneIndex, { state }))
    views.set(pane.id, view)
    if (pane.set) view.show(pane.set, pane.state.index)
    return () => {
      views.delete(pane.id)
      view.close()
    }
  }

  function gesturesOf(paneIndex: number, heightPx: () => number): GestureTarget {
    const view = (): StackView | undefined => views.get(paneIds[paneIndex] ?? '')
    return {
      activate: () => activate(paneIndex),
      step: (steps) => view()?.step(steps),
      dragWindow: (deltaX, deltaY) => {
        const window = view()?.state.window
        if (window) view()?.setWindow(dragWindow(window, deltaX, deltaY))
      },
      panBy: (deltaX, deltaY) => view()?.panBy(deltaX, deltaY),
      zoomBy: (factor, at) => view()?.zoomBy(factor, at),
      pxPerImage: () => dragPxPerImage(view()?.state.count ?? 0, heightPx()),
      chosenTool: () => tool.value,
      isBusy: () => engine()?.measuring.isBusy() ?? false,
    }
  }

  watch(tool, (chosen) => engine()?.measuring.setActive(chosen === 'length'))

  // The first pictures: the wanted instance, else the wanted series, else the first one; a series that grew keeps its place.
  watch(
    options.study.displaySets,
    (sets) => {
      for (const [index, pane] of panes.value.entries()) {
        const current = pane.set && sets.find((set) => set.id === pane.set?.id)
        if (current && current.frames.length !== pane.set?.frames.length) {
          const shown = pane.set?.frames[pane.state.index]?.sopInstanceUid
          assign(
            index,
            current,
            Math.max(
              0,
              current.frames.findIndex((one) => one.sopInstanceUid === shown),
            ),
          )
        }
      }
      if (panes.value[0]?.set) return
      const { series, instance } = options.wanted
      const start = (instance && findKeyImage({ sopInstanceUid: instance }, sets)) || undefined
      const set = start?.set ?? sets.find((one) => one.seriesInstanceUid === series) ?? (series ? undefined : sets[0])
      if (set) assign(0, set, start?.index ?? 0)
      else if (options.study.settled.value && sets[0]) assign(0, sets[0])
    },
    { immediate: true },
  )
  onScopeDispose(() => engine()?.loader.stop())

  return {
    layout: readonly(layout),
    visible,
    active,
    activeIndex: readonly(activeIndex),
    frame,
    axes: computed(() => frame.value && imageAxesOf(frame.value.dataset)),
    presets,
    tool: readonly(tool),
    textsShown: readonly(textsShown),
    keyImagesOnly: readonly(keyImagesOnly),
    cine,
    assign,
    activate,
    setLayout,
    jumpTo,
    applyPreset,
    setWindow: (window: Window) => activeView()?.setWindow(window),
    retry: (paneIndex: number) => views.get(paneIds[paneIndex] ?? '')?.retry(),
    goTo: (paneIndex: number, index: number) => views.get(paneIds[paneIndex] ?? '')?.goTo(index),
    run,
    openView,
    gesturesOf,
  }
}

export type ReadingRoom = ReturnType<typeof useReadingRoom>
