/** Sorted copy's value at `share` (0 to 1). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Each kind first as often as last, so that a machine that gets slower, or warmer, favours neither: A B B A A B B A … */
export function inTurns<K>(first: K, second: K, pairs: number): K[] {
  return Array.from({ length: pairs }, (_pair, index) => (index % 2 === 0 ? [first, second] : [second, first])).flat()
}

/**
 * What the first costs above the second, pair by pair: two rounds that follow each other share the state of the machine, so a noisy neighbour moves both.
 *
 * @returns median and quartiles of the relative difference, in per cent.
 */
export function relativeCost(first: readonly number[], second: readonly number[]): { median: number; lower: number; upper: number } {
  const differences = first.map((value, index) => (value / (second[index] ?? NaN) - 1) * 100)
  return { median: median(differences), lower: quantile(differences, 0.25), upper: quantile(differences, 0.75) }
}

export const asPercent = ({ median: middle, lower, upper }: ReturnType<typeof relativeCost>): string => `${middle.toFixed(1)} % (${lower.toFixed(1)} to ${upper.toFixed(1)})`
