import type { ProblemDetails } from 'specs'
import type { ScreenAxes } from '../display/orientation.ts'
import type { Window } from '../display/window.ts'

/** What one viewport shows right now; replaced as a whole, never edited. */
export interface ViewState {
  readonly setId: string | undefined
  /** Image the reader asked for, from 0. */
  readonly index: number
  readonly count: number
  /** Image whose pixels are on the screen; differs from `index` while the asked one is loading. */
  readonly shownIndex: number | undefined
  readonly window: Window | undefined
  /** CSS pixels per image pixel. */
  readonly zoom: number | undefined
  /** Image pixel (column, row; whole numbers are pixel centres) in the middle of the viewport. */
  readonly centre: readonly [number, number] | undefined
  /** Image pixels per CSS pixel to the right and down. */
  readonly screen: ScreenAxes | undefined
  /** Black and white exchanged by the reader (MONOCHROME1 alone is not). */
  readonly inverted: boolean
  readonly loading: boolean
  readonly problem: ProblemDetails | undefined
  /** Pictures of this set in memory. */
  readonly loaded: number
}

export const emptyView: ViewState = {
  setId: undefined,
  index: 0,
  count: 0,
  shownIndex: undefined,
  window: undefined,
  zoom: undefined,
  centre: undefined,
  screen: undefined,
  inverted: false,
  loading: false,
  problem: undefined,
  loaded: 0,
}
