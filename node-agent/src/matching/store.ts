import type { Queries, Transaction } from 'service-kit'
import type { CorrectionState } from 'specs'
import type { Correction } from './correction.ts'

export async function saveCorrection(tx: Transaction, correction: Correction): Promise<void> {
  const { correctionId, studyInstanceUid, target, state, examId, reason, actor, startedAt, endedAt } = correction
  await tx.run(
    `INSERT INTO study_correction (correction_id, study_instance_uid, kind, state, exam_id, reason, actor_id, actor_name, started_at, ended_at, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (correction_id) DO UPDATE SET state = excluded.state, exam_id = excluded.exam_id, ended_at = excluded.ended_at, body = excluded.body`,
    [correctionId, studyInstanceUid, target.kind, state, examId, reason, actor.id, actor.name, startedAt, endedAt, JSON.stringify(correction)],
  )
}

const read = ({ body }: { readonly body: string }): Correction => JSON.parse(body) as Correction

export async function findCorrection(db: Queries, correctionId: string): Promise<Correction | undefined> {
  const row = await db.get<{ body: string }>('SELECT body FROM study_correction WHERE correction_id = $1', [correctionId])
  return row && read(row)
}

/** Newest first. */
export async function correctionsOfStudy(db: Queries, studyInstanceUid: string): Promise<Correction[]> {
  const rows = await db.all<{ body: string }>('SELECT body FROM study_correction WHERE study_instance_uid = $1 ORDER BY started_at DESC, correction_id', [studyInstanceUid])
  return rows.map(read)
}

/** Oldest first. */
export async function correctionsInState(db: Queries, ...states: readonly CorrectionState[]): Promise<Correction[]> {
  const rows = await db.all<{ body: string }>(`SELECT body FROM study_correction WHERE state IN (${states.map((_state, index) => `$${index + 1}`).join(', ')}) ORDER BY started_at`, [...states])
  return rows.map(read)
}

/** Newest first, for the list of what was corrected in this hospital. */
export async function latestCorrections(db: Queries, limit: number): Promise<Correction[]> {
  const rows = await db.all<{ body: string }>('SELECT body FROM study_correction ORDER BY started_at DESC LIMIT $1', [limit])
  return rows.map(read)
}

/** With the exam that is destroyed (LOC-06): a correction names patients. */
export const eraseCorrections = (tx: Transaction, studyInstanceUid: string): Promise<number> => tx.run('DELETE FROM study_correction WHERE study_instance_uid = $1', [studyInstanceUid])
