import type { Transaction } from 'service-kit'
import type { RegionId } from 'specs'
import { placeholders } from './index-rows.ts'

/** Few enough that images arriving meanwhile hardly wait. */
const STUDIES_AT_ONCE = 100

/** Gives some studies of region `from`, with all their rows, to region `to`. Returns how many; 0 when there are none left. */
export async function adoptStudies(tx: Transaction, from: RegionId, to: RegionId): Promise<number> {
  const studies = await tx.all<{ uid: string; patientKey: string }>(
    `SELECT study_instance_uid AS "uid", patient_key AS "patientKey" FROM archive_study WHERE region_id = $1 LIMIT ${STUDIES_AT_ONCE}`,
    [from],
  )
  if (studies.length === 0) return 0
  const uids = studies.map(({ uid }) => uid)
  const patients = [...new Set(studies.map(({ patientKey }) => patientKey))]
  const change = (table: string, key: string, values: readonly string[]) =>
    tx.run(`UPDATE ${table} SET region_id = $1 WHERE region_id = $2 AND ${key} IN (${placeholders(values.length, 3)})`, [
      to,
      from,
      ...values,
    ])
  await change('archive_instance', 'study_instance_uid', uids)
  await change('archive_series', 'study_instance_uid', uids)
  await change('archive_patient', 'patient_key', patients)
  await change('archive_study', 'study_instance_uid', uids)
  return studies.length
}
