import { maskBirthDate, maskName, maskNumber, maskText, type CorrectedValue } from 'specs'
import { displayName } from '../exam/patient-name.ts'

const masks: Readonly<Record<string, (text: string) => string>> = {
  PatientName: (text) => maskName(displayName(text), 'L1'),
  PatientID: (text) => maskNumber(text, 'L1'),
  PatientBirthDate: (text) => maskBirthDate(text, 'L1'),
  OtherPatientIDs: (text) => maskNumber(text, 'L1'),
}

/** A value of a header before and after, as lists show it (SEC-06). */
export function maskedValue({ attribute, from, to }: CorrectedValue): CorrectedValue {
  const mask = masks[attribute] ?? ((text: string) => maskText(text, 'L1'))
  return { attribute, from: mask(from), to: mask(to) }
}
