import type { Spacing, SpacingMm } from './spacing.ts'

/** Place in an image, in pixels: column and row. */
export type ImagePoint = readonly [number, number]

export interface Length {
  readonly value: number
  readonly unit: 'mm' | 'px'
  /** What the reader must know about the millimetres, or why there are none (VWR-36). */
  readonly caution?: 'detector' | 'estimated' | 'uncalibrated' | 'outside-region'
}

/** Distance of two points of one image, in millimetres only where the image vouches for them. */
export function lengthBetween(a: ImagePoint, b: ImagePoint, spacing: Spacing): Length {
  const scale = spacingAt(a, b, spacing)
  if (!scale) {
    const caution = spacing.kind === 'region' ? 'outside-region' : 'uncalibrated'
    return { value: Math.hypot(b[0] - a[0], b[1] - a[1]), unit: 'px', caution }
  }
  const value = Math.hypot((b[0] - a[0]) * scale.columnMm, (b[1] - a[1]) * scale.rowMm)
  return spacing.kind === 'detector' || spacing.kind === 'estimated' ? { value, unit: 'mm', caution: spacing.kind } : { value, unit: 'mm' }
}

/** Both ends must lie in the same region: a line across two scales has no length in millimetres. */
function spacingAt(a: ImagePoint, b: ImagePoint, spacing: Spacing): SpacingMm | undefined {
  if (spacing.kind === 'none') return undefined
  if (spacing.kind !== 'region') return spacing
  return spacing.regions.find((region) => inside(a, region) && inside(b, region))
}

function inside([x, y]: ImagePoint, region: { minX: number; minY: number; maxX: number; maxY: number }): boolean {
  return x >= region.minX && x <= region.maxX && y >= region.minY && y <= region.maxY
}

/** One decimal is what a mouse and a pixel are worth. */
export function formatLength({ value, unit }: Length): string {
  return unit === 'px' ? `${value.toFixed(0)} px` : `${value.toFixed(1)} mm`
}
