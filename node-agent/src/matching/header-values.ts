import type { ChangedValue, StudyRow } from '../archive/archive.ts'
import { attributeByKeyword } from '../archive/attributes.ts'
import { displayName } from '../exam/patient-name.ts'

/** What a correction writes into headers, by keyword. What is absent stays as each instance says. */
export type CorrectedHeader = Readonly<Partial<Record<(typeof correctable)[number], string>>>
export const correctable = ['PatientName', 'PatientID', 'PatientSex', 'PatientBirthDate', 'AccessionNumber', 'StudyDescription'] as const

export interface RightfulPatient {
  readonly patientId: string
  readonly patientName: string
  readonly patientSex: string
  /** ISO, '' when unknown. */
  readonly patientBirthDate: string
  readonly accessionNumber?: string | undefined
  readonly description?: string | undefined
}

/** What headers must say for images to be this patient's. Where nothing is known of sex or birth date, the wrong ones go away. */
export function headerOf(patient: RightfulPatient, study: StudyRow): CorrectedHeader {
  const isSamePatient = patient.patientId === study.patientId
  const orKept = (value: string, held: string) => (value === '' && isSamePatient ? held : value)
  return {
    // A name in several groups says more than the register's one; it stays where it is the same name.
    PatientName: displayName(study.patientName) === patient.patientName ? study.patientName : personName(patient.patientName),
    PatientID: patient.patientId,
    PatientSex: orKept(patient.patientSex, study.patientSex),
    PatientBirthDate: orKept(patient.patientBirthDate.replaceAll('-', ''), study.patientBirthDate),
    ...(patient.accessionNumber !== undefined && { AccessionNumber: patient.accessionNumber }),
    ...(patient.description !== undefined && patient.description !== '' && { StudyDescription: patient.description.slice(0, 64) }),
  }
}

/** As the register displays it: what would divide groups, components or values (PS3.5 6.2.1) does not get in. */
const personName = (name: string): string => name.replaceAll(/[\^=\\\s]+/g, ' ').trim().slice(0, 64) // prettier-ignore

/** What the index said before, of what changes. */
export function changesOf(header: CorrectedHeader, study: StudyRow): ChangedValue[] {
  return correctable.flatMap((keyword) => {
    const to = header[keyword]
    const from = heldValue(study, keyword)
    return to === undefined || to === from ? [] : [{ attribute: keyword, from, to }]
  })
}

export const heldValue = (study: StudyRow, keyword: (typeof correctable)[number]): string => {
  const member = attributeByKeyword(keyword)?.member
  return member === undefined ? '' : String((study as unknown as Record<string, unknown>)[member] ?? '')
}
