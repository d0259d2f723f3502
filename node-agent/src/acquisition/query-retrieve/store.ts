import { randomUUID } from 'node:crypto'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { type AcquiredStudy, AcquisitionJobInput, noteOf, Problem, problemDetails, problemFromNote, type AcquisitionRun, type AcquisitionRunState, type EpochMs, type ProblemNote } from 'specs'
import type { PriorsWanted } from '../../routing/router.ts'

/** A job as it is kept. */
export interface KeptJob extends AcquisitionJobInput {
  readonly id: string
  readonly nextRunAt: EpochMs | null
}
type StoredJob = { readonly id: string; readonly body: string; readonly nextRunAt: EpochMs | null }
const jobColumns = 'job_id AS "id", body, next_run_at AS "nextRunAt"'
const jobOf = ({ body, ...row }: StoredJob): KeptJob => ({ ...AcquisitionJobInput.parse(JSON.parse(body)), ...row })

export async function listJobs(db: Queries): Promise<KeptJob[]> {
  return (await db.all<StoredJob>(`SELECT ${jobColumns} FROM acquisition_job WHERE removed_at IS NULL ORDER BY created_at, job_id`)).map(jobOf)
}

/** @throws {Problem} acquisition/unknown-job */
export async function readJob(db: Queries, id: string): Promise<KeptJob> {
  const row = await db.get<StoredJob>(`SELECT ${jobColumns} FROM acquisition_job WHERE job_id = $1 AND removed_at IS NULL`, [id])
  if (!row) throw new Problem('acquisition/unknown-job', { id })
  return jobOf(row)
}

export async function saveJob(tx: Transaction, id: string | undefined, job: AcquisitionJobInput, nextRunAt: EpochMs | null, now: EpochMs): Promise<KeptJob> {
  if (id === undefined) {
    const added = randomUUID()
    await tx.run('INSERT INTO acquisition_job (job_id, body, next_run_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)', [added, JSON.stringify(job), nextRunAt, now])
    return { ...job, id: added, nextRunAt }
  }
  const changed = await tx.run('UPDATE acquisition_job SET body = $2, next_run_at = $3, updated_at = $4, removed_at = NULL WHERE job_id = $1', [id, JSON.stringify(job), nextRunAt, now])
  if (changed === 0) throw new Problem('acquisition/unknown-job', { id })
  return { ...job, id, nextRunAt }
}

export const setNextRun = (tx: Queries, id: string, nextRunAt: EpochMs | null) => tx.run('UPDATE acquisition_job SET next_run_at = $2 WHERE job_id = $1', [id, nextRunAt])

/** Its runs stay; it can be taken back. @throws {Problem} acquisition/unknown-job */
export async function removeJob(tx: Transaction, id: string, now: EpochMs): Promise<void> {
  if ((await tx.run('UPDATE acquisition_job SET removed_at = $2, next_run_at = NULL WHERE job_id = $1 AND removed_at IS NULL', [id, now])) === 0) throw new Problem('acquisition/unknown-job', { id })
}

/** A removed job, to be taken back. @throws {Problem} acquisition/unknown-job */
export async function readRemoved(db: Queries, id: string): Promise<AcquisitionJobInput> {
  const row = await db.get<{ body: string }>('SELECT body FROM acquisition_job WHERE job_id = $1 AND removed_at IS NOT NULL', [id])
  if (!row) throw new Problem('acquisition/unknown-job', { id })
  return AcquisitionJobInput.parse(JSON.parse(row.body))
}

/** One run as the engine sees it. */
export interface KeptRun {
  readonly id: string
  readonly jobId: string | null
  readonly jobName: string
  readonly nodeId: string
  readonly job: AcquisitionJobInput
  readonly wants: PriorsWanted | null
  readonly trigger: AcquisitionRun['trigger']
  readonly state: AcquisitionRunState
  readonly attempts: number
}
type StoredRun = Omit<KeptRun, 'job' | 'wants'> & { readonly body: string; readonly wants: string | null }
const runColumns = 'run_id AS "id", job_id AS "jobId", job_name AS "jobName", node_id AS "nodeId", body, wants, cause AS "trigger", state, attempts'
const runOf = ({ body, wants, ...row }: StoredRun): KeptRun => ({
  ...row,
  job: AcquisitionJobInput.parse(JSON.parse(body)),
  wants: wants === null ? null : (JSON.parse(wants) as PriorsWanted), // written by addRun
})

export async function addRun(tx: Transaction, run: Pick<KeptRun, 'jobId' | 'jobName' | 'nodeId' | 'job' | 'wants' | 'trigger'>, now: EpochMs): Promise<string> {
  const id = randomUUID()
  await tx.run(
    `INSERT INTO acquisition_run (run_id, job_id, job_name, node_id, body, wants, cause, state, started_at, next_at, attempts, truncated)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'asking', $8, $8, 0, 0)`,
    [id, run.jobId, run.jobName, run.nodeId, JSON.stringify(run.job), run.wants && JSON.stringify(run.wants), run.trigger, now],
  )
  return id
}

/** Runs that have not ended; what the table says is under way was interrupted, unless the engine holds it. */
export async function openRuns(db: Queries): Promise<(KeptRun & { readonly nextAt: EpochMs | null })[]> {
  const rows = await db.all<StoredRun & { nextAt: EpochMs | null }>(`SELECT ${runColumns}, next_at AS "nextAt" FROM acquisition_run WHERE state IN ('asking', 'fetching', 'waiting') ORDER BY started_at, run_id`)
  return rows.map((row) => ({ ...runOf(row), nextAt: row.nextAt }))
}

/** @throws {Problem} acquisition/unknown-run */
export async function readRun(db: Queries, id: string): Promise<KeptRun> {
  const row = await db.get<StoredRun>(`SELECT ${runColumns} FROM acquisition_run WHERE run_id = $1`, [id])
  if (!row) throw new Problem('acquisition/unknown-run', { id })
  return runOf(row)
}

export interface RunChange {
  readonly state: AcquisitionRunState
  readonly nextAt?: EpochMs | null
  readonly endedAt?: EpochMs | null
  readonly attempts?: number
  readonly truncated?: boolean
  readonly problem?: Problem | null
}

/** Unless a person has cancelled it meanwhile. @returns whether it was changed. */
export async function changeRun(tx: Queries, id: string, change: RunChange): Promise<boolean> {
  const params: SqlValue[] = [id, change.state]
  const set = ['state = $2']
  const also = (column: string, value: SqlValue | undefined) => {
    if (value !== undefined) set.push(`${column} = $${params.push(value)}`)
  }
  also('next_at', change.nextAt)
  also('ended_at', change.endedAt)
  also('attempts', change.attempts)
  also('truncated', change.truncated === undefined ? undefined : Number(change.truncated))
  also('problem', change.problem === undefined ? undefined : change.problem && JSON.stringify(noteOf(change.problem)))
  return (await tx.run(`UPDATE acquisition_run SET ${set.join(', ')} WHERE run_id = $1 AND state <> 'cancelled'`, params)) === 1
}

/** A study of a run as the engine sees it. */
export interface KeptStudy {
  readonly studyInstanceUid: string
  readonly patientId: string
  readonly toldInstances: number | null
  readonly attempts: number
}

export interface FoundStudy {
  readonly studyInstanceUid: string
  /** A key of everything below it in the Patient Root model. */
  readonly patientId: string
  readonly studyDate: string
  readonly modalities: string
  readonly toldInstances: number | null
}

export async function addStudies(tx: Transaction, runId: string, studies: readonly FoundStudy[], now: EpochMs): Promise<void> {
  for (const [position, study] of studies.entries())
    await tx.run(
      `INSERT INTO acquisition_study (run_id, study_instance_uid, patient_id, position, study_date, modalities, told_instances, state, proof, expected, held_before, held, attempts, missing, updated_at)
       VALUES ($1, $2, $8, $3, $4, $5, $6, 'waiting', 'none', 0, 0, 0, 0, '[]', $7) ON CONFLICT (run_id, study_instance_uid) DO NOTHING`,
      [runId, study.studyInstanceUid, position, study.studyDate, study.modalities, study.toldInstances, now, study.patientId],
    )
}

/** Studies of a run that are still to be fetched, in the order in which they were found. */
export async function studiesToFetch(db: Queries, runId: string): Promise<KeptStudy[]> {
  return db.all(
    `SELECT study_instance_uid AS "studyInstanceUid", patient_id AS "patientId", told_instances AS "toldInstances", attempts FROM acquisition_study
     WHERE run_id = $1 AND state IN ('waiting', 'fetching') ORDER BY position`,
    [runId],
  )
}

export interface StudyChange {
  readonly state: AcquiredStudy['state']
  readonly proof?: AcquiredStudy['proof']
  readonly expected?: number
  readonly heldBefore?: number
  readonly held?: number
  readonly attempts?: number
  readonly missing?: readonly string[]
  readonly problem?: Problem | null
}

/** Missing instances that a row names. */
const NAMED = 100

export async function changeStudy(tx: Queries, runId: string, studyInstanceUid: string, change: StudyChange, now: EpochMs): Promise<void> {
  const params: SqlValue[] = [runId, studyInstanceUid, now, change.state]
  const set = ['updated_at = $3', 'state = $4']
  const also = (column: string, value: SqlValue | undefined) => {
    if (value !== undefined) set.push(`${column} = $${params.push(value)}`)
  }
  also('proof', change.proof)
  also('expected', change.expected)
  also('held_before', change.heldBefore)
  also('held', change.held)
  also('attempts', change.attempts)
  also('missing', change.missing && JSON.stringify(change.missing.slice(0, NAMED)))
  also('problem', change.problem === undefined ? undefined : change.problem && JSON.stringify(noteOf(change.problem)))
  await tx.run(`UPDATE acquisition_study SET ${set.join(', ')} WHERE run_id = $1 AND study_instance_uid = $2`, params)
}

/** Whether images of the study came, or are coming, because we asked for them. */
export async function wasFetched(db: Queries, studyInstanceUid: string): Promise<boolean> {
  return (await db.get(`SELECT run_id FROM acquisition_study WHERE study_instance_uid = $1 AND (state = 'fetching' OR held > held_before) LIMIT 1`, [studyInstanceUid])) !== undefined
}

/** The source has proved before that this many instances are all of the study. */
export async function wasProvedComplete(db: Queries, nodeId: string, studyInstanceUid: string, expected: number): Promise<boolean> {
  const found = await db.get(
    `SELECT s.run_id FROM acquisition_study s JOIN acquisition_run r ON r.run_id = s.run_id
     WHERE s.study_instance_uid = $1 AND r.node_id = $2 AND s.state = 'complete' AND s.expected = $3 LIMIT 1`,
    [studyInstanceUid, nodeId, expected],
  )
  return found !== undefined
}

const told = (note: string | null) => {
  if (note === null) return null
  const parsed = JSON.parse(note) as ProblemNote // written by changeRun, changeStudy
  return { code: parsed.code, title: problemDetails(problemFromNote(parsed)).title }
}

/** Newest first. */
export async function listRuns(db: Queries, { jobId, runId, limit }: { jobId?: string | undefined; runId?: string | undefined; limit: number }): Promise<AcquisitionRun[]> {
  const [where, params] = runId !== undefined ? ['WHERE r.run_id = $1', [runId]] : jobId !== undefined ? ['WHERE r.job_id = $1', [jobId]] : ['', []]
  const count = (state: string) => `COALESCE(SUM(CASE WHEN s.state = '${state}' THEN 1 ELSE 0 END), 0)`
  const rows = await db.all<Omit<AcquisitionRun, 'problem' | 'truncated'> & { problem: string | null; truncated: number }>(
    `SELECT r.run_id AS "id", r.job_id AS "jobId", r.job_name AS "jobName", COALESCE(n.ae_title, '') AS "aeTitle", r.cause AS "trigger", r.state, r.started_at AS "startedAt",
       r.ended_at AS "endedAt", r.next_at AS "nextAt", r.truncated, r.problem, COUNT(s.study_instance_uid) AS "studies", ${count('complete')} AS "complete",
       ${count('partial')} AS "partial", ${count('failed')} AS "failed", COALESCE(SUM(s.held - s.held_before), 0) AS "instancesFetched", COALESCE(SUM(s.held_before), 0) AS "instancesHeld"
     FROM (SELECT * FROM acquisition_run r ${where} ORDER BY r.started_at DESC, r.run_id LIMIT ${limit}) r
     LEFT JOIN dicom_node n ON n.node_id = r.node_id LEFT JOIN acquisition_study s ON s.run_id = r.run_id
     GROUP BY r.run_id, r.job_id, r.job_name, n.ae_title, r.cause, r.state, r.started_at, r.ended_at, r.next_at, r.truncated, r.problem
     ORDER BY r.started_at DESC, r.run_id`,
    params,
  )
  return rows.map((row) => ({ ...row, truncated: row.truncated === 1, problem: told(row.problem) }))
}

type StoredStudy = Omit<AcquiredStudy, 'missing' | 'problem'> & { readonly missing: string; readonly problem: string | null }

export async function listStudies(db: Queries, runId: string): Promise<(AcquiredStudy & { readonly studyInstanceUid: string })[]> {
  const rows = await db.all<StoredStudy & { studyInstanceUid: string }>(
    `SELECT run_id AS "runId", study_instance_uid AS "studyInstanceUid", study_date AS "studyDate", modalities, state, proof, expected, held_before AS "heldBefore", held, attempts,
       missing, problem, updated_at AS "updatedAt" FROM acquisition_study WHERE run_id = $1 ORDER BY position LIMIT 1000`,
    [runId],
  )
  return rows.map((row) => ({ ...row, missing: JSON.parse(row.missing) as string[], problem: told(row.problem) }))
}
