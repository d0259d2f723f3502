/** What the study list can show, in the order in which it does unless somebody has chosen otherwise. */
export const allColumns = ['patient', 'sexAge', 'accession', 'time', 'modality', 'description', 'bodyPart', 'devices', 'images', 'studyId', 'size', 'tier', 'campus', 'receivingNodes', 'received'] as const
export type StudyColumn = (typeof allColumns)[number]

export const usualColumns: readonly StudyColumn[] = ['patient', 'sexAge', 'accession', 'time', 'modality', 'description', 'bodyPart', 'devices', 'images', 'size']

const isColumn = (name: unknown): name is StudyColumn => allColumns.some((column) => column === name)

/** Columns as they were kept, whatever a former release kept; the usual ones when nothing of it is known. */
export function parseColumns(text: string | null): readonly StudyColumn[] {
  let kept: unknown
  try {
    kept = JSON.parse(text ?? '[]')
  } catch {
    kept = []
  }
  const columns = Array.isArray(kept) ? [...new Set(kept.filter(isColumn))] : []
  return columns.length > 0 ? columns : usualColumns
}

/** Shows a column behind the others, or hides it; the last one stays. */
export function toggled(columns: readonly StudyColumn[], column: StudyColumn): readonly StudyColumn[] {
  if (!columns.includes(column)) return [...columns, column]
  return columns.length === 1 ? columns : columns.filter((each) => each !== column)
}

/** Moves a column one place to the front (-1) or to the back (1). */
export function moved(columns: readonly StudyColumn[], column: StudyColumn, by: -1 | 1): readonly StudyColumn[] {
  const from = columns.indexOf(column)
  const to = from + by
  if (from < 0 || to < 0 || to >= columns.length) return columns
  const order = columns.filter((each) => each !== column)
  order.splice(to, 0, column)
  return order
}
