import type { ImagePoint } from './length.ts'

type Vector = readonly [number, number, number]

/** Place of an image in the coordinates that Cornerstone draws in; for pictures without geometry spacing 1 at the origin. */
export interface ImagePlane {
  /** Centre of the first pixel. */
  readonly origin: Vector
  /** Direction in which the column index grows, with the distance of two columns. */
  readonly row: Vector
  readonly columnSpacing: number
  /** Direction in which the row index grows, with the distance of two rows. */
  readonly column: Vector
  readonly rowSpacing: number
}

/** Pixel (column, row) under a point; whole numbers are pixel centres. */
export function imagePointOf(plane: ImagePlane, world: Vector): ImagePoint {
  const offset: Vector = [world[0] - plane.origin[0], world[1] - plane.origin[1], world[2] - plane.origin[2]]
  return [dot(offset, plane.row) / plane.columnSpacing, dot(offset, plane.column) / plane.rowSpacing]
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
