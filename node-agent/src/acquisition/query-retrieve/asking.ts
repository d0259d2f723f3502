import type { AcquisitionSelection } from 'specs'

/** Keys of C-FIND at STUDY level, DICOM keyword → text. */
export type StudyKeys = Readonly<Record<string, string>>

const returned: StudyKeys = {
  StudyInstanceUID: '', StudyDate: '', StudyTime: '', PatientID: '', PatientName: '', AccessionNumber: '', ModalitiesInStudy: '', StudyDescription: '', NumberOfStudyRelatedInstances: '',
} // prettier-ignore

/**
 * What to ask the source, one question for each modality: many archives match only one value of Modalities in Study (0008,0061).
 * @param today the day of the run, local, whose relatives "yesterday" and "the last days" are.
 */
export function studyQuestions(selection: AcquisitionSelection, today: Date): StudyKeys[] {
  const { patientId, accessionNumber, modalities } = selection
  const common = { ...returned, StudyDate: dateRange(selection.dates, today), PatientID: patientId, AccessionNumber: accessionNumber }
  return modalities.length === 0 ? [common] : modalities.map((modality) => ({ ...common, ModalitiesInStudy: modality }))
}

/** Everything of one patient. */
export const patientQuestion = (patientId: string): StudyKeys => ({ ...returned, PatientID: patientId })

/** The dates as fixed ones, so that a run that waits for its source does not slip into another day. */
export function fixedDates(dates: AcquisitionSelection['dates'], today: Date): AcquisitionSelection['dates'] {
  const before = (days: number) => isoDate(new Date(today.getFullYear(), today.getMonth(), today.getDate() - days))
  switch (dates.kind) {
    case 'today':
      return { kind: 'between', from: before(0), to: before(0) }
    case 'yesterday':
      return { kind: 'between', from: before(1), to: before(1) }
    case 'last-days':
      return { kind: 'between', from: before(dates.days - 1), to: before(0) }
    default:
      return dates
  }
}

/** As in PS3.4 C.2.2.2.5. */
function dateRange(dates: AcquisitionSelection['dates'], today: Date): string {
  const fixed = fixedDates(dates, today)
  if (fixed.kind !== 'between') return ''
  const [from, to] = [fixed.from, fixed.to].map((date) => date.replaceAll('-', ''))
  return from === to ? (from ?? '') : `${from}-${to}`
}

const isoDate = (day: Date): string => `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, '0')}-${String(day.getDate()).padStart(2, '0')}`

/** Where the source ignores a key that it should match, what it answers is looked at again. */
export function isSelected(answer: StudyKeys, selection: AcquisitionSelection): boolean {
  const modalities = (answer['ModalitiesInStudy'] ?? '').split('\\').filter((modality) => modality !== '')
  const { patientId, accessionNumber } = selection
  if (selection.modalities.length > 0 && modalities.length > 0 && !modalities.some((modality) => selection.modalities.includes(modality))) return false
  if (patientId !== '' && !/[*?]/.test(patientId) && (answer['PatientID'] ?? patientId) !== patientId) return false
  return accessionNumber === '' || /[*?]/.test(accessionNumber) || (answer['AccessionNumber'] ?? accessionNumber) === accessionNumber
}
