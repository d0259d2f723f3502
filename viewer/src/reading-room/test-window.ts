import type { ScreenAxes } from '../display/orientation.ts'
import type { Length } from '../measure/length.ts'
import type { Pane } from '../viewport/pane.ts'

/** What browser tests may read of one viewport: numbers that the page shows as well. */
export interface ViewportReport {
  readonly index: number
  readonly shownIndex: number | undefined
  readonly count: number
  readonly loaded: number
  readonly loading: boolean
  readonly window: { readonly center: number; readonly width: number } | undefined
  readonly zoom: number | undefined
  /** Image pixel (column, row) in the middle of the viewport, and image pixels per CSS pixel to the right and down. */
  readonly centre: readonly [number, number] | undefined
  readonly screen: ScreenAxes | undefined
  readonly inverted: boolean
  readonly sopInstanceUid: string | undefined
  readonly frame: number | undefined
  readonly lengths: readonly Length[]
}

/** `window.__lianpian_viewer`: read-only, the same in production and tests (README, "For browser tests"). */
export interface ViewerReport {
  readonly viewports: readonly ViewportReport[]
  readonly activeViewport: number
}

export function reportOf(
  panes: readonly Pane[],
  activeViewport: number,
  lengthsOn: (paneIndex: number) => readonly Length[],
): ViewerReport {
  const viewports = panes.map(({ set, state }, paneIndex) => {
    const frame = set?.frames[state.index]
    const { index, shownIndex, count, loaded, loading, window, zoom, centre, screen, inverted } = state
    return {
      index,
      shownIndex,
      count,
      loaded,
      loading,
      window,
      zoom,
      centre,
      screen,
      inverted,
      sopInstanceUid: frame?.sopInstanceUid,
      frame: frame?.frame,
      lengths: lengthsOn(paneIndex),
    }
  })
  return { viewports, activeViewport }
}

/** Publishes the report under its name. @returns how to withdraw it. */
export function publishReport(read: () => ViewerReport): () => void {
  Object.defineProperty(window, '__lianpian_viewer', { get: read, configurable: true })
  return () => Reflect.deleteProperty(window, '__lianpian_viewer')
}
