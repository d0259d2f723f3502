import type { Database, Queries } from 'service-kit'
import { Problem, type EpochMs, type OpinionDraft, type SavedDraft, type TaskId } from 'specs'

const empty: SavedDraft = { findings: '', opinion: '', advice: '', keyImages: [], savedAt: null, revision: 0 }

/** The writer's text so far; an empty one if nothing was saved. */
export async function findDraft(db: Queries, taskId: TaskId, userId: string): Promise<SavedDraft> {
  const row = await db.get<{ revision: number; body: string; savedAt: EpochMs }>(
    'SELECT revision, body, saved_at AS "savedAt" FROM consult_draft WHERE task_id = $1 AND user_id = $2',
    [taskId, userId],
  )
  return row ? { ...(JSON.parse(row.body) as OpinionDraft), savedAt: row.savedAt, revision: row.revision } : empty
}

/**
 * Saves over the revision the writer had before their eyes: two desks of one person cannot erase each other's text (COR-15).
 * @param basedOn undefined saves over whatever is there.
 * @throws {Problem} request/conflict with the revision that is there.
 */
export function saveDraft(
  db: Database,
  taskId: TaskId,
  userId: string,
  draft: OpinionDraft,
  basedOn: number | undefined,
  now: EpochMs,
): Promise<SavedDraft> {
  return db.write(async (tx) => {
    const saved = await findDraft(tx, taskId, userId)
    if (basedOn !== undefined && basedOn !== saved.revision) throw new Problem('request/conflict', { revision: saved.revision, basedOn })
    const revision = saved.revision + 1
    const { findings, opinion, advice, keyImages } = draft
    await tx.run(
      `INSERT INTO consult_draft (task_id, user_id, revision, body, saved_at) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (task_id, user_id) DO UPDATE SET revision = excluded.revision, body = excluded.body, saved_at = excluded.saved_at`,
      [taskId, userId, revision, JSON.stringify({ findings, opinion, advice, keyImages }), now],
    )
    return { findings, opinion, advice, keyImages, savedAt: now, revision }
  })
}
