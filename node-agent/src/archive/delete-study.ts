import type { Transaction } from 'service-kit'
import { forgetName } from './name-words.ts'

/** Every table whose rows belong to one study, in the order in which rows can be put back. */
export const studyTables = ['archive_study', 'archive_series', 'archive_series_class', 'archive_instance', 'archive_replacement', 'archive_original', 'archive_coercion', 'archive_study_receiver'] as const

export interface RemovedStudy {
  readonly patientKey: string
  readonly nameKey: string
  readonly instances: number
  readonly sizeBytes: number
}

/** The rows of a study, and what of patient and name belongs to no other. @returns undefined when there is no such study. */
export async function removeStudyRows(tx: Transaction, studyInstanceUid: string): Promise<RemovedStudy | undefined> {
  const study = await tx.get<RemovedStudy>(
    'SELECT patient_key AS "patientKey", patient_name_key AS "nameKey", instance_count AS "instances", size_bytes AS "sizeBytes" FROM archive_study WHERE study_instance_uid = $1',
    [studyInstanceUid],
  )
  for (const table of [...studyTables].reverse()) await tx.run(`DELETE FROM ${table} WHERE study_instance_uid = $1`, [studyInstanceUid])
  if (!study) return undefined
  await tx.run('DELETE FROM archive_patient WHERE patient_key = $1 AND NOT EXISTS (SELECT 1 FROM archive_study WHERE patient_key = $1)', [study.patientKey])
  if (!(await tx.get('SELECT 1 AS one FROM archive_study WHERE patient_name_key = $1 LIMIT 1', [study.nameKey]))) await forgetName(tx, study.nameKey)
  return study
}
