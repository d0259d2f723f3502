import type { ExportFormat, ExportLevel, ExportRequest, StudyInstanceUid } from 'specs'

/** What a person has chosen so far. */
export interface ExportDraft {
  level: ExportLevel
  format: ExportFormat
  purpose: string
  reason: string
  authorisation: string
  project: string
  dates: ExportRequest['dates']
  characteristics: boolean
  identification: boolean
  includeShown: boolean
}

export const newDraft = (): ExportDraft => ({ level: 'L1', format: 'dicom', purpose: '', reason: '', authorisation: '', project: '', dates: 'shifted', characteristics: true, identification: false, includeShown: false })

/** Names in full, and pictures that may show them, need the right to unmask. */
export function levelsFor(mayUnmask: boolean): ExportLevel[] {
  return mayUnmask ? ['L1', 'L3', 'L0'] : ['L1', 'L3']
}

/** Fields of another level or format do not go along: what is not seen is not asked for. */
export function requestOf(draft: ExportDraft, studyInstanceUid: StudyInstanceUid, mayUnmask: boolean): ExportRequest {
  const { level, format, purpose, reason, authorisation, project, dates, characteristics, identification, includeShown } = draft
  const isPseudonymous = level === 'L3'
  return {
    studyInstanceUid, level, format,
    purpose: purpose.trim(),
    reason: reason.trim(),
    authorisation: level === 'L0' ? authorisation.trim() : '',
    project: isPseudonymous ? project.trim() : '',
    dates: isPseudonymous ? dates : 'shifted',
    characteristics: isPseudonymous ? characteristics : true,
    identification: format !== 'dicom' && identification,
    includeShown: level !== 'L0' && mayUnmask && includeShown,
  } // prettier-ignore
}

/** Whether everything that is needed has been said. */
export function isComplete({ level, purpose, reason, authorisation }: ExportDraft): boolean {
  return purpose.trim().length >= 2 && reason.trim().length >= 2 && (level !== 'L0' || authorisation.trim().length >= 2)
}
