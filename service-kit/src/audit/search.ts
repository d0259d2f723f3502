import { AuditRecord, describeAction, Problem, type AuditAction, type AuditOutcome, type AuditPage, type AuditRow } from 'specs'
import type { Database, SqlValue } from '../database/index.ts'

export interface AuditFilter {
  readonly from?: number | undefined
  readonly until?: number | undefined
  readonly actorId?: string | undefined
  readonly action?: readonly AuditAction[] | undefined
  readonly outcome?: readonly AuditOutcome[] | undefined
  readonly objectType?: string | undefined
  readonly objectId?: string | undefined
  /** Any of these objects or this patient: "who looked at this patient" also finds events that named a study only. */
  readonly patient?: { readonly key: string; readonly objectIds: readonly string[] } | undefined
  readonly sourceIp?: string | undefined
  readonly owner?: string | undefined
}

interface Stored {
  readonly seq: number
  readonly at: number
  readonly body: string
  readonly hash: string
}

/** Newest first, by key. Each filter alone has an index that ends in the order of the answer, so that a page is a short read at any size. */
export async function searchTrail(db: Database, filter: AuditFilter, page: { limit: number; after?: string | undefined }): Promise<AuditPage> {
  if (filter.patient && filter.patient.objectIds.length > 0) return searchPatient(db, filter, page)
  const { where, params } = conditionOf(db.dialect, filter)
  const wanted = [...where]
  if (page.after !== undefined) wanted.push(olderThan(page.after, params))
  params.push(page.limit + 1)
  const condition = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`
  const rows = await db.all<Stored>(`SELECT seq, at, body, hash FROM audit_record ${condition} ORDER BY at DESC, seq DESC LIMIT $${params.length}`, params)
  return pageOf(rows, page.limit)
}

/** One question per index, merged: an OR over two columns would read the whole table. */
async function searchPatient(db: Database, filter: AuditFilter, page: { limit: number; after?: string | undefined }): Promise<AuditPage> {
  const { patient, ...rest } = filter
  if (patient === undefined) return { rows: [], next: null }
  const questions: AuditFilter[] = [{ ...rest, patient: { key: patient.key, objectIds: [] } }, ...patient.objectIds.slice(0, 200).map((objectId) => ({ ...rest, objectId }))]
  const found = new Map<number, Stored>()
  for (const question of questions) {
    const { where, params } = conditionOf(db.dialect, question)
    const wanted = page.after === undefined ? where : [...where, olderThan(page.after, params)]
    params.push(page.limit + 1)
    const rows = await db.all<Stored>(`SELECT seq, at, body, hash FROM audit_record WHERE ${wanted.join(' AND ')} ORDER BY at DESC, seq DESC LIMIT $${params.length}`, params)
    for (const row of rows) found.set(row.seq, row)
  }
  const newest = [...found.values()].sort((a, b) => b.at - a.at || b.seq - a.seq)
  return pageOf(newest.slice(0, page.limit + 1), page.limit)
}

function conditionOf(dialect: Database['dialect'], filter: AuditFilter): { where: string[]; params: SqlValue[] } {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const anyOf = (values: readonly SqlValue[]) => (values.length === 1 ? `= ${bind(values[0] ?? null)}` : `IN (${values.map(bind).join(', ')})`)
  // The most telling condition first; SQLite keeps no figures of its columns, so the others are kept from choosing the index (unary plus).
  const ranked: [string, string | undefined][] = [
    ['patient_key', filter.patient && `= ${bind(filter.patient.key)}`],
    ['object_id', filter.objectId === undefined ? undefined : `= ${bind(filter.objectId)}`],
    ['actor_id', filter.actorId === undefined ? undefined : `= ${bind(filter.actorId)}`],
    ['outcome', filter.outcome && anyOf(filter.outcome)],
    ['action', filter.action && anyOf(filter.action)],
    ['object_type', filter.objectType === undefined ? undefined : `= ${bind(filter.objectType)}`],
    ['owner', filter.owner === undefined ? undefined : `= ${bind(filter.owner)}`],
    ['source_ip', filter.sourceIp === undefined ? undefined : `= ${bind(filter.sourceIp)}`],
  ]
  const given = ranked.filter((entry): entry is [string, string] => entry[1] !== undefined)
  const several = filter.action !== undefined && filter.action.length > 1
  const where = given.map(([column, condition], index) => {
    const leads = index === 0 && !(column === 'action' && several) && column !== 'object_type' && column !== 'owner' && column !== 'source_ip'
    return `${dialect === 'sqlite' && !leads ? '+' : ''}${column} ${condition}`
  })
  // Lets the partial index over problems be used for a list of outcomes.
  if (filter.outcome && !filter.outcome.includes('success')) where.push(`outcome <> 'success'`)
  if (filter.from !== undefined) where.push(`at >= ${bind(filter.from)}`)
  if (filter.until !== undefined) where.push(`at < ${bind(filter.until)}`)
  return { where, params }
}

function olderThan(after: string, params: SqlValue[]): string {
  const [at, seq] = after.split('.').map(Number)
  if (at === undefined || seq === undefined || !Number.isSafeInteger(at) || !Number.isSafeInteger(seq)) throw new Problem('request/invalid', { what: 'after' })
  params.push(at, seq)
  return `at <= $${params.length - 1} AND (at < $${params.length - 1} OR seq < $${params.length})`
}

function pageOf(rows: readonly Stored[], limit: number): AuditPage {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { rows: page.map(rowOf), next: rows.length > limit && last ? `${last.at}.${last.seq}` : null }
}

export function rowOf({ body, hash }: Pick<Stored, 'body' | 'hash'>): AuditRow {
  const { v: _v, prevHash: _prevHash, ...record } = AuditRecord.parse(JSON.parse(body))
  const { zh, en } = describeAction(record.action)
  return { ...record, title: zh, titleEn: en, hash }
}

/** All that a filter finds, newest first, page by page: for exports. */
export async function* readTrail(db: Database, filter: AuditFilter, step = 1_000): AsyncGenerator<AuditRow> {
  for (let after: string | undefined; ; ) {
    const page = await searchTrail(db, filter, { limit: step, after })
    yield* page.rows
    if (page.next === null) return
    after = page.next
  }
}

/** The record of an event, as it was hashed. */
export async function findEvent(db: Database, eventId: string): Promise<{ row: AuditRow; body: string; hash: string } | undefined> {
  const stored = await db.get<Stored>('SELECT seq, at, body, hash FROM audit_record WHERE event_id = $1', [eventId])
  return stored && { row: rowOf(stored), body: stored.body, hash: stored.hash }
}
