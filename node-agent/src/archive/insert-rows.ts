import type { Queries, SqlValue } from 'service-kit'

export const placeholders = (count: number, from = 1): string => Array.from({ length: count }, (_each, index) => `$${from + index}`).join(', ')

/** One multi-row INSERT; `rows` all have the same columns. @param conflict what follows ON CONFLICT */
export async function insertRows(tx: Queries, table: string, rows: readonly Record<string, SqlValue>[], conflict: string): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
  // SQLite takes 32,766 parameters.
  const perStatement = Math.max(1, Math.floor(30_000 / Math.max(1, columns.length)))
  for (let from = 0; from < rows.length; from += perStatement) {
    const part = rows.slice(from, from + perStatement)
    const values = part.map((_row, index) => `(${placeholders(columns.length, index * columns.length + 1)})`).join(', ')
    await tx.run(
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${values} ON CONFLICT ${conflict}`,
      part.flatMap((row) => columns.map((column) => row[column] ?? null)),
    )
  }
}
