import { Buffer } from 'node:buffer'
import { sm3Hex } from 'pki'
import { canonicalJson, Sm3Hex, type AuditRecord } from 'specs'
import type { Database, SqlValue, Transaction } from '../database/index.ts'
import type { Draft } from './draft.ts'
import type { StoredHead } from './tail.ts'

/** Before the first record. */
export const GENESIS = Sm3Hex.parse('0'.repeat(64))

export interface Head {
  readonly trailId: string
  readonly seq: number
  readonly hash: Sm3Hex
}

/** What the hash of a record is over: every stored byte of it. */
export const hashOfBody = (body: string): Sm3Hex => sm3Hex(Buffer.from(body, 'utf8'))

export interface ChainedRecord {
  readonly record: AuditRecord
  readonly body: string
  readonly hash: Sm3Hex
}

/** Gives drafts their places behind `head`. Pure: the same drafts at the same head always make the same records. */
export function chain(head: Pick<Head, 'seq' | 'hash'>, drafts: readonly Draft[], recordedAt: number): ChainedRecord[] {
  let { seq, hash } = head
  return drafts.map((draft) => {
    seq += 1
    const record: AuditRecord = { ...draft, seq, recordedAt, prevHash: hash }
    const body = canonicalJson(record)
    hash = hashOfBody(body)
    return { record, body, hash }
  })
}

/** The columns that repeat the body, in the order of COLUMNS. Verification derives them again. */
export const columnsOf = ({ seq, eventId, at, action, outcome, actor, object, code }: AuditRecord): SqlValue[] => [
  seq,
  eventId,
  at,
  action,
  outcome,
  actor.kind,
  actor.id,
  actor.sourceIp ?? null,
  object?.type ?? null,
  object?.id ?? null,
  object?.owner ?? null,
  object?.patientKey ?? null,
  object?.label ?? null,
  code ?? null,
]

export const COLUMNS = ['seq', 'event_id', 'at', 'action', 'outcome', 'actor_kind', 'actor_id', 'source_ip', 'object_type', 'object_id', 'owner', 'patient_key', 'label', 'code'] as const // prettier-ignore

const STORED = [...COLUMNS, 'body', 'hash'] as const
const numbers: ReadonlySet<string> = new Set(['seq', 'at'])

/**
 * All rows as one JSON text: binding sixteen values of each costs three times as much as everything else about a record.
 * Each row is an array in the order of the columns.
 */
const insertions: Readonly<Record<Database['dialect'], string>> = {
  sqlite: `INSERT INTO audit_record (${STORED.join(', ')})
    SELECT ${STORED.map((_column, index) => `json_extract(value, '$[${index}]')`).join(', ')} FROM json_each($1) ORDER BY key`,
  postgres: `INSERT INTO audit_record (${STORED.join(', ')})
    SELECT ${STORED.map((column, index) => (numbers.has(column) ? `(value ->> ${index})::bigint` : `value ->> ${index}`)).join(', ')} FROM json_array_elements($1::json)`,
}

/**
 * Locks the head until the commit, so that several processes write one after the other. LOCK TABLE takes no snapshot: what the process before us
 * has committed is seen, and nobody has to begin anew.
 */
export async function lockHead(tx: Transaction, dialect: Database['dialect']): Promise<StoredHead> {
  if (dialect === 'postgres') await tx.run('LOCK TABLE audit_head IN EXCLUSIVE MODE')
  const head = await tx.get<StoredHead>('SELECT trail_id AS "trailId", seq, hash, sealed FROM audit_head WHERE id = 1')
  if (head === undefined) throw new Error('the head of the audit trail is missing')
  return head
}

/** @param sealed the signature over the new head. */
export async function append(tx: Transaction, dialect: Database['dialect'], records: readonly ChainedRecord[], at: number, sealed: string): Promise<void> {
  const last = records.at(-1)
  if (last === undefined) return
  await tx.run(insertions[dialect], [JSON.stringify(records.map(({ record, body, hash }) => [...columnsOf(record), body, hash]))])
  await tx.run('UPDATE audit_head SET seq = $1, hash = $2, at = $3, sealed = $4 WHERE id = 1', [last.record.seq, last.hash, at, sealed])
}

/** Which of these events are in the chain already. */
export async function knownEvents(tx: Transaction, eventIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (eventIds.length === 0) return new Set()
  const rows = await tx.all<{ eventId: string }>(
    `SELECT event_id AS "eventId" FROM audit_record WHERE event_id IN (${eventIds.map((_id, index) => `$${index + 1}`).join(', ')})`,
    eventIds,
  )
  return new Set(rows.map(({ eventId }) => eventId))
}
