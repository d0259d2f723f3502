import type { AuditTrail, Database, Log, Queries, Transaction } from 'service-kit'
import { isProblem, Problem, type EpochMs, type HospitalId, type LiveEvent, type PerformedStepRow } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { readDataSet, SPECIFIC_CHARACTER_SET, type DataItem } from '../dicom/data-set.ts'
import { newUid } from '../dicom/uid.ts'
import { isUid } from '../dimse/byte-reader.ts'
import { commandFields } from '../dimse/command-set.ts'
import { answerOf, type MessageService, type Reply, type SmallRequest, status } from '../dimse/services.ts'
import { MODALITY_PERFORMED_PROCEDURE_STEP } from '../dimse/sop-classes.ts'
import { factsOfItem } from './facts.ts'
import type { WorklistItem } from './item.ts'
import { changed, contentOf, patientIdOf, referencesOf, requireBeginning, stateOf } from './performed-step.ts'
import { addStep, findStep, itemsOfStep, saveStep } from './performed-step-store.ts'
import type { WorklistDevice } from './device.ts'
import { itemsMeant, settleItem } from './store.ts'

export interface PerformedStepsParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly deviceOf: (aeTitle: string) => Promise<WorklistDevice | undefined>
  readonly announce: (event: LiveEvent) => void
  readonly now?: () => EpochMs
}

/** PS3.4 Table F.7.2-2: the error identifier of a step that may no longer be updated. */
const NO_LONGER_UPDATED = 0xa710

/**
 * Modality Performed Procedure Step as SCP (PS3.4 F.7): N-CREATE begins a step, N-SET tells how it goes on and ends. What a device has told
 * is in the database, with the item it belongs to and the record of it, before the device hears success.
 */
export class PerformedSteps implements MessageService {
  readonly kind = 'procedure-step'
  readonly commands = [commandFields.nCreate, commandFields.nSet]
  readonly #parts: PerformedStepsParts

  constructor(parts: PerformedStepsParts) {
    this.#parts = parts
  }

  async *answer(request: SmallRequest): AsyncGenerator<Reply> {
    try {
      if (!request.dataset) throw new Problem('worklist/missing-attribute', { attribute: 'PerformedProcedureStepStatus' })
      const told = readDataSet(request.dataset, request.transferSyntaxUid).filter(({ tag }) => tag !== SPECIFIC_CHARACTER_SET)
      const device = await this.#admitted(request)
      if (request.command.commandField === commandFields.nCreate) yield await this.#create(request, told, device)
      else yield await this.#set(request, told, device)
    } catch (error) {
      if (!isProblem(error) || error.code !== 'worklist/step-final') throw error
      // The one refusal that has an identifier of its own.
      yield { answer: answerOf(error), command: { affectedSopClassUid: MODALITY_PERFORMED_PROCEDURE_STEP, errorId: NO_LONGER_UPDATED } }
    }
  }

  async #admitted({ caller: { callingAeTitle } }: SmallRequest): Promise<WorklistDevice | undefined> {
    const { access, hospitalId, deviceOf } = this.#parts
    const device = await deviceOf(callingAeTitle)
    await access.admitDicomNode(callingAeTitle, device?.rights, 'register', { owner: hospitalId, kept: 'in-hospital' })
    return device
  }

  async #create({ command, caller }: SmallRequest, step: DataItem, device: WorklistDevice | undefined): Promise<Reply> {
    const { db, now = Date.now } = this.#parts
    // A device may leave the naming to us (PS3.7 10.1.5.1.4).
    const sopInstanceUid = command.affectedSopInstanceUid ?? newUid()
    if (!isUid(sopInstanceUid)) throw new Problem('worklist/invalid-value', { attribute: 'AffectedSOPInstanceUID' })
    if (await findStep(db, sopInstanceUid)) throw new Problem('worklist/step-exists', { sopInstanceUid })
    requireBeginning(step)
    const at = now()
    const row = await db.write(async (tx) => {
      const meant = await this.#meant(tx, step, caller.callingAeTitle, device)
      const { items } = meant
      const known = { sopInstanceUid, callingAeTitle: caller.callingAeTitle, studyInstanceUid: meant.studyInstanceUid, accessionNumber: meant.accessionNumber, examId: meant.examId }
      if (!(await addStep(tx, known, step, items.map(({ itemId }) => itemId), at))) throw new Problem('worklist/step-exists', { sopInstanceUid }) // prettier-ignore
      for (const { itemId } of items) await settleItem(tx, itemId, at)
      return this.#tell(tx, sopInstanceUid, step, { scheduled: items.length > 0, otherPatient: meant.otherPatient })
    })
    this.#announce(row)
    return { answer: { status: status.success }, command: { affectedSopClassUid: MODALITY_PERFORMED_PROCEDURE_STEP, affectedSopInstanceUid: sopInstanceUid } }
  }

  async #set({ command }: SmallRequest, modifications: DataItem, device: WorklistDevice | undefined): Promise<Reply> {
    const { db, now = Date.now } = this.#parts
    const sopInstanceUid = command.requestedSopInstanceUid ?? ''
    const at = now()
    const row = await db.write(async (tx) => {
      const found = await findStep(tx, sopInstanceUid)
      if (!found) throw new Problem('worklist/unknown-step', { sopInstanceUid: sopInstanceUid.slice(0, 64) })
      if (device === undefined) throw new Problem('dimse/unknown-ae')
      const step = changed(found.dataSet, modifications)
      if (!(await saveStep(tx, sopInstanceUid, step, at))) throw new Problem('worklist/step-final', { sopInstanceUid })
      const items = await itemsOfStep(tx, sopInstanceUid)
      for (const itemId of items) await settleItem(tx, itemId, at)
      if (stateOf(step) === 'IN PROGRESS') return (await findStep(tx, sopInstanceUid))?.row
      return this.#tell(tx, sopInstanceUid, step, { scheduled: items.length > 0 })
    })
    this.#announce(row)
    return { answer: { status: status.success }, command: { affectedSopClassUid: MODALITY_PERFORMED_PROCEDURE_STEP, affectedSopInstanceUid: sopInstanceUid } }
  }

  /** What was scheduled for it, as far as the device may touch that and names the same patient. */
  async #meant(tx: Queries, step: DataItem, aeTitle: string, device: WorklistDevice | undefined) {
    const { access, hospitalId } = this.#parts
    const references = referencesOf(step)
    const items: WorklistItem[] = []
    let otherPatient = false
    for (const reference of references) {
      for (const item of await itemsMeant(tx, reference)) {
        if (device && !access.mayDevice(aeTitle, device.rights, 'register', factsOfItem(item, hospitalId))) throw new Problem('access/out-of-scope', { doing: 'register' })
        const patientId = patientIdOf(step)
        // Another patient's row was chosen at the device, or the patient was changed there: nobody's item is ended by that.
        if (patientId !== '' && patientId !== item.patientId) otherPatient = true
        else items.push(item)
      }
    }
    const studyInstanceUid = references.find((each) => each.studyInstanceUid !== '')?.studyInstanceUid ?? items[0]?.studyInstanceUid ?? ''
    const accessionNumber = references.find((each) => each.accessionNumber !== '')?.accessionNumber ?? items[0]?.accessionNumber ?? ''
    const examId = otherPatient ? null : (items.find((item) => item.examId !== null)?.examId ?? (await examOf(tx, studyInstanceUid, accessionNumber)))
    return { items, otherPatient, studyInstanceUid, accessionNumber, examId }
  }

  /** Into the study's time line, with the step or not at all. */
  async #tell(tx: Transaction, sopInstanceUid: string, step: DataItem, more: { scheduled: boolean; otherPatient?: boolean }): Promise<PerformedStepRow | undefined> {
    const { audit, hospitalId } = this.#parts
    const row = (await findStep(tx, sopInstanceUid))?.row
    if (!row) return undefined
    const patientId = patientIdOf(step)
    const { seriesCount, instanceCount, dose } = contentOf(step)
    await audit.within(tx, {
      action: 'study.acquire',
      outcome: row.state === 'DISCONTINUED' ? 'failed' : 'success',
      actor: { kind: 'dicom-node', id: row.callingAeTitle },
      object: { type: 'study', id: row.studyInstanceUid, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) },
      ...(row.discontinuationReason !== '' && { reason: row.discontinuationReason }),
      facts: {
        state: row.state, source: row.stationAeTitle || row.callingAeTitle, modality: row.modality, series: seriesCount, instances: instanceCount, dose,
        performedStep: sopInstanceUid, startedAt: row.startedAt, endedAt: row.endedAt, scheduled: more.scheduled, ...(more.otherPatient && { otherPatient: true }),
      }, // prettier-ignore
    })
    return row
  }

  #announce(row: PerformedStepRow | undefined): void {
    if (row?.examId) this.#parts.announce({ type: 'exam', examId: row.examId })
    this.#parts.log.info({ state: row?.state, studyInstanceUid: row?.studyInstanceUid, performedStep: row?.sopInstanceUid }, 'a performed procedure step was told')
  }
}

async function examOf(tx: Queries, studyInstanceUid: string, accessionNumber: string): Promise<string | null> {
  const row = await tx.get<{ examId: string }>(
    `SELECT exam_id AS "examId" FROM exam WHERE (study_instance_uid = $1 AND $1 <> '') OR (accession_number = $2 AND $2 <> '') ORDER BY received_at LIMIT 1`,
    [studyInstanceUid, accessionNumber],
  )
  return row?.examId ?? null
}

