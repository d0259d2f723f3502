import type { AuditTrail, Transaction } from 'service-kit'
import { WorklistDraft, type EpochMs, type ExamPlacement, type HospitalId, type StudyInstanceUid } from 'specs'
import { addItem } from './store.ts'

/** As much of a registration as a modality is told. Dates are ISO, '' when unknown. */
export interface RegisteredExam extends Pick<ExamPlacement, 'campus' | 'department' | 'area' | 'requestingDepartment' | 'requestingPhysician' | 'ward' | 'bed' | 'inpatientNumber'> {
  readonly accessionNumber: string
  readonly patientId: string
  readonly patientName: string
  readonly patientSex: 'M' | 'F' | 'O' | ''
  readonly patientBirthDate: string
  readonly modality: string
  readonly bodyPart: string
  readonly description: string
  readonly studyDate: string
  readonly studyTime: string
  readonly studyInstanceUid: StudyInstanceUid | null
  readonly scheduledStationAeTitle: WorklistDraft['scheduledStationAeTitle']
}

/**
 * The step that a registered exam puts on the worklist, in the transaction of the registration: neither is there without the other.
 * A modality that DICOM cannot name (free text of a RIS) is on no device's worklist.
 *
 * @param at when nothing is said of the day: today, in local time.
 */
export async function scheduleExam(tx: Transaction, examId: string, exam: RegisteredExam, { hospitalId, audit, at }: { hospitalId: HospitalId; audit?: AuditTrail | undefined; at: EpochMs }): Promise<void> {
  const local = new Date(at)
  const draft = WorklistDraft.safeParse({
    patientId: exam.patientId,
    patientName: exam.patientName,
    patientSex: exam.patientSex,
    patientBirthDate: exam.patientBirthDate,
    accessionNumber: exam.accessionNumber,
    requestedProcedureId: exam.accessionNumber,
    requestedProcedureDescription: (exam.description || exam.bodyPart).slice(0, 64),
    stepDescription: (exam.description || exam.bodyPart).slice(0, 64),
    requestingPhysician: exam.requestingPhysician,
    requestingService: exam.requestingDepartment,
    admissionId: exam.inpatientNumber,
    currentPatientLocation: [exam.ward, exam.bed].filter((part) => part !== '').join(' ').slice(0, 64), // prettier-ignore
    studyInstanceUid: exam.studyInstanceUid,
    modality: exam.modality.toUpperCase(),
    scheduledStationAeTitle: exam.scheduledStationAeTitle,
    startDate: exam.studyDate || local.toLocaleDateString('sv-SE'),
    startTime: exam.studyTime || local.toLocaleTimeString('sv-SE'),
    campus: exam.campus,
    department: exam.department,
    area: exam.area,
  })
  if (!draft.success) return
  const item = await addItem(tx, draft.data, examId, at)
  await audit?.within(tx, {
    action: 'worklist.schedule',
    outcome: 'success',
    object: { type: 'study', id: item.studyInstanceUid, owner: hospitalId },
    facts: { scheduledStepId: item.scheduledStepId, examId, modality: item.modality, scheduledStationAeTitle: item.scheduledStationAeTitle, startDate: item.startDate, startTime: item.startTime },
  })
}
