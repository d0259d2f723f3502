import type { Database } from 'service-kit'
import { Problem } from 'specs'
import type { MatchQuery } from './archive.ts'
import { attributeByKeyword } from './attributes.ts'
import { Conditions } from './conditions.ts'
import { addMatches, unmatchedKeywords } from './matching.ts'
import { beginningOf, parsePredicate, type Predicate } from './predicate.ts'

/** What is known of the archive when a search begins. */
export interface SearchGround {
  readonly db: Database
  /** Whether names can be found by their words yet. */
  nameWords(): boolean
  /** About how many studies there are. */
  studies(): number
  /** LOOKED_AT unless told. */
  readonly lookedAt?: number
}

/** A key that so few studies have finds them at once; of one that more have, the newest are met soon enough on the way through all. */
const FEW = 8_000
/** Studies that a search may look at which no key narrows, the newest first. */
export const LOOKED_AT = 100_000

/** Keys that name somebody or something, the most telling first; each has an index. */
const telling = ['StudyInstanceUID', 'AccessionNumber', 'PatientID', 'PatientBirthDate'] as const

/** How studies are found: by one key that few have, by words of names that few have, or in their order, row after row. */
export type Way =
  | { readonly by: 'key'; readonly keyword: string }
  | { readonly by: 'name'; readonly sql: (conditions: Conditions) => string }
  /** `from`: the oldest day that is looked at; '' for all. */
  | { readonly by: 'order'; readonly from: string }

/**
 * Decides how a search goes, by counting a little: a database does not know how many patients are called so. Nothing of it changes what is found, only
 * whether it is found in time.
 */
export async function findWay(ground: SearchGround, query: MatchQuery): Promise<Way> {
  const { match = {} } = query
  for (const keyword of telling) {
    const predicate = predicateOf(match, keyword, query)
    if (predicate && isNarrow(predicate) && (keyword === 'StudyInstanceUID' || (await isFew(ground, keyword, predicate)))) return { by: 'key', keyword }
  }
  const names = namesSql(ground, predicateOf(match, 'PatientName', query))
  if (names && (await areFewNames(ground, names))) return { by: 'name', sql: names }
  return { by: 'order', from: await oldestDay(ground, query) }
}

function predicateOf(match: Readonly<Record<string, string>>, keyword: string, rules: MatchQuery): Predicate | undefined {
  const attribute = attributeByKeyword(keyword)
  const text = match[keyword]
  return attribute && text !== undefined ? parsePredicate(attribute.vr, text, rules) : undefined
}

/** Values themselves, or their beginning. */
function isNarrow(predicate: Predicate): boolean {
  if (predicate.kind === 'wildcard') return beginningOf(predicate.pattern) !== ''
  return predicate.kind === 'one-of' || (predicate.kind === 'range' && predicate.from !== '' && predicate.to !== '')
}

async function isFew({ db }: SearchGround, keyword: string, predicate: Predicate): Promise<boolean> {
  const conditions = new Conditions(db.dialect)
  conditions.match(`study.${attributeByKeyword(keyword)?.column ?? ''}`, predicate)
  return countsFew(db, `SELECT 1 AS one FROM archive_study study ${conditions.where}`, conditions)
}

/** Folded names that may match; undefined when the search is not by name. */
function namesSql(ground: SearchGround, predicate: Predicate | undefined): ((conditions: Conditions) => string) | undefined {
  if (predicate?.kind === 'words') {
    // The longest word is the rarest, more often than not.
    const word = [...predicate.words].sort((a, b) => b.length - a.length)[0] ?? ''
    return ground.nameWords() ? (conditions) => conditions.namesWith(word) : undefined
  }
  if (predicate?.kind !== 'name') return undefined
  const { pattern } = predicate
  const beginning = /^[^*?=]*/.exec(pattern)?.[0] ?? ''
  if (beginning !== '' && ground.nameWords()) return (conditions) => conditions.namesWith(beginning)
  // The middle of a name: names are fewer than studies, and shorter.
  return (conditions) => `SELECT patient_name_key FROM archive_patient WHERE ${conditions.nameLike('patient_name_key', pattern)}`
}

async function areFewNames({ db }: SearchGround, sql: (conditions: Conditions) => string): Promise<boolean> {
  const conditions = new Conditions(db.dialect)
  return countsFew(db, sql(conditions), conditions)
}

async function countsFew(db: Database, sql: string, { params }: Conditions): Promise<boolean> {
  const row = await db.get<{ n: number }>(`SELECT count(*) AS "n" FROM (${sql} LIMIT ${FEW + 1}) counted`, params)
  return Number(row?.n ?? 0) <= FEW
}

/** Where the way through the studies ends; '' when it may go to the end, as it may when every study matches. */
async function oldestDay({ db, studies, lookedAt = LOOKED_AT }: SearchGround, query: MatchQuery): Promise<string> {
  const { StudyDate = '', ...others } = query.match ?? {}
  const asksMore = Object.values(others).some((text) => text.trim() !== '') || query.regionId !== undefined || query.receivingNode !== undefined || query.campus !== undefined
  if (!asksMore || studies() <= lookedAt) return ''
  const conditions = new Conditions(db.dialect)
  addMatches(conditions, 'study', { StudyDate })
  const row = await db.get<{ day: string }>(
    `SELECT study.study_date AS "day" FROM archive_study study ${conditions.where} ORDER BY study.study_date DESC LIMIT 1 OFFSET ${lookedAt}`,
    conditions.params,
  )
  return row?.day ?? ''
}

/** UIDs of the studies that match, the newest first, as a query of its own for use in others. */
export function studyUidsSql(conditions: Conditions, query: MatchQuery, way: Way): string {
  addMatches(conditions, 'study', query.match ?? {}, { ...query, driver: driverOf(way) })
  if (way.by === 'name') conditions.add(`study.patient_name_key IN (${way.sql(conditions)})`)
  if (way.by === 'order' && way.from !== '') conditions.add(`study.study_date >= ${conditions.parameter(way.from)}`)
  conditions.matchRegion('study', query.regionId)
  conditions.matchReceiver('study', query.receivingNode)
  conditions.matchCampus('study', query.campus)
  // Sorted by an expression, no index in that order tempts the database to go through all.
  const order = way.by === 'order' ? 'study.study_date DESC, study.study_time DESC' : `(study.study_date || '') DESC, (study.study_time || '') DESC`
  return `SELECT study.study_instance_uid AS "uid" FROM archive_study study ${conditions.where} ORDER BY ${order}, study.study_instance_uid ${page(conditions, query)}`
}

function driverOf(way: Way): string {
  if (way.by === 'key') return way.keyword
  return way.by === 'name' ? 'PatientName' : 'StudyDate'
}

export function page(conditions: Conditions, { limit, offset }: { readonly limit?: number | undefined; readonly offset?: number | undefined }): string {
  return `${limit === undefined ? '' : `LIMIT ${conditions.parameter(limit)}`} ${offset ? `${limit === undefined && conditions.dialect === 'sqlite' ? 'LIMIT -1 ' : ''}OFFSET ${conditions.parameter(offset)}` : ''}`
}

/**
 * An answer that may lack older studies is none.
 * @throws {Problem} archive/query-too-broad, when the search ended before the page was full.
 */
export function requireWhole(way: Way, { limit }: MatchQuery, found: number): void {
  if (way.by === 'order' && way.from !== '' && (limit === undefined || found < limit)) throw tooBroad({ backTo: way.from })
}

/** @param facts how far it went */
export const tooBroad = (facts: Readonly<Record<string, unknown>>): Problem =>
  new Problem('archive/query-too-broad', { ...facts, narrowBy: ['PatientID', 'PatientName', 'AccessionNumber', 'StudyDate', 'StudyInstanceUID'] })

/** Keys of a search that studies can be chosen by. */
export function studyKeys(match: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(match).filter(([keyword]) => unmatchedKeywords('study', { [keyword]: 'x' }).length === 0))
}
