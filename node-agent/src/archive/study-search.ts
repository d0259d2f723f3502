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
/** So many names are handed on one by one. */
const LISTED = 1_000
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
  const names = nameSearch(ground, predicateOf(match, 'PatientName', query))
  const few = names && (await fewNames(ground, names))
  if (few) return { by: 'name', sql: few }
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

/** How folded names are found that may match. */
interface NameSearch {
  readonly sql: (conditions: Conditions) => string
  /** By an index of words; otherwise every name is looked at. */
  readonly isIndexed: boolean
}

function nameSearch(ground: SearchGround, predicate: Predicate | undefined): NameSearch | undefined {
  if (predicate?.kind === 'words')
    return ground.nameWords() ? { isIndexed: true, sql: (conditions) => predicate.words.map((word) => conditions.namesWith(word)).join(' INTERSECT ') } : undefined
  if (predicate?.kind !== 'name') return undefined
  const { pattern } = predicate
  const beginning = /^[^*?=]*/.exec(pattern)?.[0] ?? ''
  if (beginning !== '' && ground.nameWords()) return { isIndexed: true, sql: (conditions) => conditions.namesWith(beginning) }
  // The middle of a name: names are fewer than studies, and shorter.
  return { isIndexed: false, sql: (conditions) => `SELECT patient_name_key AS "name_key" FROM archive_patient WHERE ${conditions.nameLike('patient_name_key', pattern)}` }
}

/** The names, where neither they nor the studies under them are many: of one name there may be hundreds. */
async function fewNames({ db }: SearchGround, { sql, isIndexed }: NameSearch): Promise<((conditions: Conditions) => string) | undefined> {
  const finding = new Conditions(db.dialect)
  const names = await db.all<{ name: string }>(`SELECT name_key AS "name" FROM (${sql(finding)} LIMIT ${LISTED + 1}) found`, finding.params)
  const distinct = [...new Set(names.map(({ name }) => name))]
  const isListed = names.length <= LISTED
  if (!isListed && !isIndexed) return undefined
  const among = isListed ? (conditions: Conditions) => (distinct.length === 0 ? 'NULL' : distinct.map((name) => conditions.parameter(name)).join(', ')) : sql
  const counting = new Conditions(db.dialect)
  const isFew = await countsFew(db, `SELECT 1 AS one FROM archive_study study WHERE study.patient_name_key IN (${among(counting)})`, counting)
  return isFew ? among : undefined
}

async function countsFew(db: Database, sql: string, { params }: Conditions): Promise<boolean> {
  const row = await db.get<{ n: number }>(`SELECT count(*) AS "n" FROM (${sql} LIMIT ${FEW + 1}) counted`, params)
  return Number(row?.n ?? 0) <= FEW
}

/** Where the way through the studies ends; '' when it may go to the end, as it may when every study matches. */
async function oldestDay({ db, studies, lookedAt = LOOKED_AT }: SearchGround, query: MatchQuery): Promise<string> {
  const { StudyDate = '', PatientName = '', ...others } = query.match ?? {}
  // Of a name that many have, the index of the order tells row by row.
  if (PatientName.replaceAll('*', '').trim() !== '') return ''
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
