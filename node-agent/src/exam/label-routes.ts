import { hasRight, type AuditTrail, type Database, type HttpFace } from 'service-kit'
import { LabelChange, Problem, type HospitalId, type LiveEvent } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import { findExam } from './store.ts'

export interface LabelRoutesParts {
  readonly db: Database
  readonly access: AccessControl
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly announce: (event: LiveEvent) => void
  readonly now?: () => number
}

/** 安全标记 (GB/T 22239 8.1.4.2 g): set by the security administrator, who need not see the exam, or by whoever may change it as it is labelled now. */
export function addLabelRoutes(face: HttpFace, { db, access, audit, hospitalId, announce, now = Date.now }: LabelRoutesParts): void {
  face.route(
    {
      method: 'PUT',
      path: '/api/exams/:examId/label',
      summary: 'Change the security label of an exam',
      allow: ['rule.manage', 'exam.change'],
      params: z.object({ examId: z.string().min(1).max(64) }),
      body: LabelChange,
    },
    async ({ user, params: { examId }, body: { label, reason } }) => {
      if (!hasRight(user, 'rule.manage')) await access.admitUser(user, 'change', { owner: hospitalId, examId, kept: 'in-hospital' })
      await db.write(async (tx) => {
        const exam = await findExam(tx, examId)
        if (!exam) throw new Problem('exam/unknown', { examId })
        await tx.run('UPDATE exam SET label = $2, updated_at = $3 WHERE exam_id = $1', [examId, label, now()])
        const object = { type: 'exam', id: examId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, exam.patientId), label } as const
        await audit.within(tx, { action: 'label.change', outcome: 'success', object, reason, before: { label: exam.label }, after: { label } })
      })
      announce({ type: 'exam', examId })
      return { status: 204 }
    },
  )
}
