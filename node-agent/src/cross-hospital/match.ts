import type { Queries } from 'service-kit'
import { factsOfIdCard, type ExamLabel, type PatientIdentity, type StudyInstanceUid } from 'specs'
import type { Sealing } from '../patient/contact.ts'

/** An exam of ours that belongs to the person looked for and has images. */
export interface MatchedExam {
  readonly examId: string
  readonly patientId: string
  readonly study: StudyInstanceUid
  readonly modality: string
  readonly studyDate: string
  readonly label: ExamLabel
}

const MOST = 500

/**
 * Which patient numbers of this register are the person described. Everything that is said must agree, so far as the register knows it;
 * the identity card decides where it is registered. Name and birth date alone name somebody only when nobody else here has both: two
 * people must never be mixed up, and then nobody is found.
 */
export async function matchPatients(db: Queries, vault: Pick<Sealing, 'blindIndex'>, { name, idCard, patientId, birthDate }: PatientIdentity): Promise<string[]> {
  const said = idCard === undefined ? undefined : factsOfIdCard(idCard)
  if (said !== undefined && birthDate !== undefined && birthDate !== said.birthDate) return []
  if (idCard !== undefined) {
    const byCard = await patientsWhere(db, `e.exam_id IN (SELECT c.exam_id FROM exam_contact c WHERE c.id_card_index = $2)`, [name, vault.blindIndex(idCard, 'id-card')])
    // A number of the asking hospital beside it says nothing here.
    if (byCard.length > 0) return byCard
  }
  const born = birthDate ?? said?.birthDate
  if (patientId !== undefined) {
    const byNumber = await patientsWhere(db, `e.patient_id = $2 AND (e.patient_birth_date = $3 OR e.patient_birth_date = '' OR $3 = '')`, [name, patientId, born ?? ''])
    return idCard === undefined ? byNumber : withoutOtherCard(db, byNumber)
  }
  if (born === undefined) return []
  const bySex = said === undefined ? '' : `AND (e.patient_sex = $3 OR e.patient_sex = '')`
  const byBirth = await patientsWhere(db, `e.patient_birth_date = $2 ${bySex}`, said === undefined ? [name, born] : [name, born, said.sex])
  const possible = idCard === undefined ? byBirth : await withoutOtherCard(db, byBirth)
  return possible.length === 1 ? possible : []
}

async function patientsWhere(db: Queries, condition: string, params: readonly string[]): Promise<string[]> {
  const rows = await db.all<{ patientId: string }>(
    `SELECT DISTINCT e.patient_id AS "patientId" FROM exam e WHERE LOWER(e.patient_name) = LOWER($1) AND e.patient_id <> '' AND ${condition} LIMIT 20`,
    [...params],
  )
  return rows.map(({ patientId }) => patientId)
}

/** Whoever has a card in the register has another one than the one we were asked by. */
async function withoutOtherCard(db: Queries, patientIds: readonly string[]): Promise<string[]> {
  const left: string[] = []
  for (const patientId of patientIds) {
    const row = await db.get(
      `SELECT 1 AS one FROM exam e JOIN exam_contact c ON c.exam_id = e.exam_id WHERE e.patient_id = $1 AND c.id_card_index <> '' LIMIT 1`,
      [patientId],
    )
    if (!row) left.push(patientId)
  }
  return left
}

/** Their exams with images, newest first. */
export async function examsOfPatients(db: Queries, patientIds: readonly string[]): Promise<MatchedExam[]> {
  if (patientIds.length === 0) return []
  return db.all<MatchedExam>(
    `SELECT exam_id AS "examId", patient_id AS "patientId", study_instance_uid AS "study", modality, study_date AS "studyDate", label FROM exam
     WHERE study_instance_uid IS NOT NULL AND patient_id IN (${patientIds.map((_id, at) => `$${at + 1}`).join(', ')})
     ORDER BY study_date DESC, study_time DESC, exam_id LIMIT ${MOST}`,
    [...patientIds],
  )
}
