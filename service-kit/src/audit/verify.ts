import { SignedCheckpoint, SignedStub, witnessStatement, type AuditRecord, type SignedHead, type WitnessedCheckpoint } from 'specs'
import type { Queries } from '../database/index.ts'
import { COLUMNS, columnsOf, GENESIS, hashOfBody } from './chain.ts'
import { verifyAuditSignature } from './signing.ts'
import { checkHead, namedBreach, type HeadRow } from './verify-tail.ts'

/** What a verification found, and where. `seq` is the record concerned, or the first of those concerned. */
export interface AuditFinding {
  readonly kind: 'changed' | 'removed' | 'inserted' | 'reordered' | 'truncated' | 'rewritten' | 'signature' | 'replaced'
  readonly seq: number
  readonly toSeq?: number
  readonly eventId?: string
  readonly action?: string
  readonly at?: number
  /** Of the record as it stands, or as a checkpoint knew it. */
  readonly detail: string
}

export interface AuditVerdict {
  readonly party: string | null
  readonly trailId: string | null
  readonly records: number
  readonly firstSeq: number | null
  readonly lastSeq: number
  readonly checkpoints: number
  readonly witnesses: number
  readonly findings: readonly AuditFinding[]
}

export interface VerifyOptions {
  /** Checkpoints of this chain that somebody else kept: the hub, another node, a file. */
  readonly witnesses?: readonly (SignedCheckpoint | WitnessedCheckpoint)[]
  /** PEM roots of the regions, under which certificates of signatures are checked. */
  readonly rootPems?: readonly string[] | undefined
  readonly ownKeyPem?: string | undefined
  /** The key that signs the end of the chain, where it is known from outside the database. */
  readonly tailKeyPem?: string | undefined
  /** The newest head that was remembered outside the database. */
  readonly remembered?: SignedHead | undefined
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

interface Row {
  readonly seq: number
  readonly body: string
  readonly hash: string
  readonly [column: string]: unknown
}

const PAGE = 1_000
/** A chain in ruins need not be listed record by record. */
const MOST_FINDINGS = 500

/**
 * Reads a chain from its beginning and names every record that was changed, removed, inserted or moved; then asks the signed checkpoints, and those
 * that others witnessed, whether the chain as a whole is the one that was signed. Works on the database alone: the process that writes may be running,
 * what it adds meanwhile is left to the next time.
 */
export async function verifyTrail(db: Queries, options: VerifyOptions = {}): Promise<AuditVerdict> {
  const findings: AuditFinding[] = []
  const found = (finding: AuditFinding) => void (findings.length < MOST_FINDINGS && findings.push(finding))
  const stub = await stubOf(db, options, found)
  const checkpoints = await checkpointsOf(db, options, found)
  // In this order: what is written meanwhile must not look like something missing.
  // All columns: a trail that no present version has opened has no signature beside its head.
  const row = await db.get<HeadRow>('SELECT * FROM audit_head WHERE id = 1')
  const head = row && { trailId: row.trail_id, seq: row.seq, hash: row.hash }
  const newest = await db.get<{ seq: number | null }>('SELECT MAX(seq) AS "seq" FROM audit_record')
  const lastSeq = newest?.seq ?? 0
  const wanted = new Map<number, { hash: string; source: string }[]>()
  const want = (seq: number, hash: string, source: string) => wanted.set(seq, [...(wanted.get(seq) ?? []), { hash, source }])
  for (const { checkpoint } of checkpoints) want(checkpoint.seq, checkpoint.hash, 'checkpoint')
  const party = checkpoints.at(-1)?.checkpoint.party ?? null
  const witnesses = witnessesFor(options.witnesses ?? [], head?.trailId, party, options, found)
  for (const { checkpoint } of witnesses) want(checkpoint.seq, checkpoint.hash, 'witness')
  for (const { seq, hash, source } of checkHead(row, { ...options, checkpoints, party, found })) want(seq, hash, source)

  let previous = { seq: stub?.seq ?? 0, hash: stub?.hash ?? (GENESIS as string) }
  const first = previous.seq + 1
  const told = new Set<string>() // every checkpoint behind a rewriting differs: the first says where
  let records = 0
  let firstSeq: number | null = null
  for (let after = 0; ; ) {
    options.signal?.throwIfAborted()
    const rows: Row[] = await db.all<Row>(`SELECT ${COLUMNS.join(', ')}, body, hash FROM audit_record WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT ${PAGE}`, [after, lastSeq])
    if (rows.length === 0) break
    for (const row of rows) {
      firstSeq ??= row.seq
      if (row.seq > previous.seq + 1) found({ kind: 'removed', seq: previous.seq + 1, toSeq: row.seq - 1, detail: `记录 ${previous.seq + 1}–${row.seq - 1} 缺失 / records ${previous.seq + 1} to ${row.seq - 1} are missing` })
      checkRecord(row, previous, found)
      if (row['action'] === 'audit.alarm') namedBreach(row.body, found)
      for (const { hash, source } of wanted.get(row.seq) ?? []) {
        if (hash === row.hash || told.has(source)) continue
        told.add(source)
        tellRewritten(row, source, previousMatch(wanted, row.seq, first), found)
      }
      previous = { seq: row.seq, hash: row.hash }
    }
    records += rows.length
    after = rows.at(-1)?.seq ?? lastSeq
    options.onProgress?.(records, lastSeq - first + 1)
  }
  const promised = Math.max(head?.seq ?? 0, ...wanted.keys())
  if (promised > previous.seq && !(stub !== undefined && promised <= stub.seq)) found({ kind: 'truncated', seq: previous.seq + 1, toSeq: promised, detail: `末尾记录 ${previous.seq + 1}–${promised} 缺失 / the tail from ${previous.seq + 1} to ${promised} is missing` })
  // Read again: a writer may have added records since; only a head that stands still must agree.
  const headNow = await db.get<{ seq: number; hash: string }>('SELECT seq, hash FROM audit_head WHERE id = 1')
  if (headNow !== undefined && headNow.seq === previous.seq && headNow.hash !== previous.hash) found({ kind: 'rewritten', seq: previous.seq, detail: '链头与最后一条记录不符 / the head names another last record' })
  if (headNow !== undefined && headNow.seq < previous.seq) found({ kind: 'inserted', seq: headNow.seq + 1, toSeq: previous.seq, detail: '链头之后有未经写入程序的记录 / records stand behind the head' })
  return { party, trailId: head?.trailId ?? null, records, firstSeq, lastSeq: previous.seq, checkpoints: checkpoints.length, witnesses: witnesses.length, findings }
} // prettier-ignore

type Found = (finding: AuditFinding) => void

/** One record against itself, its columns and the one before it. */
function checkRecord(row: Row, previous: { seq: number; hash: string }, found: Found): void {
  const parsed = recordOf(row.body)
  const about = { seq: row.seq, eventId: String(row['event_id']), action: String(row['action']), at: Number(row['at']) }
  if (hashOfBody(row.body) !== row.hash) return found({ kind: 'changed', ...about, detail: '内容与摘要不符 / the content differs from its hash' })
  if (parsed === undefined) return found({ kind: 'changed', ...about, detail: '内容无法解析 / the content cannot be read' })
  if (parsed.seq !== row.seq) {
    return found({ kind: 'reordered', ...about, detail: `此记录原为第 ${parsed.seq} 条 / this was record ${parsed.seq}` })
  }
  const columns = columnsOf(parsed)
  const differing = COLUMNS.filter((column, index) => (row[column] ?? null) !== (columns[index] ?? null))
  if (differing.length > 0) found({ kind: 'changed', ...about, detail: `检索列被改动 / changed columns: ${differing.join(', ')}` })
  if (parsed.prevHash === previous.hash || row.seq !== previous.seq + 1) return
  // Both are whole in themselves, so one of the two was written by somebody who could compute a hash.
  found({ kind: 'rewritten', seq: Math.max(previous.seq, 1), toSeq: row.seq, eventId: about.eventId, action: about.action, at: about.at, detail: `第 ${row.seq} 条指向另一条前置记录：第 ${previous.seq} 条被改写、插入或替换 / record ${row.seq} names another predecessor: ${previous.seq} was rewritten, inserted or exchanged` }) // prettier-ignore
}

/** Its hash is right, so it is as it was written, perhaps by another version: only what is compared here has to be there. */
function recordOf(body: string): AuditRecord | undefined {
  try {
    const record = JSON.parse(body) as Partial<AuditRecord> | null
    const isWhole = typeof record?.seq === 'number' && typeof record.prevHash === 'string' && typeof record.actor?.id === 'string'
    return isWhole ? (record as AuditRecord) : undefined
  } catch {
    return undefined
  }
}

function previousMatch(wanted: ReadonlyMap<number, unknown>, seq: number, first: number): number {
  const earlier = [...wanted.keys()].filter((each) => each < seq)
  return earlier.length === 0 ? first : Math.max(...earlier) + 1
}

const sources: Readonly<Record<string, string>> = { witness: '见证方 / the witness', checkpoint: '已签名检查点 / the signed checkpoint', memory: '库外记录的链头 / the head remembered outside the database' }

function tellRewritten(row: Row, source: string, from: number, found: Found): void {
  const who = sources[source] ?? source
  found({ kind: 'rewritten', seq: from, toSeq: row.seq, detail: `第 ${from}–${row.seq} 条之间被改写：${who} 记录的摘要不同 / the chain was rewritten between ${from} and ${row.seq}` })
}

async function stubOf(db: Queries, options: VerifyOptions, found: Found): Promise<{ seq: number; hash: string } | undefined> {
  const row = await db.get<{ seq: number; hash: string; at: number; signed: string }>('SELECT seq, hash, at, signed FROM audit_stub ORDER BY seq DESC LIMIT 1')
  if (row === undefined) return undefined
  try {
    const { stub, signed } = SignedStub.parse(JSON.parse(row.signed))
    if (stub.seq !== row.seq || stub.hash !== row.hash) throw new Error('columns')
    verifyAuditSignature(stub, signed, { party: stub.party, at: stub.at, rootPems: options.rootPems, ownKeyPem: options.ownKeyPem })
  } catch (error) {
    found({ kind: 'signature', seq: row.seq, detail: `清理存根的签名无效 / the signature under the stub of retention is not good (${reasonOf(error)})` })
  }
  return { seq: row.seq, hash: row.hash }
}

async function checkpointsOf(db: Queries, options: VerifyOptions, found: Found): Promise<SignedCheckpoint[]> {
  const rows = await db.all<{ seq: number; hash: string; signed: string }>('SELECT seq, hash, signed FROM audit_checkpoint ORDER BY seq')
  const good: SignedCheckpoint[] = []
  const trails = new Set<string>()
  for (const { seq, hash, signed: text } of rows) {
    try {
      const entry = SignedCheckpoint.parse(JSON.parse(text))
      const { checkpoint, signed } = entry
      if (checkpoint.seq !== seq || checkpoint.hash !== hash) throw new Error('columns')
      verifyAuditSignature(checkpoint, signed, { party: checkpoint.party, at: checkpoint.at, rootPems: options.rootPems, ownKeyPem: options.ownKeyPem })
      trails.add(checkpoint.trailId)
      good.push(entry)
    } catch (error) {
      found({ kind: 'signature', seq, detail: `检查点签名无效 / the signature under the checkpoint is not good (${reasonOf(error)})` })
    }
  }
  if (trails.size > 1) found({ kind: 'replaced', seq: 1, detail: `检查点属于 ${trails.size} 条不同的链 / checkpoints of ${trails.size} different trails` })
  return good
}

/** Those that speak of this party; one of another trail of it says that this trail has taken the place of an older one. */
function witnessesFor(
  witnesses: readonly (SignedCheckpoint | WitnessedCheckpoint)[],
  trailId: string | undefined,
  party: string | null,
  options: VerifyOptions,
  found: Found,
): SignedCheckpoint[] {
  const named = party ?? undefined
  const ours: SignedCheckpoint[] = []
  for (const witness of witnesses) {
    const { checkpoint, signed } = witness
    if (named !== undefined && checkpoint.party !== named) continue
    try {
      verifyAuditSignature(checkpoint, signed, { party: checkpoint.party, at: checkpoint.at, rootPems: options.rootPems })
      if ('countersigned' in witness) {
        verifyAuditSignature(witnessStatement(witness), witness.countersigned, { party: 'hub', at: witness.receivedAt, rootPems: options.rootPems })
      }
    } catch (error) {
      found({ kind: 'signature', seq: checkpoint.seq, detail: `见证的签名无效 / the signature of the witness is not good (${reasonOf(error)})` })
      continue
    }
    if (trailId !== undefined && checkpoint.trailId !== trailId) {
      found({ kind: 'replaced', seq: checkpoint.seq, detail: `见证方记录的是另一条链 ${checkpoint.trailId} / the witness knows another trail: this one took its place` })
      continue
    }
    ours.push(witness)
  }
  return ours
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
