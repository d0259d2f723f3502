import type { Database, SqlValue } from 'service-kit'
import { beginningOf, type Predicate } from './predicate.ts'

const likePattern = (pattern: string): string => pattern.replaceAll(/[!%_]/g, '!$&').replaceAll(/\*+/g, '%').replaceAll('?', '_')
/** Behind every text that begins like this one. */
const behind = (text: string): string => `${text}\u{10ffff}`

/** Collects conditions and their numbered parameters. */
export class Conditions {
  readonly dialect: Database['dialect']
  /** Whether names can be found by their words yet (name-words.ts). */
  readonly nameWords: boolean
  readonly #clauses: string[] = []
  readonly params: SqlValue[] = []

  constructor(dialect: Database['dialect'], nameWords = false) {
    this.dialect = dialect
    this.nameWords = nameWords
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

  /** What came at one receiving node (FED-19): a study, or whatever belongs to one. */
  /** @param alias of a table that has the column: studies, series. */
  matchCampus(alias: string, campus: string | undefined): void {
    if (campus !== undefined) this.add(`${alias}.campus = ${this.parameter(campus)}`)
  }

  matchCampusOfStudy(alias: string, campus: string | undefined): void {
    if (campus !== undefined) this.add(`${alias}.study_instance_uid IN (SELECT placed.study_instance_uid FROM archive_study placed WHERE placed.campus = ${this.parameter(campus)})`)
  }

  matchReceiver(alias: string, receivingNode: string | undefined): void {
    if (receivingNode === undefined) return
    this.add(`${alias}.study_instance_uid IN (SELECT receiver.study_instance_uid FROM archive_study_receiver receiver WHERE receiver.receiving_node = ${this.parameter(receivingNode)})`)
  }

  /** Patients with a study that came there. */
  matchReceiverOfPatient(alias: string, receivingNode: string | undefined): void {
    if (receivingNode === undefined) return
    this.add(
      `EXISTS (SELECT 1 FROM archive_study sent JOIN archive_study_receiver receiver ON receiver.study_instance_uid = sent.study_instance_uid
         WHERE sent.patient_key = ${alias}.patient_key AND receiver.receiving_node = ${this.parameter(receivingNode)})`,
    )
  }

  /** Integer columns hold null for what was no number. */
  matchInteger(column: string, predicate: Predicate): void {
    if (predicate.kind === 'empty') this.add(`${column} IS NULL`)
    if (predicate.kind !== 'one-of') return
    const numbers = predicate.values.filter((value) => /^\d{1,9}$/.test(value)).map(Number)
    this.add(numbers.length === 0 ? '1 = 0' : `${column} IN (${numbers.map((value) => this.parameter(value)).join(', ')})`)
  }

  /** The condition alone, its parameters already counted; `undefined` when it matches everything. @param column of a name: without `_key` */
  sqlOf(column: string, predicate: Predicate): string | undefined {
    switch (predicate.kind) {
      case 'any':
        return undefined
      case 'empty':
        return `${column} = ''`
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
        return this.nameLike(`${column}_key`, predicate.pattern)
      case 'words':
        return predicate.words.map((word) => this.#word(column, word)).join(' AND ')
    }
  }

  /** The key is `=alphabetic=ideographic=phonetic=`, folded, so LIKE's idea of case does not matter. */
  nameLike(column: string, pattern: string): string {
    return `${column} LIKE ${this.parameter(`%=${likePattern(pattern)}=%`)} ESCAPE '!'`
  }

  /** Only names of patients are taken apart into words; of others every part of the name counts. */
  #word(column: string, word: string): string {
    if (this.nameWords && column.endsWith('patient_name')) return `(${column}_key || '') IN (${this.namesWith(word)})`
    return `${column}_key LIKE ${this.parameter(`%${likePattern(word)}%`)} ESCAPE '!'`
  }

  /** Folded names of which a word begins like this. */
  namesWith(word: string): string {
    return `SELECT name_key FROM archive_name_word WHERE ${this.begins('word', word)}`
  }

  /** A condition that an index on the column answers. */
  begins(column: string, text: string): string {
    // PostgreSQL sorts by the rules of a language, and has operator classes for this; SQLite sorts by bytes.
    if (this.dialect === 'postgres') return `${column} LIKE ${this.parameter(`${likePattern(text)}%`)} ESCAPE '!'`
    return `${column} >= ${this.parameter(text)} AND ${column} < ${this.parameter(behind(text))}`
  }

  /** SQLite's LIKE ignores case, PostgreSQL has no GLOB: each in its own way case-sensitive, as PS3.4 C.2.2.2.4 says. */
  #wildcard(column: string, pattern: string): string {
    if (this.dialect === 'postgres') return `${column} LIKE ${this.parameter(likePattern(pattern))} ESCAPE '!'`
    const glob = `${column} GLOB ${this.parameter(pattern.replaceAll('[', '[[]'))}`
    const beginning = beginningOf(pattern)
    return beginning === '' ? glob : `${this.begins(column, beginning)} AND ${glob}`
  }

  get where(): string {
    return this.#clauses.length === 0 ? '' : `WHERE ${this.#clauses.join(' AND ')}`
  }
}
