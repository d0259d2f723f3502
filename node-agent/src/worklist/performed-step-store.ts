import type { Queries, Transaction } from 'service-kit'
import type { EpochMs, PerformedStepRow } from 'specs'
import type { DataItem } from '../dicom/data-set.ts'
import { rowOf, stateOf } from './performed-step.ts'

interface StoredStep {
  readonly sopInstanceUid: string
  readonly callingAeTitle: string
  readonly studyInstanceUid: string
  readonly accessionNumber: string
  readonly examId: string | null
  readonly dataSet: string
  readonly updatedAt: EpochMs
}

const columns = `s.sop_instance_uid AS "sopInstanceUid", s.calling_ae_title AS "callingAeTitle", s.study_instance_uid AS "studyInstanceUid",
  s.accession_number AS "accessionNumber", s.exam_id AS "examId", s.data_set AS "dataSet", s.updated_at AS "updatedAt"`

const dataSetOf = ({ dataSet }: StoredStep): DataItem => JSON.parse(dataSet) as DataItem // written below
const shown = ({ dataSet, ...kept }: StoredStep): PerformedStepRow => rowOf(JSON.parse(dataSet) as DataItem, kept)

export async function findStep(db: Queries, sopInstanceUid: string): Promise<{ row: PerformedStepRow; dataSet: DataItem } | undefined> {
  const stored = await db.get<StoredStep>(`SELECT ${columns} FROM performed_step s WHERE s.sop_instance_uid = $1`, [sopInstanceUid])
  return stored && { row: shown(stored), dataSet: dataSetOf(stored) }
}

/** What devices have told of the acquisition of an exam or of a study, oldest first (ARC-27). */
export async function performedStepsOf(db: Queries, { study, examId }: { study?: string | undefined; examId?: string | undefined }): Promise<PerformedStepRow[]> {
  const rows = await db.all<StoredStep>(`SELECT ${columns} FROM performed_step s WHERE s.study_instance_uid = $1 OR s.exam_id = $2 ORDER BY s.created_at, s.sop_instance_uid LIMIT 100`, [study ?? '', examId ?? ''])
  return rows.map(shown)
}

/** By worklist item. */
export async function performedStepsOfItems(db: Queries, itemIds: readonly string[]): Promise<ReadonlyMap<string, readonly PerformedStepRow[]>> {
  const found = new Map<string, PerformedStepRow[]>()
  for (let from = 0; from < itemIds.length; from += 500) {
    const some = itemIds.slice(from, from + 500)
    const rows = await db.all<StoredStep & { itemId: string }>(
      `SELECT i.item_id AS "itemId", ${columns} FROM performed_step s JOIN performed_step_item i ON i.sop_instance_uid = s.sop_instance_uid
       WHERE i.item_id IN (${some.map((_id, index) => `$${index + 1}`).join(', ')}) ORDER BY s.created_at, s.sop_instance_uid`,
      [...some],
    )
    for (const { itemId, ...stored } of rows) found.set(itemId, [...(found.get(itemId) ?? []), shown(stored)])
  }
  return found
}

/** @returns false when the device has created it before. */
export async function addStep(tx: Transaction, step: Omit<StoredStep, 'dataSet' | 'updatedAt'>, dataSet: DataItem, itemIds: readonly string[], now: EpochMs): Promise<boolean> {
  const { sopInstanceUid, callingAeTitle, studyInstanceUid, accessionNumber, examId } = step
  const added = await tx.run(
    `INSERT INTO performed_step (sop_instance_uid, state, calling_ae_title, study_instance_uid, accession_number, exam_id, data_set, created_at, updated_at)
     VALUES ($1, 'IN PROGRESS', $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (sop_instance_uid) DO NOTHING`,
    [sopInstanceUid, callingAeTitle, studyInstanceUid, accessionNumber, examId, JSON.stringify(dataSet), now],
  )
  if (added === 0) return false
  for (const itemId of new Set(itemIds)) await tx.run('INSERT INTO performed_step_item (sop_instance_uid, item_id) VALUES ($1, $2)', [sopInstanceUid, itemId])
  return true
}

/** @returns false when it has ended meanwhile. */
export async function saveStep(tx: Transaction, sopInstanceUid: string, dataSet: DataItem, now: EpochMs): Promise<boolean> {
  const saved = await tx.run(`UPDATE performed_step SET state = $2, data_set = $3, updated_at = $4 WHERE sop_instance_uid = $1 AND state = 'IN PROGRESS'`, [
    sopInstanceUid,
    stateOf(dataSet),
    JSON.stringify(dataSet),
    now,
  ])
  return saved === 1
}

export async function itemsOfStep(db: Queries, sopInstanceUid: string): Promise<string[]> {
  return (await db.all<{ itemId: string }>('SELECT item_id AS "itemId" FROM performed_step_item WHERE sop_instance_uid = $1', [sopInstanceUid])).map(({ itemId }) => itemId)
}
