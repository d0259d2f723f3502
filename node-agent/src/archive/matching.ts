import type { Database, SqlValue } from 'service-kit'
import { normalDate, normalTime } from '../dicom/header.ts'
import { attributeByKeyword, type Attribute, type Level } from './attributes.ts'

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

export function parsePredicate(vr: string, text: string): Predicate {
  const trimmed = text.trim()
  if (trimmed === '') return { kind: 'any' }
  if (vr === 'PN') return trimmed.replaceAll('*', '') === '' ? { kind: 'any' } : { kind: 'name', pattern: nameKey(trimmed).slice(1, -1) }
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
  if (predicate.kind === 'any') return true
  if (predicate.kind === 'name') return regexOf(`*=${predicate.pattern}=*`).test(nameKey(value))
  const values = value.split('\\')
  if (predicate.kind === 'one-of') return values.some((each) => predicate.values.includes(each))
  if (predicate.kind === 'wildcard') return values.some((each) => regexOf(predicate.pattern).test(each))
  return value !== '' && (predicate.from === '' || value >= predicate.from) && (predicate.to === '' || value <= predicate.to)
}

/** Collects conditions and their numbered parameters. */
export class Conditions {
  readonly dialect: Database['dialect']
  readonly #clauses: string[] = []
  readonly params: SqlValue[] = []

  constructor(dialect: Database['dialect']) {
    this.dialect = dialect
  }

  parameter(value: SqlValue): string {
    this.params.push(value)
    return `$${this.params.length}`
  }

  /** `sql` is ours, never a caller's text. */
  add(sql: string): void {
    this.#clauses.push(sql)
  }

  match(column: string, predicate: Predicate): void {
    const sql = this.sqlOf(column, predicate)
    if (sql !== undefined) this.add(sql)
  }

  matchRegion(alias: string, regionId: string | undefined): void {
    if (regionId !== undefined) this.add(`${alias}.region_id = ${this.parameter(regionId)}`)
  }

  /** Integer columns hold null for what was no number. */
  matchInteger(column: string, predicate: Predicate): void {
    if (predicate.kind !== 'one-of') return
    const numbers = predicate.values.filter((value) => /^\d{1,9}$/.test(value)).map(Number)
    this.add(numbers.length === 0 ? '1 = 0' : `${column} IN (${numbers.map((value) => this.parameter(value)).join(', ')})`)
  }

  /** The condition alone, its parameters already counted; `undefined` when it matches everything. */
  sqlOf(column: string, predicate: Predicate): string | undefined {
    switch (predicate.kind) {
      case 'any':
        return undefined
      case 'one-of':
        return predicate.values.length === 0
          ? '1 = 0'
          : `${column} IN (${predicate.values.map((value) => this.parameter(value)).join(', ')})`
      case 'wildcard':
        return this.#wildcard(column, predicate.pattern)
      case 'range':
        return [
          `${column} <> ''`,
          ...(predicate.from ? [`${column} >= ${this.parameter(predicate.from)}`] : []),
          ...(predicate.to ? [`${column} <= ${this.parameter(predicate.to)}`] : []),
        ].join(' AND ')
      case 'name':
        // The key is `=alphabetic=ideographic=phonetic=`, folded, so LIKE's idea of case does not matter.
        return `${column}_key LIKE ${this.parameter(`%=${likePattern(predicate.pattern)}=%`)} ESCAPE '!'`
    }
  }

  /** SQLite's LIKE ignores case, PostgreSQL has no GLOB: each in its own way case-sensitive, as PS3.4 C.2.2.2.4 says. */
  #wildcard(column: string, pattern: string): string {
    if (this.dialect === 'sqlite') return `${column} GLOB ${this.parameter(pattern.replaceAll('[', '[[]'))}`
    return `${column} LIKE ${this.parameter(likePattern(pattern))} ESCAPE '!'`
  }

  get where(): string {
    return this.#clauses.length === 0 ? '' : `WHERE ${this.#clauses.join(' AND ')}`
  }
}

const likePattern = (pattern: string): string => pattern.replaceAll(/[!%_]/g, '!$&').replaceAll(/\*+/g, '%').replaceAll('?', '_')

/** The table that has an attribute, as our queries alias it. The study's row carries the patient's attributes too. */
const aliasOf: Readonly<Record<Level, string>> = { patient: 'study', study: 'study', series: 'series', instance: 'instance' }
const depthOf: Readonly<Record<Level, number>> = { patient: 0, study: 1, series: 2, instance: 3 }

export interface ParsedMatch {
  readonly attribute: Attribute
  readonly predicate: Predicate
}

/** Conditions that can be answered at `level`; the others are named by `unmatchedKeywords`. */
export function parseMatches(level: Level, match: Readonly<Record<string, string>>): ParsedMatch[] {
  return Object.entries(match).flatMap(([keyword, text]) => {
    const attribute = attributeByKeyword(keyword)
    return attribute && depthOf[attribute.level] <= depthOf[level] ? [{ attribute, predicate: parsePredicate(attribute.vr, text) }] : []
  })
}

/** ModalitiesInStudy and SOPClassesInStudy ask whether there is such a series or instance (PS3.4 C.6.2.1). */
const withinStudy: Readonly<Record<string, { vr: string; exists: (condition: (column: string) => string) => string }>> = {
  ModalitiesInStudy: {
    vr: 'CS',
    exists: (condition) =>
      `EXISTS (SELECT 1 FROM archive_series inner_series WHERE inner_series.study_instance_uid = study.study_instance_uid AND ${condition('inner_series.modality')})`,
  },
  SOPClassesInStudy: {
    vr: 'UI',
    exists: (condition) =>
      `EXISTS (SELECT 1 FROM archive_series_class inner_class WHERE inner_class.study_instance_uid = study.study_instance_uid AND ${condition('inner_class.sop_class_uid')})`,
  },
}

export function addMatches(conditions: Conditions, level: Level, match: Readonly<Record<string, string>>): void {
  for (const { attribute, predicate } of parseMatches(level, match)) {
    const column = `${aliasOf[attribute.level]}.${attribute.column}`
    if (attribute.sqlType === 'INTEGER') conditions.matchInteger(column, predicate)
    else conditions.match(column, predicate)
  }
  for (const [keyword, { vr, exists }] of Object.entries(withinStudy)) {
    const text = match[keyword]
    if (text === undefined || level === 'patient') continue
    // Lists by comma are QIDO-RS usage for UIDs only, but senders use them for modalities too.
    const predicate = parsePredicate(vr, vr === 'CS' ? text.replaceAll(',', '\\') : text)
    if (predicate.kind === 'any') continue
    conditions.add(exists((column) => conditions.sqlOf(column, predicate) ?? '1 = 1'))
  }
}

export function unmatchedKeywords(level: Level, match: Readonly<Record<string, string>>): string[] {
  const known = new Set([...parseMatches(level, match).map(({ attribute }) => attribute.keyword), ...Object.keys(withinStudy)])
  return Object.entries(match).flatMap(([keyword, text]) => (known.has(keyword) || text.trim() === '' ? [] : [keyword]))
}
