import type { AuditRow } from 'specs'

/** Who a record is of, as a person reads it. */
export const actorText = ({ actor }: AuditRow): string => actor.name || actor.id

/** What it is about: `检查 …`; a list of many has no name of its own. The patient's own number is never in the trail. */
export const objectText = ({ object }: AuditRow, typeText: (type: string) => string): string => (object ? `${typeText(object.type)} ${object.id === '*' ? '' : object.id}`.trim() : '')

/** Old and new values side by side, field by field; what did not change is left out. */
export function changesOf(before: unknown, after: unknown): { field: string; before: string; after: string }[] {
  const [old, now] = [fieldsOf(before), fieldsOf(after)]
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .map((field) => ({ field, before: textOf(old[field]), after: textOf(now[field]) }))
    .filter((change) => change.before !== change.after)
}

const fieldsOf = (value: unknown): Record<string, unknown> => {
  if (value === undefined || value === null) return {}
  return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : { '': value }
}
export const textOf = (value: unknown): string => (value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value))
