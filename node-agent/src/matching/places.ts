import type { Queries } from 'service-kit'
import { Problem, type StudyInstanceUid, type StudyPlaces } from 'specs'
import type { Archive } from '../archive/archive.ts'

/** Where the files of a study are, where they went, and what took the place of what. @throws {Problem} archive/unknown-study */
export async function placesOf({ db, archive }: { readonly db: Queries; readonly archive: Archive }, studyInstanceUid: StudyInstanceUid): Promise<StudyPlaces> {
  const study = await archive.study(studyInstanceUid)
  if (!study) throw new Problem('archive/unknown-study', { studyInstanceUid })
  const forwards = await db.all<StudyPlaces['forwards'][number]>(
    `SELECT n.ae_title AS "aeTitle", f.state, f.instances_done AS "instancesDone", f.instances_total AS "instancesTotal", f.updated_at AS "updatedAt"
     FROM dicom_forward f JOIN dicom_node n ON n.node_id = f.node_id WHERE f.study_instance_uid = $1 ORDER BY f.updated_at DESC, n.ae_title LIMIT 50`,
    [studyInstanceUid],
  )
  const replaced = await archive.replacements(studyInstanceUid)
  const coerced = await archive.coercions({ studyInstanceUid, limit: 10_000 })
  return {
    tier: study.tier,
    sizeBytes: study.sizeBytes,
    duplicates: study.duplicateCount,
    forwards,
    replaced: grouped(replaced, ({ reason, sourcePeer }) => JSON.stringify([reason, sourcePeer])).map((rows) => ({
      reason: rows[0].reason, by: rows[0].sourcePeer, instances: rows.length, lastAt: Math.max(...rows.map(({ replacedAt }) => replacedAt)),
    })),
    coerced: grouped(coerced, ({ by }) => by).map((rows) => ({ by: rows[0].by, instances: rows.length, lastAt: Math.max(...rows.map(({ coercedAt }) => coercedAt)) })),
  } // prettier-ignore
}

/** In the order in which the keys appear. */
function grouped<T>(rows: readonly T[], keyOf: (row: T) => string): [T, ...T[]][] {
  const groups = new Map<string, [T, ...T[]]>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group) group.push(row)
    else groups.set(keyOf(row), [row])
  }
  return [...groups.values()]
}
