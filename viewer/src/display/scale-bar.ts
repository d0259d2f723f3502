export interface ScaleBar {
  readonly lengthMm: number
  readonly lengthPx: number
  /** Equal parts that ticks mark. */
  readonly parts: number
  readonly label: string
}

const niceMm = [500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1]

/**
 * Longest round length that fits the space.
 *
 * @param mmPerPx Millimetres of the patient per CSS pixel on the screen, at this zoom.
 * @param maxPx Space for the bar.
 */
export function scaleBar(mmPerPx: number, maxPx: number): ScaleBar | undefined {
  if (!(mmPerPx > 0) || !Number.isFinite(mmPerPx)) return undefined
  const lengthMm = niceMm.find((candidate) => candidate / mmPerPx <= maxPx)
  if (lengthMm === undefined) return undefined
  return { lengthMm, lengthPx: lengthMm / mmPerPx, parts: 5, label: lengthMm >= 10 ? `${lengthMm / 10} cm` : `${lengthMm} mm` }
}
