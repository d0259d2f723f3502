/** Image under a point of the slider, ends included. */
export function sliderIndex(offsetPx: number, heightPx: number, count: number): number {
  if (heightPx <= 0 || count < 2) return 0
  return Math.min(count - 1, Math.max(0, Math.round((offsetPx / heightPx) * (count - 1))))
}
