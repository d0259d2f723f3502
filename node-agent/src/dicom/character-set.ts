import { Buffer } from 'node:buffer'
import { TextDecoder } from 'node:util'

/** Turns bytes of one dataset's text elements into Unicode, by its Specific Character Set (0008,0005). */
export interface CharacterSet {
  /** The whole element, still with its `\` separators: decode before splitting, for 5C may be half of a character. */
  decode(bytes: Uint8Array): string
}

type Decode = (bytes: Buffer) => string

const label =
  (encoding: string): Decode =>
  (bytes) =>
    decoderOf(encoding).decode(bytes)
const decoders = new Map<string, TextDecoder>()
function decoderOf(encoding: string): TextDecoder {
  const known = decoders.get(encoding)
  if (known) return known
  const made = new TextDecoder(encoding, { ignoreBOM: true })
  decoders.set(encoding, made)
  return made
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const strictGb18030 = new TextDecoder('gb18030', { fatal: true, ignoreBOM: true })
const latin1: Decode = (bytes) => bytes.toString('latin1')

/** JIS X 0201: Latin half as ASCII, half-width katakana above. */
const jisX0201: Decode = (bytes) =>
  Array.from(bytes, (byte) => String.fromCharCode(byte >= 0xa1 && byte <= 0xdf ? 0xff61 + byte - 0xa1 : byte)).join('')
/** 94×94 sets called into G0 are EUC with the high bits off. */
const eucFromG0 = (bytes: Buffer, lead: number[]): string => {
  const euc: number[] = []
  for (let at = 0; at + 1 < bytes.length; at += 2) euc.push(...lead, (bytes[at] ?? 0) | 0x80, (bytes[at + 1] ?? 0) | 0x80)
  return decoderOf('euc-jp').decode(Uint8Array.from(euc))
}

/** PS3.3 C.12.1.1.2, Tables C.12-2 to C.12-5, by the number in the defined term. */
const byNumber: Readonly<Record<string, Decode>> = {
  '100': latin1,
  '101': label('iso-8859-2'),
  '109': label('iso-8859-3'),
  '110': label('iso-8859-4'),
  '144': label('iso-8859-5'),
  '127': label('iso-8859-6'),
  '126': label('iso-8859-7'),
  '138': label('iso-8859-8'),
  '148': label('iso-8859-9'),
  '203': label('iso-8859-15'),
  '166': label('windows-874'),
  '13': jisX0201,
  '149': label('euc-kr'),
  '58': label('gb18030'),
  '192': label('utf-8'),
}
/** Terms without a number, real ones and those of careless devices. */
const byName: Readonly<Record<string, Decode>> = {
  GB18030: label('gb18030'),
  GBK: label('gb18030'),
  GB2312: label('gb18030'),
  'UTF 8': label('utf-8'),
  UTF8: label('utf-8'),
  'SHIFT JIS': label('shift_jis'),
}

/** Escape sequences of PS3.3 Tables C.12-3 and C.12-4: hex after ESC → which half they fill and how it reads. */
const escapes: Readonly<Record<string, { readonly g: 0 | 1; readonly decode?: Decode; readonly wide?: true }>> = {
  '2842': { g: 0 },
  '284a': { g: 0 },
  '2442': { g: 0, wide: true, decode: (bytes) => eucFromG0(bytes, []) },
  '242844': { g: 0, wide: true, decode: (bytes) => eucFromG0(bytes, [0x8f]) },
  '2d41': { g: 1, decode: latin1 },
  '2d42': { g: 1, decode: byNumber['101'] },
  '2d43': { g: 1, decode: byNumber['109'] },
  '2d44': { g: 1, decode: byNumber['110'] },
  '2d4c': { g: 1, decode: byNumber['144'] },
  '2d47': { g: 1, decode: byNumber['127'] },
  '2d46': { g: 1, decode: byNumber['126'] },
  '2d48': { g: 1, decode: byNumber['138'] },
  '2d4d': { g: 1, decode: byNumber['148'] },
  '2d62': { g: 1, decode: byNumber['203'] },
  '2d54': { g: 1, decode: byNumber['166'] },
  '2949': { g: 1, decode: jisX0201 },
  '242943': { g: 1, decode: byNumber['149'] },
  '242941': { g: 1, decode: byNumber['58'] },
}

const ESC = 0x1b
// ^ = \ TAB LF FF CR end a run of a called set (PS3.5 6.1.2.5.3).
const delimiters = new Set([0x5e, 0x3d, 0x5c, 0x09, 0x0a, 0x0c, 0x0d])

function escapeAt(bytes: Buffer, at: number) {
  for (const length of [2, 3]) {
    const found = escapes[bytes.toString('hex', at + 1, at + 1 + length)]
    if (found) return { ...found, length: 1 + length }
  }
  return undefined
}

/** ISO 2022: cuts the text into runs of one set each. `initial` is the set of the first value; undefined when that is plain ASCII. */
function decodeIso2022(bytes: Buffer, initial: Decode | undefined): string {
  let text = ''
  let g0: Decode | undefined
  let g1 = initial
  let start = 0
  let at = 0
  const flush = (end: number) => {
    if (end > start) text += (g0 ?? g1 ?? decodeUndeclared)(bytes.subarray(start, end))
    start = end
  }
  while (at < bytes.length) {
    const byte = bytes[at] ?? 0
    const escape = byte === ESC ? escapeAt(bytes, at) : undefined
    if (escape) {
      flush(at)
      if (escape.g === 0) g0 = escape.decode
      else [g0, g1] = [undefined, escape.decode]
      at += escape.length
      start = at
    } else if (g0) at += 2
    else if (delimiters.has(byte) && g1 !== initial && initial) {
      flush(at)
      // With no set of its own to fall back to, a device that forgets to repeat the escape is still understood.
      g1 = initial
      at += 1
    } else at += g1 && isWide(g1) && byte >= 0x81 ? 2 : 1
  }
  flush(bytes.length)
  return text
}

const isWide = (decode: Decode): boolean => decode === byNumber['149'] || decode === byNumber['58']

const hasHighBytes = (bytes: Buffer): boolean => bytes.some((byte) => byte >= 0x80)

/** No character set is declared, yet there is one: devices send UTF-8 or GB18030 (interop notes 3.1). */
function decodeUndeclared(bytes: Buffer): string {
  return tryDecode(strictUtf8, bytes) ?? tryDecode(strictGb18030, bytes) ?? latin1(bytes)
}

/** Declared Latin-1 may be the vendor's default around UTF-8 or GB2312 text; real Latin-1 must stay what it is. */
function decodeLatin1(bytes: Buffer): string {
  if (!hasHighBytes(bytes)) return latin1(bytes)
  const utf8 = tryDecode(strictUtf8, bytes)
  if (utf8 !== undefined) return utf8
  return looksLikeGb2312(bytes) ? decoderOf('gb18030').decode(bytes) : latin1(bytes)
}

/** High bytes only in pairs of a hanzi's rows, at least one of them of level 1 (B0–D7), where Latin-1 has signs and capitals. */
function looksLikeGb2312(bytes: Buffer): boolean {
  let common = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const lead = bytes[at] ?? 0
    if (lead < 0x80) continue
    const trail = bytes[at + 1] ?? 0
    if (lead < 0xb0 || lead > 0xf7 || trail < 0xa1) return false
    if (lead <= 0xd7) common += 1
    at += 1
  }
  return common > 0
}

function tryDecode(decoder: TextDecoder, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

function numberOf(term: string): string | undefined {
  return /^ISO (?:2022 )?IR (\d+)$/.exec(term)?.[1]
}

function decodeOf(term: string): Decode | undefined {
  const number = numberOf(term)
  return number === undefined ? byName[term] : byNumber[number]
}

/**
 * @param declared value of (0008,0005) as text, e.g. `ISO 2022 IR 6\ISO 2022 IR 58`; '' when absent. Spelling mistakes seen
 * in the field (`ISO-IR 100`, `ISO_IR_192`) are understood; unknown terms are treated as undeclared.
 * @see PS3.3 C.12.1.1.2, PS3.5 6.1
 */
export function characterSet(declared: string): CharacterSet {
  const terms = declared.split('\\').map((term) =>
    term
      .toUpperCase()
      .replaceAll(/[-_ ]+/g, ' ')
      .trim(),
  )
  const first = terms[0] ?? ''
  const initial = decodeOf(first)
  // Where JIS X 0201 is the only set, devices mean Shift-JIS, which contains it.
  const single = initial === latin1 ? decodeLatin1 : initial === jisX0201 ? label('shift_jis') : (initial ?? decodeUndeclared)
  return {
    decode(bytes) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      // Escapes are followed even when only one term was declared: senders forget the second one.
      const hasEscape = buffer.includes(ESC) && first !== 'ISO IR 192' && byName[first] === undefined
      return hasEscape ? decodeIso2022(buffer, initial) : single(buffer)
    },
  }
}

/** Text of an element without its padding; control characters other than line breaks and tabs are dropped. */
export function cleanText(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b\u000e-\u001f\u007f]/g, '').trim()
}

/** PS3.5 6.2: which VRs follow Specific Character Set. */
export const textVrs: ReadonlySet<string> = new Set(['SH', 'LO', 'ST', 'LT', 'UC', 'UT', 'PN'])
