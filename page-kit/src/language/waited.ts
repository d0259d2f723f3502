/** How long somebody has waited, in the largest unit that fits; keys of the text table. */
export function waited(milliseconds: number): { unit: 'seconds' | 'minutes' | 'hours' | 'days'; n: number } {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000))
  if (seconds < 60) return { unit: 'seconds', n: seconds }
  if (seconds < 3_600) return { unit: 'minutes', n: Math.floor(seconds / 60) }
  if (seconds < 48 * 3_600) return { unit: 'hours', n: Math.floor(seconds / 3_600) }
  return { unit: 'days', n: Math.floor(seconds / 86_400) }
}
