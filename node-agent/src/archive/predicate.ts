import { normalDate, normalTime } from '../dicom/header.ts'
import { hasWords, typedWords } from './name-words.ts'

/**
 * One matching condition of PS3.4 C.2.2.2, parsed from the text of a C-FIND identifier or a QIDO-RS parameter.
 * It is read twice: as SQL for the index, and on rows that are in memory already.
 */
export type Predicate =
  | { readonly kind: 'any' }
  | { readonly kind: 'one-of'; readonly values: readonly string[] }
  | { readonly kind: 'wildcard'; readonly pattern: string }
  /** Inclusive, either end may be ''. Values compare as text, as DICOM dates and times do. */
  | { readonly kind: 'range'; readonly from: string; readonly to: string }
  /** A person name: folded pattern for any one component group (PS3.4 C.2.2.2.1.1 leaves the choice of groups to us). */
  | { readonly kind: 'name'; readonly pattern: string }
  /** A person name of which somebody knows words, perhaps only how they sound (fuzzy semantic matching). */
  | { readonly kind: 'words'; readonly words: readonly string[] }
  /** Only what has no value (PS3.4 C.2.2.2.6, two quotation marks). */
  | { readonly kind: 'empty' }

/** What the asker has agreed upon beyond the basic rules. */
export interface MatchingRules {
  /** Names by their words, in any order, without accents, Chinese ones also as they are read. */
  readonly fuzzy?: boolean
  /** `""` asks for what has no value. */
  readonly emptyValues?: boolean
  /** A range of dates and one of times are one range of moments (PS3.4 C.2.2.2.5.1). */
  readonly combinedDateTime?: boolean
}

/** Full-width and half-width, upper and lower case are one; trailing empty components do not matter. */
export function nameKey(name: string): string {
  const groups = name
    .normalize('NFKC')
    .toLowerCase()
    .split('=')
    .map((group) =>
      group
        .replaceAll(/\s*\^\s*/g, '^')
        .trim()
        .replace(/\^+$/, ''),
    )
  return `=${groups.filter((group) => group !== '').join('=')}=`
}

const wildVrs = new Set(['AE', 'CS', 'LO', 'LT', 'SH', 'ST', 'UC', 'UR', 'UT', 'AS', 'IS', 'DS'])

export function parsePredicate(vr: string, text: string, rules: MatchingRules = {}): Predicate {
  const trimmed = text.trim()
  if (trimmed === '') return { kind: 'any' }
  if (trimmed === '""' && rules.emptyValues) return { kind: 'empty' }
  if (vr === 'PN') return parseName(trimmed, rules)
  if (vr === 'UI')
    return {
      kind: 'one-of',
      values: trimmed
        .split(/[\\,]/)
        .map((uid) => uid.trim())
        .filter(Boolean),
    }
  if (vr === 'DA') return parseRange(trimmed, normalDate)
  if (vr === 'TM') return parseRange(trimmed, normalTime)
  if (wildVrs.has(vr) && /[*?]/.test(trimmed))
    return trimmed.replaceAll('*', '') === '' ? { kind: 'any' } : { kind: 'wildcard', pattern: trimmed }
  return { kind: 'one-of', values: trimmed.split('\\').map((value) => value.trim()) }
}

function parseName(text: string, { fuzzy = false }: MatchingRules): Predicate {
  if (text.replaceAll('*', '') === '') return { kind: 'any' }
  const words = fuzzy ? typedWords(text) : []
  return words.length > 0 ? { kind: 'words', words } : { kind: 'name', pattern: nameKey(text).slice(1, -1) }
}

function parseRange(text: string, normal: (text: string) => string): Predicate {
  // 1994.01.30 and 1994-01-30 contain the sign of a range, but are one date.
  if (!text.includes('-') || /^\d{4}-\d{2}-\d{2}$/.test(text)) return { kind: 'range', from: normal(text), to: lastOf(normal(text)) }
  const [from = '', to = ''] = text.split('-', 2).map((end) => normal(end.trim()))
  return { kind: 'range', from, to: lastOf(to) }
}

/** `10` covers 10:59:59.999999: the end of a range includes all that begins with it. */
const lastOf = (end: string): string => (end === '' ? '' : `${end}~`)

const regexes = new Map<string, RegExp>()
function regexOf(pattern: string): RegExp {
  const known = regexes.get(pattern)
  if (known) return known
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.')
  const made = new RegExp(`^${source}$`, 'su')
  if (regexes.size > 200) regexes.clear()
  regexes.set(pattern, made)
  return made
}

/** Whether a value of a row in memory matches. Several values joined by `\` match when one of them does. */
export function predicateHolds(predicate: Predicate, value: string): boolean {
  switch (predicate.kind) {
    case 'any':
      return true
    case 'empty':
      return value === ''
    case 'name':
      return regexOf(`*=${predicate.pattern}=*`).test(nameKey(value))
    case 'words':
      return hasWords(nameKey(value), predicate.words)
    case 'one-of':
      return value.split('\\').some((each) => predicate.values.includes(each))
    case 'wildcard':
      return value.split('\\').some((each) => regexOf(predicate.pattern).test(each))
    case 'range':
      return value !== '' && (predicate.from === '' || value >= predicate.from) && (predicate.to === '' || value <= predicate.to)
  }
}

/** What a text that matches must begin with, as far as the pattern says; '' when it may begin with anything. */
export const beginningOf = (pattern: string): string => /^[^*?]*/.exec(pattern)?.[0] ?? ''
