import type { DisplaySet } from '../series/image-frame.ts'
import type { ViewState } from './view-state.ts'

/** A place in the layout and what was put there; `index` is where the set is opened. */
export interface Pane {
  readonly id: string
  readonly set: DisplaySet | undefined
  readonly index: number
  readonly state: ViewState
}
