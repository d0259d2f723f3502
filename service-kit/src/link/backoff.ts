/**
 * Wait before attempt number `attempt` (1 = first repetition): doubles from `firstMs` up to `maxMs`, ±20 % by `chance`
 * (0…1), so that the nodes of a region do not come back all at the same moment.
 */
export function backoffMs(attempt: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }, chance: number): number {
  const grown = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(grown * (0.8 + 0.4 * chance))
}
