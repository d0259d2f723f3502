import { attributeByKeyword, type Attribute, type Level } from './attributes.ts'
import type { Conditions } from './conditions.ts'
import { parsePredicate, type MatchingRules, type Predicate } from './predicate.ts'

export { Conditions } from './conditions.ts'
export { nameKey, parsePredicate, predicateHolds, type MatchingRules, type Predicate } from './predicate.ts'

type Match = Readonly<Record<string, string>>

/** The table that has an attribute, as our queries alias it. The study's row carries the patient's attributes too. */
const aliasOf: Readonly<Record<Level, string>> = { patient: 'study', study: 'study', series: 'series', instance: 'instance' }
const columnOf = ({ level, column }: Attribute): string => `${aliasOf[level]}.${column}`
const depthOf: Readonly<Record<Level, number>> = { patient: 0, study: 1, series: 2, instance: 3 }

export interface ParsedMatch {
  readonly attribute: Attribute
  readonly predicate: Predicate
}

/** Conditions that can be answered at `level`; the others are named by `unmatchedKeywords`. */
export function parseMatches(level: Level, match: Match, rules: MatchingRules = {}): ParsedMatch[] {
  return Object.entries(match).flatMap(([keyword, text]) => {
    const attribute = attributeByKeyword(keyword)
    return attribute && depthOf[attribute.level] <= depthOf[level] ? [{ attribute, predicate: parsePredicate(attribute.vr, text, rules) }] : []
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

/** Attributes of series by which studies are looked for as well (ARC-16): one series of the study has all of them. */
const facets: ReadonlySet<string> = new Set([
  'SeriesInstanceUID', 'Modality', 'BodyPartExamined', 'StationName', 'Manufacturer', 'ManufacturerModelName', 'SeriesDescription', 'ProtocolName',
]) // prettier-ignore

export interface HowToMatch extends MatchingRules {
  /**
   * The only indexed attribute of studies by which rows shall be found; all others are looked at in the rows that were found. Whatever the database
   * thinks better when it is left out.
   */
  readonly driver?: string | undefined
}

/** What a database might prefer to search by. */
const indexed: ReadonlySet<string> = new Set(['StudyInstanceUID', 'PatientID', 'AccessionNumber', 'PatientBirthDate', 'StudyDate', 'PatientName'])

export function addMatches(conditions: Conditions, level: Level, match: Match, how: HowToMatch = {}): void {
  const { driver } = how
  const parsed = parseMatches(level, match, how)
  const moments = how.combinedDateTime ? momentsOf(parsed) : []
  for (const { attribute, predicate } of parsed) {
    const { keyword, vr } = attribute
    const column = columnOf(attribute)
    if (moments.some(({ time }) => time.attribute === attribute)) continue
    if (attribute.sqlType === 'INTEGER') conditions.matchInteger(column, predicate)
    // An expression is found by no index.
    else if (driver !== undefined && keyword !== driver && indexed.has(keyword) && vr !== 'PN') conditions.match(`(${column} || '')`, predicate)
    else conditions.match(column, predicate)
  }
  for (const moment of moments) addMoment(conditions, moment)
  if (level === 'patient') return
  for (const [keyword, { vr, exists }] of Object.entries(withinStudy)) {
    const text = match[keyword]
    if (text === undefined) continue
    // Lists by comma are QIDO-RS usage for UIDs only, but senders use them for modalities too.
    const predicate = parsePredicate(vr, vr === 'CS' ? text.replaceAll(',', '\\') : text)
    if (predicate.kind === 'any') continue
    conditions.add(exists((column) => conditions.sqlOf(column, predicate) ?? '1 = 1'))
  }
  if (level === 'study') addFacets(conditions, match)
}

function addFacets(conditions: Conditions, match: Match): void {
  const wanted = [...facets].flatMap((keyword) => {
    const attribute = attributeByKeyword(keyword)
    const predicate = attribute && parsePredicate(attribute.vr, match[keyword] ?? '')
    return attribute && predicate && predicate.kind !== 'any' ? [conditions.sqlOf(`facet.${attribute.column}`, predicate)] : []
  })
  if (wanted.length > 0)
    conditions.add(`EXISTS (SELECT 1 FROM archive_series facet WHERE facet.study_instance_uid = study.study_instance_uid AND ${wanted.join(' AND ')})`)
}

interface Range {
  readonly attribute: Attribute
  readonly predicate: Extract<Predicate, { kind: 'range' }>
}

/** A date and its time, both asked for as ranges. */
interface Moments {
  readonly date: Range
  readonly time: Range
}

function momentsOf(parsed: readonly ParsedMatch[]): Moments[] {
  const ranges = new Map<string, Range>()
  for (const { attribute, predicate } of parsed) if (predicate.kind === 'range') ranges.set(attribute.keyword, { attribute, predicate })
  return [...ranges.values()].flatMap((date) => {
    const time = date.attribute.vr === 'DA' ? ranges.get(date.attribute.keyword.replace(/Date$/, 'Time')) : undefined
    return time ? [{ date, time }] : []
  })
}

/** Days of the range are found by their own condition already: times cut off its first and last day, and do not count in between. */
function addMoment(conditions: Conditions, { date, time }: Moments): void {
  const [day, hour] = [columnOf(date.attribute), columnOf(time.attribute)]
  const [first, last] = [date.predicate.from, date.predicate.to.replace('~', '')]
  const { from, to } = time.predicate
  if (first !== '' && from !== '') conditions.add(`(${day} > ${conditions.parameter(first)} OR ${hour} >= ${conditions.parameter(from)})`)
  if (last !== '' && to !== '') conditions.add(`(${day} < ${conditions.parameter(last)} OR ${hour} <= ${conditions.parameter(to)})`)
}

export function unmatchedKeywords(level: Level, match: Match): string[] {
  const known = new Set([...parseMatches(level, match).map(({ attribute }) => attribute.keyword), ...Object.keys(withinStudy), ...(level === 'study' ? facets : [])])
  return Object.entries(match).flatMap(([keyword, text]) => (known.has(keyword) || text.trim() === '' ? [] : [keyword]))
}
