import type { AuditTrail } from 'service-kit'
import type { HospitalId } from 'specs'

/** What somebody searched by: DICOM keyword or name of the parameter → text as it came. */
export type Search = Readonly<Record<string, string | undefined>>

/** Says nothing of who the patient is; everything that does not stand here is kept in a form that cannot be read off. */
const telling: ReadonlySet<string> = new Set([
  'Modality', 'ModalitiesInStudy', 'StudyDate', 'StudyTime', 'SeriesDate', 'SeriesTime', 'BodyPartExamined', 'SOPClassUID', 'SOPClassesInStudy', 'StudyInstanceUID',
  'SeriesInstanceUID', 'SOPInstanceUID', 'SeriesNumber', 'InstanceNumber', 'modality', 'dateFrom', 'dateTo', 'campus', 'department', 'area', 'requestingDepartment', 'patientClass', 'ward',
]) // prettier-ignore
/** Here a whole patient number may stand. */
const numbering: ReadonlySet<string> = new Set(['PatientID', 'patientId', 'text'])
const wildcards = /[*?^=%_]/g

export interface KeptTerm {
  readonly by: string
  /** As it came, or its first letter alone. */
  readonly shown: string
  /** Keyed hash of what is not shown: the same words give the same mark, and nobody reads them off it. */
  readonly mark?: string
}

/**
 * Search terms as the trail keeps them (SEC-05, 8.1.4.3 b): enough to see what was looked for and to recognise it, without the patient's
 * name or number. @returns `patientKey` when a patient's number was asked for, so that the search is found under that patient.
 */
export function keptTerms(trail: Pick<AuditTrail, 'patientKey'>, here: HospitalId, search: Search): { terms: readonly KeptTerm[]; patientKey?: string } {
  const terms: KeptTerm[] = []
  let patientKey: string | undefined
  for (const [by, given = ''] of Object.entries(search)) {
    const text = given.trim()
    if (text === '') continue
    if (telling.has(by)) {
      terms.push({ by, shown: text })
      continue
    }
    const plain = text.toLowerCase().replaceAll(wildcards, ' ').replaceAll(/\s+/g, ' ').trim()
    const [first = ''] = text
    const hidden = [...text].length - 1
    terms.push({ by, shown: first + '*'.repeat(Math.min(8, Math.max(1, hidden))), mark: trail.patientKey(here, `search\0${plain}`) })
    if (numbering.has(by) && /\d/.test(text) && text.replaceAll(wildcards, '') === text) patientKey = trail.patientKey(here, text)
  }
  return { terms, ...(patientKey !== undefined && { patientKey }) }
}
