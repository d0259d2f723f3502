import type { AuditTrail, Database } from 'service-kit'
import type { HospitalId, StudyInstanceUid } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { findExamOfStudy } from '../exam/store.ts'

const KEPT = 20_000

export interface PatientKeysParts {
  readonly db: Database
  readonly archive: Pick<Archive, 'study'>
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
}

/** Whose study it is, as the trail names patients: the register's number counts, that of the images until the exam is registered. */
export function patientKeysOf({ db, archive, audit, hospitalId }: PatientKeysParts): (study: StudyInstanceUid) => Promise<string | undefined> {
  const known = new Map<StudyInstanceUid, string>()
  return async (study) => {
    const before = known.get(study)
    if (before !== undefined) return before
    const patientId = (await findExamOfStudy(db, study))?.patientId ?? (await archive.study(study))?.patientId
    if (patientId === undefined || patientId === '') return undefined
    const key = audit.patientKey(hospitalId, patientId)
    if (known.size >= KEPT) known.clear()
    known.set(study, key)
    return key
  }
}

/** The studies and exams of a patient of this hospital, for "who looked at this patient". */
export async function objectsOfPatient(db: Database, patientId: string): Promise<string[]> {
  const rows = await db.all<{ examId: string; study: string | null }>(
    'SELECT exam_id AS "examId", study_instance_uid AS "study" FROM exam WHERE patient_id = $1 ORDER BY received_at DESC LIMIT 100',
    [patientId],
  )
  return rows.flatMap(({ examId, study }) => (study === null ? [examId] : [examId, study]))
}
