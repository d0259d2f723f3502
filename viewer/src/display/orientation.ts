import { numbers, tags, texts, type Dataset } from '../dicomweb/dataset.ts'

export type Vector = readonly [number, number, number]

/** Where the rows (increasing column index) and columns (increasing row index) of an image run. */
export type ImageAxes =
  | { readonly kind: 'patient'; readonly row: Vector; readonly column: Vector }
  | { readonly kind: 'letters'; readonly row: string; readonly column: string }

/** How the picture lies on the screen: image pixels (column, row) per step to the right and per step down. */
export interface ScreenAxes {
  readonly right: readonly [number, number]
  readonly down: readonly [number, number]
}

export interface EdgeLetters {
  readonly left: string
  readonly right: string
  readonly top: string
  readonly bottom: string
}

/**
 * Axes from Image Orientation (Patient) (PS3.3 C.7.6.2.1.1), or the letters of Patient Orientation (C.7.6.1.1.1) that
 * projection images carry instead; `undefined` when the image says nothing, because guessed letters are worse than none.
 */
export function imageAxesOf(dataset: Dataset): ImageAxes | undefined {
  const cosines = numbers(dataset, tags.imageOrientation, 6)
  if (cosines) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = cosines
    const [row, column]: [Vector, Vector] = [
      [a, b, c],
      [d, e, f],
    ]
    if (length(row) > 0.5 && length(column) > 0.5) return { kind: 'patient', row, column }
  }
  const [row = '', column = ''] = texts(dataset, tags.patientOrientation)
  return /^[LRAPHF]{1,3}$/.test(row) && /^[LRAPHF]{1,3}$/.test(column) ? { kind: 'letters', row, column } : undefined
}

/** Letters at the four edges of the viewport, right under rotation and mirroring too (VWR-20). */
export function edgeLetters(axes: ImageAxes, screen: ScreenAxes): EdgeLetters {
  const right = axes.kind === 'patient' ? lettersOfVector(along(axes, screen.right)) : lettersOfAxis(axes, screen.right)
  const bottom = axes.kind === 'patient' ? lettersOfVector(along(axes, screen.down)) : lettersOfAxis(axes, screen.down)
  return { right, bottom, left: opposite(right), top: opposite(bottom) }
}

/** Letters of a direction in the patient, the strongest first; parts under about 15° are left out. x grows to L, y to P, z to H. */
export function lettersOfVector(vector: Vector): string {
  const size = length(vector)
  if (size === 0) return ''
  const names = [
    ['L', 'R'],
    ['P', 'A'],
    ['H', 'F'],
  ] as const
  return vector
    .map((value, index) => ({ share: value / size, names: names[index] ?? names[0] }))
    .filter(({ share }) => Math.abs(share) > 0.26)
    .sort((a, b) => Math.abs(b.share) - Math.abs(a.share))
    .map(({ share, names: [positive, negative] }) => (share > 0 ? positive : negative))
    .join('')
}

const opposites: Record<string, string> = { L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H' }

export function opposite(letters: string): string {
  return [...letters].map((letter) => opposites[letter] ?? letter).join('')
}

function along(axes: ImageAxes & { kind: 'patient' }, [columns, rows]: readonly [number, number]): Vector {
  const part = (index: 0 | 1 | 2): number => axes.row[index] * columns + axes.column[index] * rows
  return [part(0), part(1), part(2)]
}

function lettersOfAxis(axes: ImageAxes & { kind: 'letters' }, [columns, rows]: readonly [number, number]): string {
  if (Math.abs(columns) >= Math.abs(rows)) return columns >= 0 ? axes.row : opposite(axes.row)
  return rows >= 0 ? axes.column : opposite(axes.column)
}

function length([x, y, z]: Vector): number {
  return Math.hypot(x, y, z)
}
