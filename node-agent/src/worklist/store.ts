import { randomUUID } from 'node:crypto'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { Problem, StudyInstanceUid, WorklistDraft, type EpochMs, type PerformedStepRow, type WorklistState } from 'specs'
import { newUid } from '../dicom/uid.ts'
import { decideState, isOpen, type WorklistItem } from './item.ts'

interface ItemRow {
  readonly itemId: string
  readonly examId: string | null
  readonly state: WorklistState
  readonly scheduledStepId: string
  readonly studyInstanceUid: StudyInstanceUid
  readonly draft: string
  readonly createdAt: EpochMs
  readonly updatedAt: EpochMs
}

const columns = `item_id AS "itemId", exam_id AS "examId", state, scheduled_step_id AS "scheduledStepId", study_instance_uid AS "studyInstanceUid", draft,
  created_at AS "createdAt", updated_at AS "updatedAt"`

const itemOf = ({ draft, ...row }: ItemRow): WorklistItem => ({ ...WorklistDraft.parse(JSON.parse(draft)), ...row })

/** What lists are narrowed by; dates are ISO and inclusive. */
export interface WorklistFilter {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly modality?: string | undefined
  /** Of this device, and of no device in particular. */
  readonly station?: string | undefined
  readonly states?: readonly WorklistState[] | undefined
  readonly examId?: string | undefined
  readonly limit: number
  readonly after?: { readonly startDate: string; readonly startTime: string; readonly itemId: string } | undefined
}

/** In the order in which they are to be done. */
export async function listItems(db: Queries, filter: WorklistFilter): Promise<WorklistItem[]> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted: string[] = []
  if (filter.from) wanted.push(`start_date >= ${bind(filter.from)}`)
  if (filter.to) wanted.push(`start_date <= ${bind(filter.to)}`)
  if (filter.modality) wanted.push(`modality = ${bind(filter.modality)}`)
  if (filter.station) wanted.push(`station_ae_title IN (${bind(filter.station)}, '')`)
  if (filter.states) wanted.push(`state IN (${filter.states.map(bind).join(', ')})`)
  if (filter.examId) wanted.push(`exam_id = ${bind(filter.examId)}`)
  if (filter.after) {
    const { startDate, startTime, itemId } = filter.after
    const [date, time] = [bind(startDate), bind(startTime)]
    wanted.push(`(start_date > ${date} OR (start_date = ${date} AND (start_time > ${time} OR (start_time = ${time} AND item_id > ${bind(itemId)}))))`)
  }
  const where = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`
  const rows = await db.all<ItemRow>(`SELECT ${columns} FROM worklist_item ${where} ORDER BY start_date, start_time, item_id LIMIT ${bind(filter.limit)}`, params)
  return rows.map(itemOf)
}

/** @throws {Problem} worklist/unknown */
export async function readItem(db: Queries, itemId: string): Promise<WorklistItem> {
  const row = await db.get<ItemRow>(`SELECT ${columns} FROM worklist_item WHERE item_id = $1`, [itemId])
  if (!row) throw new Problem('worklist/unknown', { itemId })
  return itemOf(row)
}

/** A step's own identifier, of 13 characters: a label's bar code holds it, and SH has 16. */
const newStepId = (): string => `S${randomUUID().replaceAll('-', '').slice(0, 12).toUpperCase()}`

/** @param examId the exam whose step it is; null: nobody registered one. */
export async function addItem(tx: Transaction, draft: WorklistDraft, examId: string | null, now: EpochMs): Promise<WorklistItem> {
  const scheduledStepId = newStepId()
  const item: WorklistItem = {
    ...draft,
    requestedProcedureId: draft.requestedProcedureId || draft.accessionNumber || scheduledStepId,
    itemId: randomUUID(),
    examId,
    state: 'scheduled',
    scheduledStepId,
    studyInstanceUid: draft.studyInstanceUid ?? StudyInstanceUid.parse(newUid()),
    createdAt: now,
    updatedAt: now,
  }
  await tx.run(
    `INSERT INTO worklist_item (item_id, exam_id, state, cancelled, scheduled_step_id, accession_number, study_instance_uid, patient_id, modality, station_ae_title,
       start_date, start_time, draft, created_at, updated_at) VALUES ($1, $2, $3, 0, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`,
    [item.itemId, examId, item.state, scheduledStepId, ...searched(item), stored(item), now],
  )
  return item
}

const searched = (item: WorklistItem): string[] => [item.accessionNumber, item.studyInstanceUid, item.patientId, item.modality, item.scheduledStationAeTitle, item.startDate, item.startTime]
const stored = (item: WorklistItem): string => JSON.stringify(WorklistDraft.parse(item))

/** Only an open item is changed; its identifiers stay, for a device may have them already. @throws {Problem} worklist/unknown, worklist/closed */
export async function changeItem(tx: Transaction, itemId: string, draft: WorklistDraft, now: EpochMs): Promise<{ before: WorklistItem; after: WorklistItem }> {
  const before = await readItem(tx, itemId)
  if (!isOpen(before)) throw new Problem('worklist/closed', { itemId, state: before.state })
  const { studyInstanceUid, requestedProcedureId } = before
  const after: WorklistItem = { ...before, ...draft, studyInstanceUid, requestedProcedureId: draft.requestedProcedureId || requestedProcedureId, updatedAt: now }
  await tx.run(
    `UPDATE worklist_item SET accession_number = $2, study_instance_uid = $3, patient_id = $4, modality = $5, station_ae_title = $6, start_date = $7, start_time = $8,
       draft = $9, updated_at = $10 WHERE item_id = $1`,
    [itemId, ...searched(after), stored(after), now],
  )
  return { before, after }
}

/** A step that a device is busy with is not cancelled under its hands. @throws {Problem} worklist/unknown, worklist/closed */
export async function cancelItem(tx: Transaction, itemId: string, now: EpochMs): Promise<WorklistItem> {
  const before = await readItem(tx, itemId)
  if (before.state !== 'scheduled') throw new Problem('worklist/closed', { itemId, state: before.state })
  await tx.run(`UPDATE worklist_item SET state = 'cancelled', cancelled = 1, updated_at = $2 WHERE item_id = $1`, [itemId, now])
  return { ...before, state: 'cancelled', updatedAt: now }
}

/** What a performed step names of what was scheduled. */
export interface ScheduledReference {
  readonly scheduledStepId: string
  readonly accessionNumber: string
  readonly studyInstanceUid: string
}

/** The items that a device means: by the step's own identifier, otherwise by accession number, otherwise by study. */
export async function itemsMeant(db: Queries, { scheduledStepId, accessionNumber, studyInstanceUid }: ScheduledReference): Promise<WorklistItem[]> {
  for (const [column, value] of [['scheduled_step_id', scheduledStepId], ['accession_number', accessionNumber], ['study_instance_uid', studyInstanceUid]] as const) { // prettier-ignore
    if (value === '') continue
    const rows = await db.all<ItemRow>(`SELECT ${columns} FROM worklist_item WHERE ${column} = $1 ORDER BY created_at LIMIT 20`, [value])
    if (rows.length > 0) return rows.map(itemOf)
  }
  return []
}

/** Brings an item to where its performed steps have it. */
export async function settleItem(tx: Transaction, itemId: string, now: EpochMs): Promise<void> {
  const item = await tx.get<{ cancelled: number; state: WorklistState }>('SELECT cancelled, state FROM worklist_item WHERE item_id = $1', [itemId])
  if (!item) return
  const performed = await tx.all<{ state: PerformedStepRow['state'] }>(
    'SELECT s.state FROM performed_step s JOIN performed_step_item i ON i.sop_instance_uid = s.sop_instance_uid WHERE i.item_id = $1',
    [itemId],
  )
  const state = decideState(item.cancelled === 1, performed.map((step) => step.state)) // prettier-ignore
  if (state !== item.state) await tx.run('UPDATE worklist_item SET state = $2, updated_at = $3 WHERE item_id = $1', [itemId, state, now])
}

/** With the exam everything goes that the worklist knows of its patient (SEC-11). */
export async function eraseOfExam(tx: Transaction, examId: string): Promise<{ scheduledSteps: number; performedSteps: number }> {
  await tx.run(
    `DELETE FROM performed_step_item WHERE sop_instance_uid IN (SELECT sop_instance_uid FROM performed_step WHERE exam_id = $1)
       OR item_id IN (SELECT item_id FROM worklist_item WHERE exam_id = $1)`,
    [examId],
  )
  const performedSteps = await tx.run('DELETE FROM performed_step WHERE exam_id = $1', [examId])
  const scheduledSteps = await tx.run('DELETE FROM worklist_item WHERE exam_id = $1', [examId])
  return { scheduledSteps, performedSteps }
}
