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

/** Newest first, by key. Each question is answered from an index that ends in the order of the answer, so that a page is a short read at any size. */
export async function searchTrail(db: Database, filter: AuditFilter, page: { limit: number; after?: string | undefined }): Promise<AuditPage> {
  const found = new Map<number, Stored>()
  for (const question of questionsOf(filter)) {
    const { where, params } = conditionOf(db.dialect, question)
    if (page.after !== undefined) where.push(olderThan(page.after, params))
    params.push(page.limit + 1)
    const condition = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`
    const rows = await db.all<Stored>(`SELECT seq, at, body, hash FROM audit_record ${condition} ORDER BY at DESC, seq DESC LIMIT $${params.length}`, params)
    for (const row of rows) found.set(row.seq, row)
  }
  const newest = [...found.values()].sort((a, b) => b.at - a.at || b.seq - a.seq)
  return pageOf(newest.slice(0, page.limit + 1), page.limit)
}

type Question = Omit<AuditFilter, 'action' | 'outcome' | 'patient'> & { readonly action?: readonly AuditAction[] | undefined; readonly outcome?: readonly AuditOutcome[] | undefined; readonly patientKey?: string }

/**
 * One question for each value that leads to an index, to be merged: an OR, or a list of rare actions, would read the whole table. A patient is found by key, and by
 * exams and studies of which events named nothing else.
 */
function questionsOf({ patient, ...rest }: AuditFilter): Question[] {
  if (patient) return [{ ...rest, patientKey: patient.key }, ...patient.objectIds.slice(0, 200).map((objectId) => ({ ...rest, objectId }))]
  const { objectId, actorId, sourceIp, outcome, action } = rest
  if (objectId !== undefined || actorId !== undefined || sourceIp !== undefined) return [rest]
  if (outcome && !outcome.includes('success')) return outcome.map((each) => ({ ...rest, outcome: [each] }))
  return action ? action.map((each) => ({ ...rest, action: [each] })) : [rest]
}

function conditionOf(dialect: Database['dialect'], question: Question): { where: string[]; params: SqlValue[] } {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const anyOf = (values: readonly SqlValue[]) => (values.length === 1 ? `= ${bind(values[0] ?? null)}` : `IN (${values.map(bind).join(', ')})`)
  const is = (value: string | undefined) => (value === undefined ? undefined : `= ${bind(value)}`)
  const { outcome, action } = question
  const isProblem = outcome?.length === 1 && outcome[0] !== 'success'
  // The most telling condition first. SQLite keeps no figures of its columns, so the others are kept from choosing the index (unary plus).
  const ranked: [string, string | undefined][] = [
    ['patient_key', is(question.patientKey)],
    ['object_id', is(question.objectId)],
    ['actor_id', is(question.actorId)],
    ['source_ip', is(question.sourceIp)],
    ...(isProblem ? [['outcome', anyOf(outcome)] as [string, string]] : []),
    ['action', action && anyOf(action)],
    ['owner', is(question.owner)],
    ['object_type', is(question.objectType)],
    ...(isProblem ? [] : [['outcome', outcome && anyOf(outcome)] as [string, string | undefined]]),
  ]
  const given = ranked.filter((entry): entry is [string, string] => entry[1] !== undefined)
  const where = given.map(([column, condition], index) => {
    const leads = index === 0 && condition.startsWith('=') && (column !== 'outcome' || isProblem)
    return `${dialect === 'sqlite' && !leads ? '+' : ''}${column} ${condition}`
  })
  // Lets the partial index over problems be used.
  if (isProblem) where.push(`outcome <> 'success'`)
  if (question.from !== undefined) where.push(`at >= ${bind(question.from)}`)
  if (question.until !== undefined) where.push(`at < ${bind(question.until)}`)
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
