import type { Database } from 'service-kit'
import type { StoragePolicy } from 'specs'
import { enqueue } from './moves.ts'
import { decideLeaving, decideReplicas, decideTier, type PlacedStudy } from './policy.ts'

export interface SweepParts {
  readonly db: Database
  readonly policy: () => StoragePolicy
  /** Campuses of exams, where rules ask for them. */
  readonly campusesOf: (studies: readonly string[]) => Promise<ReadonlyMap<string, string>>
  readonly now: () => number
}

interface SweptStudy {
  readonly studyInstanceUid: string
  readonly owner: string
  readonly studyDate: string
  readonly receivedAt: number
  readonly updatedAt: number
  readonly openedAt: number
  readonly tier: string
  readonly instanceCount: number
}

const PORTION = 500
const selectStudy = `SELECT study_instance_uid AS "studyInstanceUid", hospital_id AS "owner", study_date AS "studyDate", received_at AS "receivedAt", updated_at AS "updatedAt",
  opened_at AS "openedAt", tier, instance_count AS "instanceCount" FROM archive_study`

/** Looks at studies with the eyes of the rules, and queues what is to be done. */
export class Sweep {
  readonly #parts: SweepParts

  constructor(parts: SweepParts) {
    this.#parts = parts
  }

  /** What has just arrived or changed. @returns how many moves were asked for. */
  async some(uids: readonly string[]): Promise<number> {
    const { tierRules, replicaRules } = this.#parts.policy()
    let asked = 0
    if (tierRules.length + replicaRules.length === 0) return asked
    for (let from = 0; from < uids.length; from += PORTION) {
      const part = uids.slice(from, from + PORTION)
      asked += await this.#look(await this.#parts.db.all<SweptStudy>(`${selectStudy} WHERE study_instance_uid IN (${marks(part)})`, part))
    }
    return asked
  }

  /** Every study: time passes, rules change, and a crash forgets what had just arrived. */
  async whole(signal?: AbortSignal): Promise<number> {
    const { db, now } = this.#parts
    let asked = 0
    let after = ''
    while (!signal?.aborted) {
      const studies = await db.all<SweptStudy>(`${selectStudy} WHERE study_instance_uid > $1 ORDER BY study_instance_uid LIMIT ${PORTION}`, [after])
      asked += await this.#look(studies)
      after = studies.at(-1)?.studyInstanceUid ?? ''
      if (studies.length < PORTION) break
    }
    await db.run("INSERT INTO archive_sweep (name, position, at_ms) VALUES ('whole', '', $1) ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms", [now()])
    return asked
  }

  async #look(studies: readonly SweptStudy[]): Promise<number> {
    const { db, policy, now } = this.#parts
    if (studies.length === 0) return 0
    const rules = policy()
    const uids = studies.map(({ studyInstanceUid }) => studyInstanceUid)
    const modalities = rules.tierRules.some((rule) => rule.modalities.length > 0) ? await this.#modalitiesOf(uids) : new Map<string, string[]>()
    const campuses = rules.tierRules.some((rule) => rule.campuses.length > 0) ? await this.#parts.campusesOf(uids) : new Map<string, string>()
    const held = await this.#copiesOf(uids)
    const wanted: { study: string; storeId: string; kind: 'tier' | 'replica' | 'leave' }[] = []
    for (const study of studies) {
      const uid = study.studyInstanceUid
      const placed: PlacedStudy = { ...study, modalities: modalities.get(uid) ?? [], campus: campuses.get(uid) ?? '' }
      const isWhole = (storeId: string) => (held.get(`${uid}/${storeId}`) ?? 0) >= study.instanceCount
      const tier = decideTier(placed, rules.tierRules, now()) ?? (study.tier === '' ? undefined : study.tier)
      if (tier !== undefined && (study.tier !== tier || !isWhole(tier))) wanted.push({ study: uid, storeId: tier, kind: 'tier' })
      else if (tier !== undefined && decideLeaving({ receivedAt: study.updatedAt, openedAt: study.openedAt }, rules.keepLocalDays, now()) && (await this.#hasLocal(uid))) wanted.push({ study: uid, storeId: tier, kind: 'leave' })
      for (const storeId of decideReplicas(study, rules.replicaRules)) if (!isWhole(storeId)) wanted.push({ study: uid, storeId, kind: 'replica' })
    }
    if (wanted.length > 0)
      await db.write(async (tx) => {
        for (const { study, storeId, kind } of wanted) {
          // What waits already keeps its place and its patience.
          const waits = await tx.get('SELECT 1 AS "one" FROM archive_move WHERE study_instance_uid = $1 AND store_id = $2 AND kind = $3', [study, storeId, kind])
          if (!waits) await enqueue(tx, study, storeId, kind, '', now())
        }
      })
    return wanted.length
  }

  /** Some file that has not left, or that was called back since. */
  async #hasLocal(study: string): Promise<boolean> {
    const row = await this.#parts.db.get(
      `SELECT 1 AS "one" FROM archive_instance instance LEFT JOIN archive_away away ON away.file_id = instance.file_id
       WHERE instance.study_instance_uid = $1 AND (away.file_id IS NULL OR away.left_at = 0) LIMIT 1`,
      [study],
    )
    return row !== undefined
  }

  async #modalitiesOf(uids: readonly string[]): Promise<Map<string, string[]>> {
    const rows = await this.#parts.db.all<{ uid: string; modality: string }>(
      `SELECT DISTINCT study_instance_uid AS "uid", modality FROM archive_series WHERE study_instance_uid IN (${marks(uids)})`,
      uids,
    )
    const found = new Map<string, string[]>()
    for (const { uid, modality } of rows) found.set(uid, [...(found.get(uid) ?? []), modality])
    return found
  }

  /** How many of a study's present files have a copy, by `study/store`. */
  async #copiesOf(uids: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#parts.db.all<{ uid: string; storeId: string; files: number }>(
      `SELECT copy.study_instance_uid AS "uid", copy.store_id AS "storeId", COUNT(*) AS "files" FROM archive_copy copy JOIN archive_instance instance ON instance.file_id = copy.file_id
       WHERE copy.study_instance_uid IN (${marks(uids)}) AND (CASE WHEN instance.path LIKE '%.sm4' THEN 1 ELSE 0 END) = (CASE WHEN copy.object_key LIKE '%.sm4' THEN 1 ELSE 0 END)
       GROUP BY copy.study_instance_uid, copy.store_id`,
      uids,
    )
    return new Map(rows.map(({ uid, storeId, files }) => [`${uid}/${storeId}`, files]))
  }
}

const marks = (values: readonly unknown[]): string => values.map((_value, at) => `$${at + 1}`).join(', ')
