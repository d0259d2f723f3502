import { hasRight, type AuditTrail, type Database, type HttpFace, type User } from 'service-kit'
import { ConsultDetail, ExamDetail, LiveExam, maskName, maskText, PatientExam, PatientToken, Problem, TaskId, UnmaskedConsult, Unmasking, type EpochMs, type HospitalId } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { Consults } from '../consult/consults.ts'
import { findExam, examsOfPatient } from '../exam/store.ts'
import type { Exam } from '../exam/exam.ts'
import { examDetail, type ExamViewParts } from '../exam/view.ts'
import { examOfPatientToken, issuePatientToken, patientOf, revokePatientToken } from './token.ts'

export interface PatientRoutes extends ExamViewParts {
  readonly db: Database
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly consults: Consults
  readonly audit: AuditTrail
  readonly now?: () => EpochMs
}

const HOUR_MS = 3_600_000
const Printout = z.object({ consult: ConsultDetail, exam: LiveExam.nullable(), masked: z.boolean() })

/** Who sees a patient's identity, and what patients see themselves (SEC-04, SEC-06). */
export function addPatientRoutes(face: HttpFace, parts: PatientRoutes): void {
  addUnmasking(face, parts)
  addPatientAccess(face, parts)
}

/**
 * 查看完整信息: of one record, for this answer only, with a reason, and in the audit trail before anything is shown. Nothing is remembered: the
 * next request is answered masked again.
 */
function addUnmasking(face: HttpFace, parts: PatientRoutes): void {
  const { db, access, hospitalId, consults, audit } = parts
  const objectOf = ({ examId, patientId }: Pick<Exam, 'examId' | 'patientId'>) =>
    ({ type: 'exam', id: examId, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) }) as const
  const examParams = z.object({ examId: z.string().min(1).max(64) })
  const taskParams = z.object({ taskId: TaskId })

  face.route(
    {
      method: 'POST',
      path: '/api/exams/:examId/unmask',
      summary: 'Name, numbers and address of this exam in full, for this answer',
      allow: ['patient.unmask'],
      params: examParams,
      body: Unmasking,
      answer: ExamDetail,
    },
    async ({ user, params: { examId }, body: { reason } }) => {
      await access.admitUser(user, 'unmask', { owner: hospitalId, examId, kept: 'in-hospital' })
      const exam = await findExam(db, examId)
      if (!exam) throw new Problem('exam/unknown', { examId })
      await audit.record({ action: 'patient.unmask', outcome: 'success', object: objectOf(exam), reason, basis: 'own-exam' })
      return examDetail(parts, exam, 'L0')
    },
  )

  face.route(
    {
      method: 'POST',
      path: '/api/consults/:taskId/unmask',
      summary: 'Name and numbers of this consultation in full, for this answer',
      allow: ['patient.unmask'],
      params: taskParams,
      body: Unmasking,
      answer: UnmaskedConsult,
    },
    async ({ user, params: { taskId }, body: { reason } }) => {
      const clear = await admitted(user, taskId)
      await audit.record({ action: 'patient.unmask', outcome: 'success', object: { type: 'task', id: taskId, owner: clear.consult.submitter }, reason, basis: 'task' })
      return { ...clear.consult, exam: clear.exam }
    },
  )

  face.route(
    {
      method: 'POST',
      path: '/api/consults/:taskId/printout',
      summary: 'The opinion as it is printed: in full at the hospital that treats the patient, elsewhere only with the right to unmask',
      allow: ['report.print'],
      params: taskParams,
      answer: Printout,
    },
    async ({ user, params: { taskId } }) => {
      const { consult, exam } = await admitted(user, taskId)
      if (!consult.opinion) throw new Problem('consult/not-open', { state: consult.state })
      const masked = consult.submitter !== hospitalId && !hasRight(user, 'patient.unmask')
      await audit.record({ action: 'consult.print', outcome: 'success', object: { type: 'task', id: taskId, owner: consult.submitter }, facts: { unmasked: !masked } })
      if (!masked) return { consult, exam, masked }
      return { consult: await consults.reading.detail(user, taskId), exam: exam && (await consults.reading.liveExam(user, taskId)), masked }
    },
  )

  async function admitted(user: User, taskId: TaskId) {
    const consult = await consults.reading.read(taskId)
    await consults.reading.admitReader(user, consult)
    return consults.reading.unmasked(user, taskId)
  }
}

/** A patient's look at the own exams of this hospital; how patients get in by themselves is another matter. */
function addPatientAccess(face: HttpFace, { db, access, hospitalId, audit, now = Date.now }: PatientRoutes): void {
  face.route(
    {
      method: 'POST',
      path: '/api/exams/:examId/patient-token',
      summary: 'A token with which the patient of this exam sees the own exams; shown once',
      allow: ['patient.consent'],
      params: z.object({ examId: z.string().min(1).max(64) }),
      body: z.object({ validHours: z.number().int().min(1).max(168).default(24) }),
      answer: PatientToken,
    },
    async ({ user, params: { examId }, body: { validHours } }) => {
      await access.admitUser(user, 'read', { owner: hospitalId, examId, kept: 'in-hospital' })
      const exam = await findExam(db, examId)
      if (!exam) throw new Problem('exam/unknown', { examId })
      if (exam.patientId === '') throw new Problem('request/invalid', { what: 'exam', issues: [{ path: 'patientId', message: 'the exam has no patient number' }] })
      const token = await db.write(async (tx) => {
        const issued = await issuePatientToken(tx, { patientId: exam.patientId, examId, issuedBy: user.id }, { now: now(), validMs: validHours * HOUR_MS })
        await audit.within(tx, { action: 'grant.issue', outcome: 'success', object: { type: 'patient', id: issued.tokenId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, exam.patientId) }, facts: { examId, validHours } })
        return issued
      })
      return { status: 201, body: token }
    },
  )
  face.route(
    {
      method: 'DELETE',
      path: '/api/patient-tokens/:tokenId',
      summary: 'Ends a token of a patient',
      allow: ['patient.consent'],
      params: z.object({ tokenId: z.uuid() }),
    },
    async ({ user, params: { tokenId } }) => {
      const examId = await examOfPatientToken(db, tokenId)
      // Of exams that the person may not read there is no token to be known of.
      const known = examId !== undefined && (await access.mayUser(user, 'read', { owner: hospitalId, examId, kept: 'in-hospital' }))
      await db.write(async (tx) => {
        if (!known || !(await revokePatientToken(tx, tokenId, now()))) throw new Problem('request/not-found', { what: 'patient token' })
        await audit.within(tx, { action: 'grant.withdraw', outcome: 'success', object: { type: 'patient', id: tokenId, owner: hospitalId } })
      })
      return { status: 204 }
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/patient/exams',
      summary: 'The own exams of a patient who shows a token (Authorization: Bearer pt_…)',
      allow: 'anyone',
      limit: { requests: 30, seconds: 60 },
      answer: z.object({ rows: z.array(PatientExam) }),
    },
    async ({ request }) => {
      const { tokenId, patientId } = await patientOf(db, request.get('authorization'), now())
      const rows: PatientExam[] = []
      for (const exam of await examsOfPatient(db, patientId)) if (await access.mayPatient(patientId, 'read', { owner: hospitalId, examId: exam.examId, kept: 'in-hospital' })) rows.push(rowForPatient(exam))
      audit.note({
        action: 'exam.list',
        outcome: 'success',
        actor: { kind: 'stranger', id: `patient-token/${tokenId}` },
        object: { type: 'patient', id: tokenId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, patientId) },
        basis: 'patient',
        facts: { exams: rows.length },
      })
      return { rows }
    },
  )
}

/** On a screen that others may see: the name at L2, no numbers at all. */
function rowForPatient({ examId, patientName, modality, bodyPart, description, studyDate, studyInstanceUid, reportImpression }: Exam): PatientExam {
  const told = (text: string) => maskText(text, 'L2', patientName)
  return { examId, patientName: maskName(patientName, 'L2'), modality, bodyPart, description: told(description), studyDate, studyInstanceUid, reportImpression: told(reportImpression) }
}
