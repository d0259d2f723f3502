import { randomUUID } from 'node:crypto'
import type { Queries, Transaction } from 'service-kit'
import { type EpochMs, type ForwardRow, noteOf, type Problem, problemDetails, problemFromNote, type ProblemNote } from 'specs'
import type { ArchiveName } from '../archive/archive.ts'

/** A study on its way to a node. */
export interface ForwardJob {
  readonly studyInstanceUid: string
  readonly nodeId: string
  readonly attempts: number
  readonly kept: ArchiveName
  readonly ruleId: string | null
  /** Whose series go; null: the whole study. */
  readonly seriesModalities: readonly string[] | null
  /** After it a delivery that still fails waits for a person. */
  readonly giveUpAt: EpochMs | null
}

/** What is to be sent where, and how urgently. */
export interface ForwardOrder {
  readonly studyInstanceUid: string
  readonly nodeId: string
  readonly kept: ArchiveName
  readonly ruleId?: string | undefined
  /** 1 goes first. */
  readonly priority?: number | undefined
  readonly seriesModalities?: readonly string[] | undefined
  readonly giveUpAt?: EpochMs | null | undefined
  /** Not before this. */
  readonly dueAt?: EpochMs | undefined
}

const jobColumns = `study_instance_uid AS "studyInstanceUid", node_id AS "nodeId", attempts, kept, rule_id AS "ruleId", series_modalities AS "seriesModalities", give_up_at AS "giveUpAt"`
type StoredJob = Omit<ForwardJob, 'seriesModalities'> & { readonly seriesModalities: string | null }
const jobOf = (row: StoredJob): ForwardJob => ({ ...row, seriesModalities: modalitiesOf(row.seriesModalities) })
const modalitiesOf = (text: string | null): readonly string[] | null => (text === null ? null : (JSON.parse(text) as string[]))

/** Two orders for one study and node become one that contains both: whoever wants the whole study gets it. */
export function widened(before: readonly string[] | null, after: readonly string[] | null): readonly string[] | null {
  return before === null || after === null ? null : [...new Set([...before, ...after])].sort()
}

/** A study has arrived, once more perhaps: whatever of it the node does not have yet is due. @returns whether it was not waiting there before. */
export async function enqueue(tx: Transaction, order: ForwardOrder, now: EpochMs): Promise<boolean> {
  const { studyInstanceUid, nodeId, kept, ruleId = null, priority = 5, giveUpAt = null, dueAt = now } = order
  const wanted = order.seriesModalities?.length ? order.seriesModalities : null
  const before = await tx.get<{ state: ForwardRow['state']; seriesModalities: string | null }>(
    'SELECT state, series_modalities AS "seriesModalities" FROM dicom_forward WHERE study_instance_uid = $1 AND node_id = $2',
    [studyInstanceUid, nodeId],
  )
  const modalities = before ? widened(modalitiesOf(before.seriesModalities), wanted) : wanted
  await tx.run(
    `INSERT INTO dicom_forward (study_instance_uid, node_id, state, attempts, next_attempt_at, instances_total, instances_done, problem, created_at, updated_at,
       forward_id, kept, rule_id, priority, series_modalities, give_up_at)
     VALUES ($1, $2, 'waiting', 0, $4, 0, 0, NULL, $3, $3, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (study_instance_uid, node_id) DO UPDATE SET state = 'waiting', attempts = 0, next_attempt_at = $4, problem = NULL, updated_at = $3,
       kept = $6, rule_id = $7, priority = $8, series_modalities = $9, give_up_at = $10`,
    [studyInstanceUid, nodeId, now, dueAt, randomUUID(), kept, ruleId, priority, modalities && JSON.stringify(modalities), giveUpAt],
  )
  return before === undefined || before.state === 'done' || before.state === 'failed' || before.state === 'cancelled'
}

/** The most urgent job that is due, but for nodes that are being sent to. */
export async function nextDue(db: Queries, now: EpochMs, busyNodes: ReadonlySet<string>): Promise<ForwardJob | undefined> {
  const busy = [...busyNodes]
  const due = await db.get<StoredJob>(
    `SELECT ${jobColumns} FROM dicom_forward WHERE state IN ('waiting', 'retrying') AND next_attempt_at <= $1
       ${busy.length === 0 ? '' : `AND node_id NOT IN (${busy.map((_, index) => `$${index + 2}`).join(', ')})`}
     ORDER BY priority, next_attempt_at, created_at LIMIT 1`,
    [now, ...busy],
  )
  return due && jobOf(due)
}

export async function nextAttemptAt(db: Queries): Promise<EpochMs | undefined> {
  const row = await db.get<{ at: number | null }>(
    `SELECT MIN(next_attempt_at) AS "at" FROM dicom_forward WHERE state IN ('waiting', 'retrying')`,
  )
  return row?.at ?? undefined
}

/** After a stop or crash nothing is running, whatever the table says. */
export async function resumeInterrupted(db: Queries, now: EpochMs): Promise<number> {
  return db.run(`UPDATE dicom_forward SET state = 'waiting', next_attempt_at = $1, updated_at = $1 WHERE state = 'running'`, [now])
}

/** What became of one attempt. A job that was enqueued again meanwhile stays due. */
export interface JobChange {
  readonly state: ForwardRow['state']
  readonly attempts: number
  readonly nextAttemptAt: EpochMs | null
  readonly problem: Problem | null
}

/** @param from the states in which the change is due. @returns whether it was made. */
export async function changeJob(
  tx: Queries,
  job: Pick<ForwardJob, 'studyInstanceUid' | 'nodeId'>,
  change: JobChange,
  from: readonly ForwardRow['state'][],
  now: EpochMs,
): Promise<boolean> {
  const problem = change.problem && JSON.stringify(noteOf(change.problem))
  const changed = await tx.run(
    `UPDATE dicom_forward SET state = $3, attempts = $4, next_attempt_at = $5, problem = $6, updated_at = $7
     WHERE study_instance_uid = $1 AND node_id = $2 AND state IN (${from.map((_, index) => `$${index + 8}`).join(', ')})`,
    [job.studyInstanceUid, job.nodeId, change.state, change.attempts, change.nextAttemptAt, problem, now, ...from],
  )
  return changed === 1
}

/** SM3 of each instance that the node has confirmed, by SOP Instance UID. */
export async function confirmed(db: Queries, { studyInstanceUid, nodeId }: ForwardJob): Promise<Map<string, string>> {
  const rows = await db.all<{ sopInstanceUid: string; sm3: string }>(
    `SELECT sop_instance_uid AS "sopInstanceUid", sm3 FROM dicom_forward_done WHERE study_instance_uid = $1 AND node_id = $2`,
    [studyInstanceUid, nodeId],
  )
  return new Map(rows.map((row) => [row.sopInstanceUid, row.sm3]))
}

export async function confirm(
  tx: Transaction,
  { studyInstanceUid, nodeId }: ForwardJob,
  instances: readonly { sopInstanceUid: string; sm3: string }[],
): Promise<void> {
  for (const { sopInstanceUid, sm3 } of instances) {
    await tx.run(
      `INSERT INTO dicom_forward_done (study_instance_uid, node_id, sop_instance_uid, sm3) VALUES ($1, $2, $3, $4)
       ON CONFLICT (study_instance_uid, node_id, sop_instance_uid) DO UPDATE SET sm3 = $4`,
      [studyInstanceUid, nodeId, sopInstanceUid, sm3],
    )
  }
}

export async function setProgress(tx: Queries, { studyInstanceUid, nodeId }: ForwardJob, done: number, total: number, now: EpochMs): Promise<void> {
  await tx.run(
    `UPDATE dicom_forward SET instances_done = $3, instances_total = $4, updated_at = $5 WHERE study_instance_uid = $1 AND node_id = $2`,
    [studyInstanceUid, nodeId, done, total, now],
  )
}

/** A row of the queue as it is kept: always with its study. */
export type Forward = ForwardRow & { readonly studyInstanceUid: string }
type StoredForward = Omit<Forward, 'problem' | 'ruleName'> & { readonly problem: string | null; readonly rule: string | null }

const forwardColumns = `f.forward_id AS "id", f.study_instance_uid AS "studyInstanceUid", f.node_id AS "nodeId", n.ae_title AS "aeTitle", f.priority, r.body AS "rule",
  f.state, f.instances_done AS "instancesDone", f.instances_total AS "instancesTotal", f.attempts, f.next_attempt_at AS "nextAttemptAt",
  f.created_at AS "createdAt", f.updated_at AS "updatedAt", f.problem`
const forwardTables = 'dicom_forward f JOIN dicom_node n ON n.node_id = f.node_id LEFT JOIN routing_rule r ON r.rule_id = f.rule_id'

export interface ForwardFilter {
  readonly state?: ForwardRow['state'] | undefined
  readonly nodeId?: string | undefined
  readonly limit: number
  readonly after?: number | undefined
}

/** Newest first. `after` is the `next` of the page before. */
export async function listForwards(db: Queries, { state, nodeId, limit, after = 0 }: ForwardFilter) {
  const params: string[] = []
  const wanted = [
    ...(state === undefined ? [] : [`f.state = $${params.push(state)}`]),
    ...(nodeId === undefined ? [] : [`f.node_id = $${params.push(nodeId)}`]),
  ]
  const where = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM dicom_forward f ${where}`, params)
  const rows = await db.all<StoredForward>(
    `SELECT ${forwardColumns} FROM ${forwardTables} ${where}
     ORDER BY f.created_at DESC, f.study_instance_uid, f.node_id LIMIT $${params.length + 1} OFFSET $${params.length + 2}`,
    [...params, limit, after],
  )
  const total = counted?.total ?? 0
  return { rows: rows.map(forwardOf), total, next: after + rows.length < total ? String(after + rows.length) : null }
}

export async function findForward(db: Queries, { studyInstanceUid, nodeId }: Pick<ForwardJob, 'studyInstanceUid' | 'nodeId'>): Promise<Forward | undefined> {
  const row = await db.get<StoredForward>(
    `SELECT ${forwardColumns} FROM ${forwardTables} WHERE f.study_instance_uid = $1 AND f.node_id = $2`,
    [studyInstanceUid, nodeId],
  )
  return row && forwardOf(row)
}

export async function findForwardById(db: Queries, forwardId: string): Promise<Forward | undefined> {
  const row = await db.get<StoredForward>(`SELECT ${forwardColumns} FROM ${forwardTables} WHERE f.forward_id = $1`, [forwardId])
  return row && forwardOf(row)
}

/** The order as it was given, to be given once more. */
export async function orderOf(db: Queries, forwardId: string): Promise<ForwardJob | undefined> {
  const row = await db.get<StoredJob>(`SELECT ${jobColumns} FROM dicom_forward WHERE forward_id = $1`, [forwardId])
  return row && jobOf(row)
}

/** Whether we have sent anything of the study to somebody with this AE title: then what comes from there is our own, coming back. */
export async function wasSentTo(db: Queries, studyInstanceUid: string, aeTitles: readonly string[]): Promise<boolean> {
  if (aeTitles.length === 0) return false
  const found = await db.get(
    `SELECT d.node_id FROM dicom_forward_done d JOIN dicom_node n ON n.node_id = d.node_id
     WHERE d.study_instance_uid = $1 AND n.ae_title IN (${aeTitles.map((_, index) => `$${index + 2}`).join(', ')}) LIMIT 1`,
    [studyInstanceUid, ...aeTitles],
  )
  return found !== undefined
}

function forwardOf({ rule, ...row }: StoredForward): Forward {
  const ruleName = rule === null ? null : (JSON.parse(rule) as { name: string }).name // written by rule-store.ts
  if (row.problem === null) return { ...row, ruleName, problem: null }
  const note = JSON.parse(row.problem) as ProblemNote // written by changeJob
  return { ...row, ruleName, problem: { code: note.code, title: problemDetails(problemFromNote(note)).title, facts: { ...note.facts } } }
}
