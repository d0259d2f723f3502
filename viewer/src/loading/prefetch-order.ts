/**
 * Order in which the rest of a series is fetched: neighbours first, twice as many in the direction of reading as behind,
 * so that the next picture is there before the hand asks for it (VWR-02).
 *
 * @returns Every index but `current`, each once, nearest first.
 */
export function prefetchOrder(count: number, current: number, direction: 1 | -1): readonly number[] {
  const order: number[] = []
  let [ahead, behind] = [current + direction, current - direction]
  const within = (index: number): boolean => index >= 0 && index < count
  while (within(ahead) || within(behind)) {
    for (let step = 0; step < 2 && within(ahead); step++, ahead += direction) order.push(ahead)
    if (within(behind)) {
      order.push(behind)
      behind -= direction
    }
  }
  return order
}
