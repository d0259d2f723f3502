import type { Transaction } from 'service-kit'
import { Problem, type HospitalId, type TaskId } from 'specs'
import type { StudyRow } from '../archive/archive.ts'
import { findConsult, saveConsult } from '../consult/store.ts'
import { ageAt, factsOfStudy, type Exam } from '../exam/exam.ts'
import { findExam, findExamOfStudy, insertExam, originOf, replaceExam } from '../exam/store.ts'
import type { Correction, MovedExam } from './correction.ts'

export interface Move {
  /** The exam that has the images from now on. */
  readonly examId: string
  readonly moved: MovedExam
}

const counted = ({ seriesCount, instanceCount, sizeBytes, regionId, studyInstanceUid }: StudyRow) => ({ seriesCount, instanceCount, sizeBytes, regionId, studyInstanceUid })

/**
 * The rows of a whole-study move, in one transaction with whatever tells of it: the exam, its consultations and who may open it. @throws {Problem} exam/unknown
 */
export async function moveExam(tx: Transaction, { studyInstanceUid, target }: Correction, study: StudyRow, now: number, here: HospitalId): Promise<Move> {
  const exam = await findExamOfStudy(tx, studyInstanceUid)
  if (!exam) throw new Problem('exam/unknown', { studyInstanceUid })
  const origin = await originOf(tx, exam.examId)
  if (target.kind === 'patient') {
    await replaceExam(tx, { ...exam, ...patientOf(study), ...counted(study), updatedAt: now }, origin === 'images' ? 'confirmed' : origin)
    return { examId: exam.examId, moved: { exam, origin, wasRemoved: false, consults: [] } }
  }
  const registered = await findExam(tx, target.examId)
  if (!registered) throw new Problem('exam/unknown', { examId: target.examId })
  if (registered.examId === exam.examId || registered.studyInstanceUid !== null) {
    // The register's exam has images: these stay an exam beside it, of the same patient under the same number.
    if (registered.examId !== exam.examId) await replaceExam(tx, { ...exam, ...sharedFacts(registered), ...counted(study), updatedAt: now }, 'confirmed')
    return { examId: exam.examId, moved: { exam, origin, wasRemoved: false, consults: [] } }
  }
  const consults = await followConsults(tx, exam.examId, registered.examId, here)
  await removeExam(tx, exam.examId, registered.examId, now)
  await replaceExam(tx, { ...registered, ...gathered(registered, exam), ...counted(study), updatedAt: now }, 'registered')
  return { examId: registered.examId, moved: { exam, origin, wasRemoved: true, consults } }
}

/** The rows as they were; what was written into the register's exam meanwhile stays there. */
export async function moveBack(tx: Transaction, { studyInstanceUid, examId, moved }: Correction, study: StudyRow, now: number, here: HospitalId): Promise<string> {
  if (!moved) throw new Error('only what was moved is moved back')
  const { exam, origin, wasRemoved, consults } = moved
  if (!wasRemoved) {
    const held = await findExamOfStudy(tx, studyInstanceUid)
    if (held) await replaceExam(tx, { ...held, ...sharedFacts(exam), ...counted(study), updatedAt: now }, origin)
    return held?.examId ?? exam.examId
  }
  await tx.run('UPDATE exam SET study_instance_uid = NULL, series_count = 0, instance_count = 0, size_bytes = 0, updated_at = $2 WHERE exam_id = $1', [examId, now])
  await insertExam(tx, { ...exam, ...counted(study), updatedAt: now }, origin)
  for (const taskId of consults) await pointConsult(tx, taskId, exam.examId, here)
  return exam.examId
}

/** Of the study's corrected headers. */
function patientOf(study: StudyRow): Pick<Exam, 'accessionNumber' | 'patientId' | 'patientName' | 'patientSex' | 'patientBirthDate' | 'patientAge' | 'description'> {
  const { accessionNumber, patientId, patientName, patientSex, patientBirthDate, description } = factsOfStudy(study)
  // The age in the header is that of somebody else.
  return { accessionNumber, patientId, patientName, patientSex, patientBirthDate, patientAge: ageAt(study.patientBirthDate, study.studyDate), description }
}

/** What two exams under one number share: the patient, who asked for it, where it belongs. */
function sharedFacts(exam: Exam): Partial<Exam> {
  const { accessionNumber, patientId, patientName, patientSex, patientBirthDate, patientAge, description } = exam
  const { campus, department, area, requestingDepartment, requestingPhysician, patientClass, ward, bed, inpatientNumber, label } = exam
  return { accessionNumber, patientId, patientName, patientSex, patientBirthDate, patientAge, description, campus, department, area, requestingDepartment, requestingPhysician, patientClass, ward, bed, inpatientNumber, label } // prettier-ignore
}

/** What somebody wrote about the images, where the register's exam has nothing; the stricter label. */
function gathered(registered: Exam, images: Exam): Partial<Exam> {
  const fields = ['clinicalHistory', 'reportFindings', 'reportImpression', 'bodyPart', 'studyTime', 'studyDate'] as const
  const filled = Object.fromEntries(fields.filter((field) => registered[field] === '').map((field) => [field, images[field]]))
  return { ...filled, ...(registered.label === 'ordinary' && { label: images.label }) }
}

/** The row goes; what stands under its id follows or ends: a link that was given to the wrong patient opens nothing any more. */
async function removeExam(tx: Transaction, examId: string, successor: string, now: number): Promise<void> {
  await tx.run('UPDATE exam SET legal_hold = 1 WHERE exam_id = $2 AND EXISTS (SELECT 1 FROM exam former WHERE former.exam_id = $1 AND former.legal_hold = 1)', [examId, successor])
  await tx.run('UPDATE patient_token SET revoked_at = $2 WHERE exam_id = $1 AND revoked_at IS NULL', [examId, now])
  await tx.run('UPDATE performed_step SET exam_id = $2 WHERE exam_id = $1', [examId, successor])
  await tx.run('DELETE FROM exam_contact WHERE exam_id = $1', [examId])
  await tx.run('DELETE FROM exam WHERE exam_id = $1', [examId])
}

async function followConsults(tx: Transaction, from: string, to: string, here: HospitalId): Promise<TaskId[]> {
  const rows = await tx.all<{ taskId: TaskId }>('SELECT task_id AS "taskId" FROM consult WHERE exam_id = $1', [from])
  for (const { taskId } of rows) await pointConsult(tx, taskId, to, here)
  return rows.map(({ taskId }) => taskId)
}

async function pointConsult(tx: Transaction, taskId: TaskId, examId: string, here: HospitalId): Promise<void> {
  const consult = await findConsult(tx, taskId)
  if (consult) await saveConsult(tx, { ...consult, examId }, here)
}

