import { number, tags, text } from '../dicomweb/dataset.ts'
import type { Identity } from '../patient/identity.ts'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'
import { sliceLocationMm } from '../series/sort.ts'
import type { ViewState } from '../viewport/view-state.ts'
import { roundedWindow } from './window.ts'

/** Lines in the corners of a viewport. Abbreviations are those that scanners print, the same in every language. */
export interface CornerText {
  readonly patient: readonly string[]
  readonly exam: readonly string[]
  readonly image: readonly string[]
}

export function cornerText(set: DisplaySet, frame: ImageFrame, identity: Identity): CornerText {
  const { dataset } = frame
  const thickness = number(dataset, tags.sliceThickness)
  const location = sliceLocationMm(frame)
  const kvp = number(dataset, tags.kvp)
  return {
    patient: lines([join(identity.name, identity.sex, identity.age)], [identity.patientId], [identity.birthDate]),
    exam: lines(
      [text(dataset, tags.institutionName)],
      [join(identity.studyDate, timeOfDay(text(dataset, tags.studyTime)))],
      [identity.accessionNumber && `Acc ${identity.accessionNumber}`],
    ),
    image: lines(
      [
        join(
          `${set.modality}${set.seriesNumber === undefined ? '' : ` Se ${set.seriesNumber}`}`,
          set.kind === 'key-images' ? '' : set.description,
        ),
      ],
      [join(location === undefined ? '' : `SL ${location.toFixed(1)} mm`, thickness === undefined ? '' : `ST ${thickness.toFixed(1)} mm`)],
      [join(kvp === undefined ? '' : `${kvp} kV`, text(dataset, tags.lossyImageCompression) === '01' ? 'LOSSY' : '')],
    ),
  }
}

/** `Im 23/75`, and the frame where one instance holds several. */
export function positionText(state: Pick<ViewState, 'index' | 'count'>): string {
  return state.count === 0 ? '' : `Im ${state.index + 1}/${state.count}`
}

export function windowText(state: Pick<ViewState, 'window'>): string {
  if (!state.window) return ''
  const { center, width } = roundedWindow(state.window)
  return `WW ${width}  WL ${center}`
}

export function zoomText(state: Pick<ViewState, 'zoom'>): string {
  return state.zoom === undefined ? '' : `${(state.zoom * 100).toFixed(0)}%`
}

/** `141819.000000` → `14:18`. */
export function timeOfDay(time: string): string {
  const [, hours, minutes] = /^(\d{2}):?(\d{2})/.exec(time) ?? []
  return hours && minutes ? `${hours}:${minutes}` : ''
}

function join(...parts: readonly string[]): string {
  return parts.filter(Boolean).join('  ')
}

function lines(...candidates: readonly (readonly string[])[]): readonly string[] {
  return candidates.flat().filter(Boolean)
}
