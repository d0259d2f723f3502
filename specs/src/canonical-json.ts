/** Neither quotation mark nor backslash nor control, and nothing that Unicode could write in two ways. */
const ordinary = /^[ !#-[\]-~]*$/

const quoted = (text: string): string => (ordinary.test(text) ? `"${text}"` : JSON.stringify(text.normalize('NFC')))

/**
 * Canonical JSON: sorted keys, no spaces, strings in Unicode NFC, `undefined` members left out. What is signed is the
 * UTF-8 of this text, so that every party derives the same bytes from the same object.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('canonical JSON holds finite numbers only')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`
  if (typeof value === 'object') return `{${membersOf(value as Record<string, unknown>)}}`
  throw new TypeError(`canonical JSON cannot hold a ${typeof value}`)
}

/** Sorted by code units, after normalisation: names that are ordinary already are as they will be. */
function membersOf(object: Record<string, unknown>): string {
  const names = Object.keys(object)
  const members = names.every((name) => ordinary.test(name))
    ? names.sort().map((name) => [name, object[name]] as const)
    : names.map((name) => [name.normalize('NFC'), object[name]] as const).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  let text = ''
  for (const [name, member] of members) if (member !== undefined) text += `${text === '' ? '' : ','}${quoted(name)}:${canonicalJson(member)}`
  return text
}
