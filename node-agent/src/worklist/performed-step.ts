import { Problem, type PerformedStepRow } from 'specs'
import { elementOf, itemsAt, textAt, type DataItem } from '../dicom/data-set.ts'
import { tagOf } from '../dicom/dictionary.ts'
import type { ScheduledReference } from './store.ts'

export type PerformedState = PerformedStepRow['state']
const states: readonly string[] = ['IN PROGRESS', 'COMPLETED', 'DISCONTINUED'] satisfies PerformedState[]

/** PS3.4 Table F.7.2-1: what N-SET may not change. */
const fixedAtCreation = new Set(
  ['ScheduledStepAttributesSequence', 'PatientName', 'PatientID', 'IssuerOfPatientID', 'PatientBirthDate', 'PatientSex', 'ReferencedPatientSequence', 'PerformedProcedureStepID',
    'PerformedStationAETitle', 'PerformedStationName', 'PerformedLocation', 'PerformedProcedureStepStartDate', 'PerformedProcedureStepStartTime', 'Modality', 'StudyID'].map((keyword) => tagOf(keyword)), // prettier-ignore
)

/**
 * Whether a device may begin a step with these attributes (N-CREATE).
 * @throws {Problem} worklist/missing-attribute (0x0120), worklist/invalid-value (0x0106): a step begins IN PROGRESS and no other way.
 */
export function requireBeginning(step: DataItem): void {
  const status = textAt(step, 'PerformedProcedureStepStatus')
  if (status === '') throw missing('PerformedProcedureStepStatus')
  if (status !== 'IN PROGRESS') throw new Problem('worklist/invalid-value', { attribute: 'PerformedProcedureStepStatus', value: status.slice(0, 16) })
  if (itemsAt(step, 'ScheduledStepAttributesSequence').length === 0) throw missing('ScheduledStepAttributesSequence')
  if (!itemsAt(step, 'ScheduledStepAttributesSequence').some((item) => isUid(textAt(item, 'StudyInstanceUID')))) throw missing('StudyInstanceUID')
  for (const keyword of ['PerformedProcedureStepID', 'PerformedStationAETitle', 'PerformedProcedureStepStartDate', 'PerformedProcedureStepStartTime', 'Modality'])
    if (textAt(step, keyword) === '') throw missing(keyword)
}

/**
 * The step as N-SET leaves it: attributes that are named take the place of those before, the rest stays.
 * @throws {Problem} worklist/step-final (0x0110, A710) once it has ended; worklist/invalid-value.
 * @see PS3.4 F.7.2.2
 */
export function changed(before: DataItem, modifications: DataItem): DataItem {
  if (stateOf(before) !== 'IN PROGRESS') throw new Problem('worklist/step-final', { state: stateOf(before) })
  const status = textAt(modifications, 'PerformedProcedureStepStatus')
  if (status !== '' && !states.includes(status)) throw new Problem('worklist/invalid-value', { attribute: 'PerformedProcedureStepStatus', value: status.slice(0, 16) })
  const taken = modifications.filter(({ tag }) => !fixedAtCreation.has(tag))
  const replaced = new Set(taken.map(({ tag }) => tag))
  return [...before.filter(({ tag }) => !replaced.has(tag)), ...taken].sort((a, b) => a.tag - b.tag)
}

export function stateOf(step: DataItem): PerformedState {
  const status = textAt(step, 'PerformedProcedureStepStatus')
  return status === 'COMPLETED' || status === 'DISCONTINUED' ? status : 'IN PROGRESS'
}

/** What it names of the worklist; several where one scan answers several requests. */
export const referencesOf = (step: DataItem): ScheduledReference[] =>
  itemsAt(step, 'ScheduledStepAttributesSequence').map((item) => ({
    scheduledStepId: textAt(item, 'ScheduledProcedureStepID'),
    accessionNumber: textAt(item, 'AccessionNumber'),
    studyInstanceUid: isUid(textAt(item, 'StudyInstanceUID')) ? textAt(item, 'StudyInstanceUID') : '',
  }))

const DOSE_REPORTS = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\.(?:67|68|73|74|75|76)$/ // X-Ray, radiopharmaceutical, patient, enhanced X-Ray, … dose SR

const doseTexts = {
  areaDoseProduct: 'ImageAndFluoroscopyAreaDoseProduct',
  entranceDose: 'EntranceDose',
  entranceDoseInmGy: 'EntranceDoseInmGy',
  totalTimeOfFluoroscopy: 'TotalTimeOfFluoroscopy',
  totalNumberOfExposures: 'TotalNumberOfExposures',
} as const

/** Series, instances and dose as the device has told them up to now. */
export function contentOf(step: DataItem): Pick<PerformedStepRow, 'seriesCount' | 'instanceCount' | 'dose'> {
  const series = itemsAt(step, 'PerformedSeriesSequence')
  const images = series.flatMap((item) => itemsAt(item, 'ReferencedImageSequence'))
  const others = series.flatMap((item) => itemsAt(item, 'ReferencedNonImageCompositeSOPInstanceSequence'))
  const reports = others.filter((item) => DOSE_REPORTS.test(textAt(item, 'ReferencedSOPClassUID'))).map((item) => textAt(item, 'ReferencedSOPInstanceUID'))
  const told = Object.entries(doseTexts).flatMap(([name, keyword]) => (textAt(step, keyword) === '' ? [] : [[name, textAt(step, keyword)] as const]))
  const exposures = itemsAt(step, 'ExposureDoseSequence').length
  return {
    seriesCount: series.length,
    instanceCount: images.length + others.length,
    dose: { ...Object.fromEntries(told), ...(exposures > 0 && { exposures: String(exposures) }), ...(reports.length > 0 && { doseReports: reports.join(' ') }) },
  }
}

export function rowOf(step: DataItem, kept: Pick<PerformedStepRow, 'sopInstanceUid' | 'callingAeTitle' | 'studyInstanceUid' | 'accessionNumber' | 'examId' | 'updatedAt'>): PerformedStepRow {
  const [reason] = itemsAt(step, 'PerformedProcedureStepDiscontinuationReasonCodeSequence')
  return {
    ...kept,
    state: stateOf(step),
    stationAeTitle: textAt(step, 'PerformedStationAETitle'),
    modality: textAt(step, 'Modality'),
    performedStepId: textAt(step, 'PerformedProcedureStepID'),
    startedAt: `${textAt(step, 'PerformedProcedureStepStartDate')} ${textAt(step, 'PerformedProcedureStepStartTime')}`.trim(),
    endedAt: `${textAt(step, 'PerformedProcedureStepEndDate')} ${textAt(step, 'PerformedProcedureStepEndTime')}`.trim(),
    ...contentOf(step),
    discontinuationReason: reason ? textAt(reason, 'CodeMeaning') || textAt(reason, 'CodeValue') : '',
  }
}

/** Where it is empty, the device did not ask. */
export const patientIdOf = (step: DataItem): string => (elementOf(step, 'PatientID')?.text ?? '').trim()

const isUid = (text: string): boolean => text.length <= 64 && /^[0-9]+(?:\.[0-9]+)*$/.test(text)
const missing = (attribute: string): Problem => new Problem('worklist/missing-attribute', { attribute })
