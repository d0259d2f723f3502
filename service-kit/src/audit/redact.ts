/** Fields whose content never enters the trail (access-control rule "content"): a mark shows that there was something. */
const secret = /passw|passphrase|secret|token|credential|private.?key|otp|cookie|authorization|bearer|pin$|join.?code|extraction.?code|recovery.?code|^code$|seed/i
const personal = /id.?card|id.?number|identity.?(?:no|number|card)|citizen|passport|phone|mobile|^tel|telephone|address|email|医保|身份证|手机|电话|住址|insurance/i
/** DICOM keywords and our own names of the patient's identifiers: what identifies is replaced by a keyed hash, so that a change still shows. */
const identifier = /^patient.?id$|^other.?patient.?ids|medical.?record.?no/i

/** 身份证 and 手机 inside free text (GB 11643 form; 11 digits beginning 13–19). */
const idNumber = /(?<!\d)[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)/g
const mobile = /(?<!\d)1[3-9]\d{9}(?!\d)/g

const MAX_TEXT = 4_000
const MAX_DEPTH = 8
const MAX_ITEMS = 200

export interface Redaction {
  /** Keyed hash of an identifier. */
  readonly hash: (text: string) => string
}

/**
 * Cleans a value for the trail: secrets and personal numbers are left out by the names of their fields, identity and telephone numbers are
 * struck out of texts, identifiers become keyed hashes. Long texts and lists are cut. @returns plain JSON.
 */
export function redact(value: unknown, { hash }: Redaction): unknown {
  return clean(value, '', 0)

  function clean(item: unknown, field: string, depth: number): unknown {
    if (item === undefined || typeof item === 'function' || typeof item === 'symbol') return undefined
    if (item === null || typeof item === 'boolean') return item
    if (typeof item === 'number') return secret.test(field) || personal.test(field) ? '***' : Number.isFinite(item) ? item : String(item)
    if (typeof item === 'bigint') return String(item)
    // EmergencyAddress and the like hold objects, too: everything below such a name is left out.
    if (secret.test(field) || personal.test(field)) return item === '' ? '' : '***'
    if (typeof item === 'string') return identifier.test(field) && item !== '' ? `#${hash(item)}` : cleanText(item)
    if (item instanceof Uint8Array) return `(${item.length} bytes)`
    if (item instanceof Date) return item.toISOString()
    if (depth >= MAX_DEPTH) return '…'
    if (Array.isArray(item)) return item.slice(0, MAX_ITEMS).map((each) => clean(each, field, depth + 1) ?? null)
    return Object.fromEntries(
      Object.entries(item)
        .slice(0, MAX_ITEMS)
        .map(([key, member]) => [key, clean(member, key, depth + 1)])
        .filter(([, member]) => member !== undefined),
    )
  }
}

/**
 * What a terminal would obey (C0 but tab and line feed, DEL, C1), what some readers take for the end of a line, and what turns the order of
 * the letters round: whoever reads the trail sees what is written there.
 */
export const withoutControls = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ')

/** A text as the trail may keep it. */
export function cleanText(text: string): string {
  const cut = withoutControls(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text)
  return cut.replace(idNumber, (found) => `${found.slice(0, 6)}********${found.slice(-4)}`).replace(mobile, (found) => `${found.slice(0, 3)}****${found.slice(-4)}`)
}
