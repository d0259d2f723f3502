/** Viewports side by side: columns × rows. */
export const layouts = { '1x1': { columns: 1, rows: 1 }, '1x2': { columns: 2, rows: 1 }, '2x2': { columns: 2, rows: 2 } } as const
export type LayoutName = keyof typeof layouts
export const layoutNames = Object.keys(layouts) as LayoutName[]

export function paneCount(layout: LayoutName): number {
  return layouts[layout].columns * layouts[layout].rows
}

/**
 * Fills the viewports of a layout: what is shown stays, empty ones take the following series that no viewport shows yet.
 *
 * @returns For each viewport the id of its display set.
 */
export function fillPanes(
  shown: readonly (string | undefined)[],
  available: readonly string[],
  layout: LayoutName,
): readonly (string | undefined)[] {
  const kept = shown.slice(0, paneCount(layout))
  const firstShown = available.indexOf(kept[0] ?? '')
  const inOrder = [...available.slice(firstShown + 1), ...available.slice(0, firstShown + 1)]
  const free = inOrder.filter((id) => !kept.includes(id))
  return Array.from({ length: paneCount(layout) }, (_, index) => kept[index] ?? free.shift())
}
