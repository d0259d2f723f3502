import type { EntrustedModalities, ExamsCondition } from '../access/access-control.ts'
import type { Bind } from '../access/policy/sql-condition.ts'
import type { Migration, Queries, SqlValue, Transaction } from 'service-kit'
import {
  ConsultStep,
  problemFromNote,
  type ConsultAnswer,
  type ConsultEvent,
  type EpochMs,
  type HospitalId,
  type MessageId,
  type Opinion,
  type Problem,
  type ProblemNote,
  type RegionId,
  type TaskId,
  type TimelineEvent,
} from 'specs'
import { isListed, type Consult } from './consult.ts'

/** Tables of this node's consultations. `listed` and the filter columns are derived from `body` at every save. */
export const consultMigrations: readonly Migration[] = [
  {
    name: '0001-consult',
    up: [
      `CREATE TABLE consult (task_id TEXT PRIMARY KEY, region_id TEXT NOT NULL, side TEXT NOT NULL, submitter TEXT NOT NULL, processor TEXT, state TEXT NOT NULL,
        modality TEXT NOT NULL, listed INTEGER NOT NULL, exam_id TEXT, applied_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, body TEXT NOT NULL)`,
      `CREATE INDEX consult_applied ON consult (applied_at, task_id)`,
      `CREATE INDEX consult_exam ON consult (exam_id)`,
      `CREATE TABLE consult_study (study_instance_uid TEXT NOT NULL, task_id TEXT NOT NULL, PRIMARY KEY (study_instance_uid, task_id))`,
      `CREATE TABLE consult_event (task_id TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, sealed TEXT, PRIMARY KEY (task_id, revision))`,
      `CREATE TABLE consult_command (command_id TEXT PRIMARY KEY, task_id TEXT NOT NULL, type TEXT NOT NULL, by_agent INTEGER NOT NULL, state TEXT NOT NULL,
        problem TEXT, revision INTEGER, created_at BIGINT NOT NULL, answered_at BIGINT)`,
      // An opinion as it was sealed, with its key object, until that lies in our archive.
      `CREATE TABLE consult_opinion (task_id TEXT PRIMARY KEY, body TEXT NOT NULL, settled INTEGER NOT NULL)`,
      `CREATE TABLE consult_draft (task_id TEXT NOT NULL, user_id TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, saved_at BIGINT NOT NULL,
        PRIMARY KEY (task_id, user_id))`,
    ],
  },
  {
    name: '0002-command-message',
    up: [
      // Which message carries the command now, who waits for its answer, and how often it was sent anew because none came.
      'ALTER TABLE consult_command ADD COLUMN message_id TEXT',
      'ALTER TABLE consult_command ADD COLUMN by_name TEXT',
      'ALTER TABLE consult_command ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0',
      `CREATE INDEX consult_command_queued ON consult_command (created_at) WHERE state = 'queued'`,
    ],
  },
]

export async function findConsult(db: Queries, taskId: TaskId): Promise<Consult | undefined> {
  const row = await db.get<{ body: string }>('SELECT body FROM consult WHERE task_id = $1', [taskId])
  return row && (JSON.parse(row.body) as Consult)
}

/** @param here decides what is on this hospital's lists. */
export async function saveConsult(tx: Transaction, consult: Consult, here: HospitalId): Promise<void> {
  const { target } = consult.facts
  const processor = consult.holder?.hospitalId ?? (target.kind === 'hospital' ? target.hospitalId : null)
  await tx.run(
    `INSERT INTO consult (task_id, region_id, side, submitter, processor, state, modality, listed, exam_id, applied_at, updated_at, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     ON CONFLICT (task_id) DO UPDATE SET side = excluded.side, processor = excluded.processor, state = excluded.state, listed = excluded.listed,
       exam_id = excluded.exam_id, updated_at = excluded.updated_at, body = excluded.body`,
    [consult.taskId, consult.regionId, consult.side, consult.submitter, processor, consult.state, consult.facts.modality, isListed(consult, here) ? 1 : 0,
      consult.examId, consult.appliedAt, consult.updatedAt, JSON.stringify(consult)], // prettier-ignore
  )
  for (const study of consult.facts.studyInstanceUids) {
    await tx.run('INSERT INTO consult_study (study_instance_uid, task_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [study, consult.taskId])
  }
}

/** Consultations that name a study, newest first. */
export async function consultsOfStudy(db: Queries, studyInstanceUid: string): Promise<Consult[]> {
  const rows = await db.all<{ body: string }>(
    'SELECT c.body FROM consult c JOIN consult_study s ON s.task_id = c.task_id WHERE s.study_instance_uid = $1 ORDER BY c.applied_at DESC',
    [studyInstanceUid],
  )
  return rows.map((row) => JSON.parse(row.body) as Consult)
}

/** Newest consultation of each exam that has one. */
export async function newestOfExams(db: Queries, examIds: readonly string[]): Promise<Map<string, { taskId: TaskId; state: string }>> {
  if (examIds.length === 0) return new Map()
  const rows = await db.all<{ examId: string; taskId: TaskId; state: string }>(
    `SELECT exam_id AS "examId", task_id AS "taskId", state FROM consult WHERE exam_id IN (${examIds.map((_, index) => `$${index + 1}`).join(', ')}) ORDER BY applied_at`,
    [...examIds],
  )
  return new Map(rows.map(({ examId, taskId, state }) => [examId, { taskId, state }]))
}

/** CON-11. Dates are epoch ms, `appliedBefore` exclusive. `hospital` is the other side: the submitter of a request to us, the processor of ours. */
export interface ConsultFilter {
  readonly permitted?: PermittedConsults
  readonly regionId?: string | undefined
  readonly side?: string | undefined
  readonly state?: string | undefined
  readonly hospital?: string | undefined
  readonly modality?: string | undefined
  readonly appliedFrom?: EpochMs | undefined
  readonly appliedBefore?: EpochMs | undefined
  readonly limit: number
  readonly after?: { readonly appliedAt: EpochMs; readonly taskId: string } | undefined
}

/** Which consultations somebody may have on a list: our own by their exam, those of others by their modality. */
export interface PermittedConsults {
  readonly exams: ExamsCondition
  readonly entrusted: EntrustedModalities
  /** What passes through a data centre shows no patient to its people. */
  readonly passing: boolean
}

function permittedConsults({ exams, entrusted, passing }: PermittedConsults, bind: Bind): string {
  const nothing = '1 = 0'
  // A task that came back from the platform after a loss knows only its studies.
  const isExam = `(e.exam_id = consult.exam_id OR (consult.exam_id IS NULL AND e.study_instance_uid IN (SELECT s.study_instance_uid FROM consult_study s WHERE s.task_id = consult.task_id)))`
  const own = `(side = 'submitter' AND EXISTS (SELECT 1 FROM exam e WHERE ${isExam} AND ${exams('e', bind)}))`
  const among = (values: readonly string[]) => `(${values.map(bind).join(', ')})`
  const { within, without } = entrusted
  const inScope = within === 'all' ? '1 = 1' : within.length === 0 ? nothing : `consult.modality IN ${among(within)}`
  const modality = without.length === 0 ? inScope : `${inScope} AND consult.modality NOT IN ${among(without)}`
  return `(${own} OR (side = 'processor' AND ${modality}) OR (side = 'data-centre' AND ${passing ? '1 = 1' : modality}))`
}

/** Newest application first. */
export async function listConsults(db: Queries, filter: ConsultFilter): Promise<{ rows: Consult[]; total: number }> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted = ['listed = 1']
  if (filter.permitted) wanted.push(permittedConsults(filter.permitted, bind))
  if (filter.regionId) wanted.push(`region_id = ${bind(filter.regionId)}`)
  if (filter.side) wanted.push(`side = ${bind(filter.side)}`)
  if (filter.state) wanted.push(`state = ${bind(filter.state)}`)
  if (filter.modality) wanted.push(`modality = ${bind(filter.modality)}`)
  if (filter.hospital) {
    const hospital = bind(filter.hospital)
    wanted.push(`((side <> 'submitter' AND submitter = ${hospital}) OR (side = 'submitter' AND processor = ${hospital}))`)
  }
  if (filter.appliedFrom !== undefined) wanted.push(`applied_at >= ${bind(filter.appliedFrom)}`)
  if (filter.appliedBefore !== undefined) wanted.push(`applied_at < ${bind(filter.appliedBefore)}`)
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM consult WHERE ${wanted.join(' AND ')}`, [...params])
  if (filter.after) {
    const at = bind(filter.after.appliedAt)
    wanted.push(`(applied_at < ${at} OR (applied_at = ${at} AND task_id > ${bind(filter.after.taskId)}))`)
  }
  const rows = await db.all<{ body: string }>(
    `SELECT body FROM consult WHERE ${wanted.join(' AND ')} ORDER BY applied_at DESC, task_id LIMIT ${bind(filter.limit)}`,
    params,
  )
  return { rows: rows.map((row) => JSON.parse(row.body) as Consult), total: counted?.total ?? 0 }
}

/** Studies of consultations that are neither finished nor withdrawn: their images stay. */
export async function studiesOfOpenConsults(db: Queries): Promise<Set<string>> {
  const rows = await db.all<{ study: string }>(
    `SELECT DISTINCT s.study_instance_uid AS "study" FROM consult_study s JOIN consult c ON c.task_id = s.task_id
     WHERE c.state IN ('queued', 'submitted', 'accepted', 'started') AND c.listed = 1`,
  )
  return new Set(rows.map(({ study }) => study))
}

/** Keeps an event as the hub sequenced it; the same event again is dropped. */
export async function rememberEvent(tx: Transaction, event: ConsultEvent): Promise<void> {
  const { sealed, facts: _facts, ...timeline } = event
  await tx.run('INSERT INTO consult_event (task_id, revision, body, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [
    event.taskId,
    event.revision,
    JSON.stringify(timeline),
    sealed ?? null,
  ])
}

export async function timelineOf(db: Queries, taskId: TaskId): Promise<TimelineEvent[]> {
  const rows = await db.all<{ body: string }>('SELECT body FROM consult_event WHERE task_id = $1 ORDER BY revision', [taskId])
  return rows.map((row) => JSON.parse(row.body) as TimelineEvent)
}

const MOST_STEPS = 20_000

/** The order of steps as the hub told it, of tasks that changed since then; the newest tasks first, so that a limit cuts what is oldest. */
export async function stepsSince(db: Queries, regionId: RegionId | undefined, since: EpochMs): Promise<ConsultStep[]> {
  const rows = await db.all<{ body: string }>(
    `SELECT e.body FROM consult c JOIN consult_event e ON e.task_id = c.task_id WHERE c.region_id = $1 AND c.updated_at >= $2
     ORDER BY c.updated_at DESC, e.task_id, e.revision LIMIT ${MOST_STEPS}`,
    [regionId ?? null, since],
  )
  return rows.map(({ body }) => ConsultStep.parse(JSON.parse(body)))
}

export async function rememberCommand(
  tx: Transaction,
  command: { commandId: string; taskId: TaskId; type: string; byAgent: boolean; byName: string; messageId: MessageId; at: EpochMs },
): Promise<void> {
  const { commandId, taskId, type, byAgent, byName, messageId, at } = command
  await tx.run(
    `INSERT INTO consult_command (command_id, task_id, type, by_agent, by_name, message_id, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7)`,
    [commandId, taskId, type, byAgent ? 1 : 0, byName, messageId, at],
  )
}

/** A command that the hub has not answered. Those of before the second migration name neither message nor person. */
export interface QueuedCommand {
  readonly commandId: string
  readonly taskId: TaskId
  readonly type: string
  readonly byAgent: boolean
  readonly byName: string | null
  readonly messageId: MessageId | null
  readonly repeats: number
  readonly at: EpochMs
  /** Of its task. */
  readonly regionId: string | null
}

/** Oldest first. */
export async function queuedCommands(db: Queries, limit: number): Promise<QueuedCommand[]> {
  const rows = await db.all<Omit<QueuedCommand, 'byAgent'> & { byAgent: number }>(
    `SELECT o.command_id AS "commandId", o.task_id AS "taskId", o.type, o.by_agent AS "byAgent", o.by_name AS "byName", o.message_id AS "messageId",
       o.repeats, o.created_at AS "at", c.region_id AS "regionId"
     FROM consult_command o LEFT JOIN consult c ON c.task_id = o.task_id WHERE o.state = 'queued' ORDER BY o.created_at, o.command_id LIMIT $1`,
    [limit],
  )
  return rows.map((row) => ({ ...row, byAgent: Boolean(row.byAgent) }))
}

/** @returns false when the answer came meanwhile. */
export async function markRepeated(tx: Transaction, commandId: string, messageId: MessageId): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE consult_command SET message_id = $2, repeats = repeats + 1 WHERE command_id = $1 AND state = 'queued'`,
    [commandId, messageId],
  )
  return changed === 1
}

export interface CommandRow {
  readonly commandId: string
  readonly taskId: TaskId
  readonly type: string
  readonly byAgent: boolean
  readonly state: 'queued' | 'accepted' | 'refused'
  /** Of the event that an accepted command led to. */
  readonly revision: number | null
  readonly problem: Problem | undefined
}

export async function findCommand(db: Queries, commandId: string): Promise<CommandRow | undefined> {
  const row = await db.get<Omit<CommandRow, 'byAgent' | 'problem'> & { byAgent: number; problem: string | null }>(
    'SELECT command_id AS "commandId", task_id AS "taskId", type, by_agent AS "byAgent", state, revision, problem FROM consult_command WHERE command_id = $1',
    [commandId],
  )
  return (
    row && {
      ...row,
      byAgent: Boolean(row.byAgent),
      problem: row.problem === null ? undefined : problemFromNote(JSON.parse(row.problem) as ProblemNote),
    }
  )
}

/** Returns false when this answer has been noted before. */
export async function answerCommand(tx: Transaction, answer: ConsultAnswer, now: EpochMs): Promise<boolean> {
  const [revision, problem] = answer.outcome === 'accepted' ? [answer.revision, null] : [null, JSON.stringify(answer.problem)]
  const changed = await tx.run(
    `UPDATE consult_command SET state = $2, revision = $3, problem = $4, answered_at = $5 WHERE command_id = $1 AND state = 'queued'`,
    [answer.commandId, answer.outcome, revision, problem, now],
  )
  return changed === 1
}

/** Whether the agent has already said this of the task and was not refused. */
export async function agentHasSaid(db: Queries, taskId: TaskId, type: string): Promise<boolean> {
  const row = await db.get<{ said: number }>(
    `SELECT COUNT(*) AS "said" FROM consult_command WHERE task_id = $1 AND type = $2 AND by_agent = 1 AND state <> 'refused'`,
    [taskId, type],
  )
  return (row?.said ?? 0) > 0
}

/** An opinion as it was sealed, until it is settled: verified, and its key object kept. A newer one replaces it. */
export async function keepOpinion(tx: Transaction, taskId: TaskId, opinion: Opinion): Promise<void> {
  await tx.run(
    `INSERT INTO consult_opinion (task_id, body, settled) VALUES ($1, $2, 0) ON CONFLICT (task_id) DO UPDATE SET body = excluded.body, settled = 0`,
    [taskId, JSON.stringify(opinion)],
  )
}

export async function unsettledOpinion(db: Queries, taskId: TaskId): Promise<Opinion | undefined> {
  const row = await db.get<{ body: string }>('SELECT body FROM consult_opinion WHERE task_id = $1 AND settled = 0', [taskId])
  return row && (JSON.parse(row.body) as Opinion)
}

export async function tasksWithUnsettledOpinion(db: Queries): Promise<TaskId[]> {
  return (await db.all<{ taskId: TaskId }>('SELECT task_id AS "taskId" FROM consult_opinion WHERE settled = 0')).map(({ taskId }) => taskId)
}

export async function markSettled(tx: Transaction, taskId: TaskId): Promise<void> {
  await tx.run('UPDATE consult_opinion SET settled = 1 WHERE task_id = $1', [taskId])
}
