import type { Queries, Transaction } from 'service-kit'
import { type EpochMs, type ForwardRow, noteOf, type Problem, problemDetails, problemFromNote, type ProblemNote } from 'specs'

/** A study on its way to a node. */
export interface ForwardJob {
  readonly studyInstanceUid: string
  readonly nodeId: string
  readonly attempts: number
}

/** A study has arrived, once more perhaps: whatever of it the node does not have yet is due. */
export async function enqueue(tx: Transaction, studyInstanceUid: string, nodeId: string, now: EpochMs): Promise<void> {
  await tx.run(
    `INSERT INTO dicom_forward (study_instance_uid, node_id, state, attempts, next_attempt_at, instances_total, instances_done, problem, created_at, updated_at)
     VALUES ($1, $2, 'waiting', 0, $3, 0, 0, NULL, $3, $3)
     ON CONFLICT (study_instance_uid, node_id) DO UPDATE SET state = 'waiting', attempts = 0, next_attempt_at = $3, problem = NULL, updated_at = $3`,
    [studyInstanceUid, nodeId, now],
  )
}

/** The oldest job that is due, but for nodes that are being sent to. */
export async function nextDue(db: Queries, now: EpochMs, busyNodes: ReadonlySet<string>): Promise<ForwardJob | undefined> {
  const due = await db.all<ForwardJob>(
    `SELECT study_instance_uid AS "studyInstanceUid", node_id AS "nodeId", attempts FROM dicom_forward
     WHERE state IN ('waiting', 'retrying') AND next_attempt_at <= $1 ORDER BY next_attempt_at, created_at LIMIT 200`,
    [now],
  )
  return due.find((job) => !busyNodes.has(job.nodeId))
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
  job: ForwardJob,
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

export async function setProgress(
  tx: Queries,
  { studyInstanceUid, nodeId }: ForwardJob,
  done: number,
  total: number,
  now: EpochMs,
): Promise<void> {
  await tx.run(
    `UPDATE dicom_forward SET instances_done = $3, instances_total = $4, updated_at = $5 WHERE study_instance_uid = $1 AND node_id = $2`,
    [studyInstanceUid, nodeId, done, total, now],
  )
}

type StoredForward = Omit<ForwardRow, 'problem'> & { readonly problem: string | null }

const forwardColumns = `f.study_instance_uid AS "studyInstanceUid", f.node_id AS "nodeId", n.ae_title AS "aeTitle", f.state, f.instances_done AS "instancesDone",
  f.instances_total AS "instancesTotal", f.attempts, f.next_attempt_at AS "nextAttemptAt", f.created_at AS "createdAt", f.updated_at AS "updatedAt", f.problem`

/** Newest first. `after` is the `next` of the page before. */
export async function listForwards(
  db: Queries,
  { state, limit, after = 0 }: { state?: ForwardRow['state'] | undefined; limit: number; after?: number | undefined },
) {
  const where = state === undefined ? '' : 'WHERE f.state = $1'
  const params = state === undefined ? [] : [state]
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM dicom_forward f ${where}`, params)
  const rows = await db.all<StoredForward>(
    `SELECT ${forwardColumns} FROM dicom_forward f JOIN dicom_node n ON n.node_id = f.node_id ${where}
     ORDER BY f.created_at DESC, f.study_instance_uid, f.node_id LIMIT $${params.length + 1} OFFSET $${params.length + 2}`,
    [...params, limit, after],
  )
  const total = counted?.total ?? 0
  return { rows: rows.map(forwardOf), total, next: after + rows.length < total ? String(after + rows.length) : null }
}

export async function findForward(
  db: Queries,
  { studyInstanceUid, nodeId }: Pick<ForwardJob, 'studyInstanceUid' | 'nodeId'>,
): Promise<ForwardRow | undefined> {
  const row = await db.get<StoredForward>(
    `SELECT ${forwardColumns} FROM dicom_forward f JOIN dicom_node n ON n.node_id = f.node_id WHERE f.study_instance_uid = $1 AND f.node_id = $2`,
    [studyInstanceUid, nodeId],
  )
  return row && forwardOf(row)
}

function forwardOf(row: StoredForward): ForwardRow {
  if (row.problem === null) return { ...row, problem: null }
  const note = JSON.parse(row.problem) as ProblemNote // written by changeJob
  return { ...row, problem: { code: note.code, title: problemDetails(problemFromNote(note)).title, facts: { ...note.facts } } }
}
