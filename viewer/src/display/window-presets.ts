import { number, numbers, tags, text, type Dataset } from '../dicomweb/dataset.ts'
import { possibleValues } from './possible-values.ts'
import { rangeOfWindow, type Window } from './window.ts'

/** `key` is the digit that chooses it. A preset either has a window or asks for the image's own or its full range. */
export interface WindowPreset {
  readonly id: string
  readonly key: number
  readonly window: Window | 'image' | 'full'
  /** Name from the image's header, shown as it is; otherwise the catalogue names the id. */
  readonly label?: string
}

/** Usual CT reading windows, in HU (VWR-22). */
const ctWindows = [
  ['lung', -600, 1500],
  ['mediastinum', 40, 400],
  ['bone', 400, 2000],
  ['brain', 40, 80],
  ['abdomen', 50, 350],
  ['liver', 60, 160],
  ['vessel', 200, 700],
  ['spine', 50, 250],
] as const

/**
 * Presets for an image, chosen by the keys 1…9. CT has fixed windows because HU means the same everywhere; other
 * modalities have none, so they get the image's own windows, wider and narrower ones of it, and the full range.
 */
export function presetsFor(dataset: Dataset): readonly WindowPreset[] {
  if (text(dataset, tags.modality) === 'CT') {
    const fixed = ctWindows.map(([id, center, width], index) => ({ id, key: index + 1, window: { center, width } }))
    return [...fixed, { id: 'image', key: 9, window: 'image' }]
  }
  const own = windowsOf(dataset)
  const first = own[0]
  const presets: Omit<WindowPreset, 'key'>[] = [{ id: 'image', window: 'image' }]
  if (first) {
    const { center, width } = first.window
    presets.push(
      { id: 'contrast', window: { center, width: Math.max(1, width * 0.6) } },
      { id: 'soft', window: { center, width: width * 1.6 } },
    )
  }
  presets.push({ id: 'full', window: 'full' })
  for (const [index, { window, explanation }] of own.slice(1).entries())
    presets.push({ id: `header-${index + 2}`, window, ...(explanation && { label: explanation }) })
  return presets.slice(0, 9).map((preset, index) => ({ ...preset, key: index + 1 }))
}

/**
 * Windows that the image itself proposes (PS3.3 C.11.2); equal ones once, foreign ones never.
 */
export function windowsOf(dataset: Dataset): readonly { window: Window; explanation: string }[] {
  const count = Math.min(dataset[tags.windowCenter]?.Value?.length ?? 0, dataset[tags.windowWidth]?.Value?.length ?? 0)
  const found: { window: Window; explanation: string }[] = []
  const possible = possibleValues(dataset)
  for (let index = 0; index < count; index++) {
    const [center, width] = [number(dataset, tags.windowCenter, index), number(dataset, tags.windowWidth, index)]
    if (center === undefined || width === undefined || width < 1) continue
    if (possible && isForeign({ center, width }, possible)) continue
    if (found.some(({ window }) => window.center === center && window.width === width)) continue
    found.push({ window: { center, width }, explanation: text(dataset, tags.windowExplanation, index) })
  }
  return found
}

/**
 * Whether a window was copied from another image: its middle and three quarters of it lie where no pixel of this one can.
 * It would show a white or black surface.
 */
function isForeign(window: Window, possible: { readonly lower: number; readonly upper: number }): boolean {
  const { lower, upper } = rangeOfWindow(window)
  const shared = Math.min(upper, possible.upper) - Math.max(lower, possible.lower)
  return (window.center < possible.lower || window.center > possible.upper) && shared < window.width / 4
}

/** True where pixel values are Hounsfield units and a window may be named in HU. */
export function isHounsfield(dataset: Dataset): boolean {
  const type = text(dataset, tags.rescaleType)
  return text(dataset, tags.modality) === 'CT' && (type === '' || type === 'HU') && numbers(dataset, tags.rows, 1) !== undefined
}
