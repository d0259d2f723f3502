import { number, numbers, tags } from '../dicomweb/dataset.ts'
import type { ImageFrame } from './image-frame.ts'

type Vector = readonly [number, number, number]

/**
 * Order of a stack. Parallel slices at different places lie as in the patient, in the direction that their instance
 * numbers take; anything else (several phases at one place, localizers of mixed directions, radiographs) keeps its
 * instance numbers. A missing number goes to the end, never to the front.
 */
export function sortFrames(frames: readonly ImageFrame[]): readonly ImageFrame[] {
  const byNumber = [...frames].sort(
    (a, b) => compareNumber(a.instanceNumber, b.instanceNumber) || compareText(a.sopInstanceUid, b.sopInstanceUid),
  )
  const places = placesAlongNormal(byNumber)
  if (!places) return byNumber
  const ascending = byNumber.map((frame, index) => ({ frame, place: places[index] ?? 0 })).sort((a, b) => a.place - b.place)
  const follows = correlation(places)
  if (follows < 0) ascending.reverse()
  return ascending.map(({ frame }) => frame)
}

/** Position of each frame along the common normal, in mm; `undefined` unless all are parallel and no two coincide. */
function placesAlongNormal(frames: readonly ImageFrame[]): readonly number[] | undefined {
  if (frames.length < 2) return undefined
  let normal: Vector | undefined
  const places: number[] = []
  for (const { dataset } of frames) {
    const cosines = numbers(dataset, tags.imageOrientation, 6)
    const [x, y, z] = numbers(dataset, tags.imagePosition, 3) ?? []
    if (!cosines || x === undefined || y === undefined || z === undefined) return undefined
    const own = normalOf(cosines)
    normal ??= own
    if (dot(own, normal) < 0.999) return undefined
    places.push(dot([x, y, z], normal))
  }
  const sorted = [...places].sort((a, b) => a - b)
  const distinct = sorted.every((place, index) => index === 0 || place - (sorted[index - 1] ?? 0) > 0.01)
  return distinct ? places : undefined
}

function normalOf([a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]: readonly number[]): Vector {
  return [b * f - c * e, c * d - a * f, a * e - b * d]
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/** Sign of the trend of values over their index. */
function correlation(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0)
}

/** Numbers ascending, what has none last. */
function compareNumber(a: number | undefined, b: number | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1
  return a - b
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Series in the order of the list: pictures by series number, then what has none. */
export function compareSeries(
  a: { seriesNumber: number | undefined; seriesInstanceUid: string },
  b: { seriesNumber: number | undefined; seriesInstanceUid: string },
): number {
  return compareNumber(a.seriesNumber, b.seriesNumber) || compareText(a.seriesInstanceUid, b.seriesInstanceUid)
}

/** Slice position for the corner text: Slice Location, or where the plane lies along its normal. */
export function sliceLocationMm(frame: ImageFrame): number | undefined {
  const stated = number(frame.dataset, tags.sliceLocation)
  if (stated !== undefined) return stated
  const cosines = numbers(frame.dataset, tags.imageOrientation, 6)
  const [x, y, z] = numbers(frame.dataset, tags.imagePosition, 3) ?? []
  return cosines && x !== undefined && y !== undefined && z !== undefined ? dot([x, y, z], normalOf(cosines)) : undefined
}
