import type { ExamRow } from 'specs'

/** What an exam says in words, in the order in which it is read. */
export const examTexts = [
  { field: 'clinicalHistory', label: 'exam.history' },
  { field: 'reportFindings', label: 'exam.findings' },
  { field: 'reportImpression', label: 'exam.impression' },
] as const

/** `20261122` + `093005.12` → `2026-11-22 09:30`; whatever is not there is left out. */
export function examTimeText(studyDate: string, studyTime: string): string {
  const date = studyDate.replaceAll('-', '').match(/^(\d{4})(\d{2})(\d{2})/)
  const time = studyTime.replaceAll(':', '').match(/^(\d{2})(\d{2})/)
  return [date ? `${date[1]}-${date[2]}-${date[3]}` : '', time ? `${time[1]}:${time[2]}` : ''].filter(Boolean).join(' ')
}

/** DICOM person name → what a doctor reads: the ideographic group where there is one, components joined. */
export function personNameText(name: string): string {
  const [alphabetic = '', ideographic = ''] = name.split('=')
  const chosen = ideographic || alphabetic
  const joined = chosen.split('^').filter(Boolean)
  return /[\u3400-\u9fff]/.test(chosen) ? joined.join('') : joined.join(' ')
}

export function viewerAddress(studyInstanceUid: string, options: { taskId?: string; seriesInstanceUid?: string; sopInstanceUid?: string } = {}): string {
  const query = new URLSearchParams({ study: studyInstanceUid })
  if (options.taskId) query.set('task', options.taskId)
  if (options.seriesInstanceUid) query.set('series', options.seriesInstanceUid)
  if (options.sopInstanceUid) query.set('instance', options.sopInstanceUid)
  return `/viewer/?${query}`
}

export function canConsult(exam: Pick<ExamRow, 'studyInstanceUid' | 'instanceCount'>): boolean {
  return exam.studyInstanceUid !== null && exam.instanceCount > 0
}
