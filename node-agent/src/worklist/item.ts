import type { CodedEntry, EpochMs, PerformedStepRow, WorklistDraft, WorklistState } from 'specs'
import { anElement, type DataItem } from '../dicom/data-set.ts'

/** A scheduled procedure step with the requested procedure, service request, visit and patient around it. */
export interface WorklistItem extends WorklistDraft {
  readonly itemId: string
  /** null: made by hand, to test a modality or for a patient whom nobody registered. */
  readonly examId: string | null
  readonly state: WorklistState
  readonly scheduledStepId: string
  readonly studyInstanceUid: NonNullable<WorklistDraft['studyInstanceUid']>
  readonly createdAt: EpochMs
  readonly updatedAt: EpochMs
}

/** What a device may still be told of, and how the step stands in DICOM's words (0040,0020). */
export const stepStatus: Readonly<Record<WorklistState, string>> = { scheduled: 'SCHEDULED', started: 'STARTED', completed: 'COMPLETED', cancelled: 'CANCELLED' }
export const openStates = ['scheduled', 'started'] as const satisfies readonly WorklistState[]
export const isOpen = ({ state }: Pick<WorklistItem, 'state'>): boolean => state === 'scheduled' || state === 'started'

/**
 * Where a scheduled step stands, by what devices have told of it. One that was only discontinued is to be done again; what a person has
 * cancelled stays cancelled unless a device has done it all the same.
 */
export function decideState(cancelled: boolean, performed: readonly PerformedStepRow['state'][]): WorklistState {
  if (performed.includes('COMPLETED')) return 'completed'
  if (performed.includes('IN PROGRESS')) return 'started'
  return cancelled ? 'cancelled' : 'scheduled'
}

const dicomDate = (iso: string): string => iso.replaceAll('-', '')
const dicomTime = (time: string): string => time.replaceAll(':', '').padEnd(6, '0')

const codeItem = ({ codeValue, codingSchemeDesignator, codeMeaning }: CodedEntry): DataItem => [
  anElement('CodeValue', codeValue),
  anElement('CodingSchemeDesignator', codingSchemeDesignator),
  anElement('CodeMeaning', codeMeaning),
]

/**
 * The item as a modality may read it, with every return key of PS3.4 Table K.6-1 that we know something of.
 * @see IHE RAD TF-2 4.5.4.1.2.2, table 4.5-1
 */
export function dataSetOf(item: WorklistItem): DataItem {
  const step: DataItem = [
    anElement('Modality', item.modality),
    anElement('RequestedContrastAgent', item.requestedContrastAgent),
    anElement('ScheduledStationAETitle', item.scheduledStationAeTitle),
    anElement('ScheduledProcedureStepStartDate', dicomDate(item.startDate)),
    anElement('ScheduledProcedureStepStartTime', dicomTime(item.startTime)),
    anElement('ScheduledPerformingPhysicianName', item.performingPhysician),
    anElement('ScheduledProcedureStepDescription', item.stepDescription),
    anElement('ScheduledProtocolCodeSequence', item.protocolCodes.map(codeItem)),
    anElement('ScheduledProcedureStepID', item.scheduledStepId),
    anElement('ScheduledStationName', item.scheduledStationName),
    anElement('ScheduledProcedureStepLocation', item.stepLocation),
    anElement('PreMedication', item.preMedication),
    anElement('ScheduledProcedureStepStatus', stepStatus[item.state]),
    anElement('CommentsOnTheScheduledProcedureStep', item.comments),
  ]
  return [
    anElement('AccessionNumber', item.accessionNumber),
    anElement('ReferringPhysicianName', item.referringPhysicianName),
    anElement('ReferencedStudySequence', []),
    anElement('ReferencedPatientSequence', []),
    anElement('PatientName', item.patientName),
    anElement('PatientID', item.patientId),
    anElement('IssuerOfPatientID', item.issuerOfPatientId),
    anElement('PatientBirthDate', dicomDate(item.patientBirthDate)),
    anElement('PatientSex', item.patientSex),
    anElement('PatientSize', item.patientSize),
    anElement('PatientWeight', item.patientWeight),
    anElement('MedicalAlerts', item.medicalAlerts),
    anElement('Allergies', item.allergies),
    anElement('PregnancyStatus', item.pregnancyStatus === null ? '' : String(item.pregnancyStatus)),
    anElement('StudyInstanceUID', item.studyInstanceUid),
    anElement('RequestingPhysician', item.requestingPhysician),
    anElement('RequestingService', item.requestingService),
    anElement('RequestedProcedureDescription', item.requestedProcedureDescription),
    anElement('RequestedProcedureCodeSequence', item.requestedProcedureCode ? [codeItem(item.requestedProcedureCode)] : []),
    anElement('AdmissionID', item.admissionId),
    anElement('SpecialNeeds', item.specialNeeds),
    anElement('CurrentPatientLocation', item.currentPatientLocation),
    anElement('PatientState', item.patientState),
    anElement('ScheduledProcedureStepSequence', [step]),
    anElement('RequestedProcedureID', item.requestedProcedureId),
    anElement('ReasonForTheRequestedProcedure', item.reasonForRequestedProcedure),
    anElement('RequestedProcedurePriority', item.requestedProcedurePriority),
    anElement('PatientTransportArrangements', item.patientTransportArrangements),
    anElement('ConfidentialityConstraintOnPatientDataDescription', item.confidentiality),
  ]
}
