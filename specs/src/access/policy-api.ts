import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'
import { ExamLabel } from '../node-api/exam-placement.ts'
import { Scope } from './rights.ts'

/** What may be done with an exam; the word is part of rules. */
export const doingTexts = {
  list: { zh: '在列表中看到', en: 'See it in lists' },
  read: { zh: '查看检查与报告', en: 'Read exam and report' },
  view: { zh: '调阅影像', en: 'View images' },
  export: { zh: '导出影像文件', en: 'Export image files' },
  register: { zh: '登记', en: 'Register' },
  change: { zh: '修改', en: 'Change' },
  apply: { zh: '申请会诊', en: 'Apply for consultation' },
  store: { zh: '上传影像', en: 'Store images' },
  unmask: { zh: '查看完整患者信息', en: 'Unmask patient data' },
  delete: { zh: '删除', en: 'Delete' },
} as const
export const AccessDoing = z.enum(Object.keys(doingTexts) as [keyof typeof doingTexts, ...(keyof typeof doingTexts)[]])

/** POST /api/access/explain: may this account, or this DICOM node, do this to that exam, and why. */
export const ExplainRequest = z.strictObject({
  who: z.union([z.strictObject({ kind: z.literal('user'), id: z.string().min(1).max(128) }), z.strictObject({ kind: z.literal('dicom-node'), aeTitle: z.string().min(1).max(16) })]),
  doing: AccessDoing,
  exam: z.union([z.strictObject({ examId: z.string().min(1).max(64) }), z.strictObject({ studyInstanceUid: StudyInstanceUid }), z.strictObject({ accessionNumber: z.string().min(1).max(16) })]),
})
export type ExplainRequest = z.infer<typeof ExplainRequest>

/** The steps in their order; the first that is not passed refuses. */
export const ExplainStep = z.object({
  step: z.enum(['right', 'scope', 'deny', 'only', 'relation', 'clearance']),
  passed: z.boolean(),
  zh: z.string(),
  en: z.string(),
  ruleId: z.string().optional(),
})
export const Explanation = z.object({
  allowed: z.boolean(),
  /** own-exam, own-department, treating, rule, break-glass */
  because: z.string().nullable(),
  code: z.string().nullable(),
  title: z.string().nullable(),
  titleEn: z.string().nullable(),
  /** Of the exam only what rights look at: nothing tells who the patient is. */
  exam: z.object({ examId: z.string(), campus: z.string(), department: z.string(), area: z.string(), modality: z.string(), label: ExamLabel, requestingDepartment: z.string() }),
  scopes: z.array(Scope),
  steps: z.array(ExplainStep),
})
export type Explanation = z.infer<typeof Explanation>

/** POST /api/break-glass */
export const BreakGlassRequest = z.strictObject({
  patient: z.union([z.strictObject({ examId: z.string().min(1).max(64) }), z.strictObject({ patientId: z.string().trim().min(1).max(64) }), z.strictObject({ accessionNumber: z.string().trim().min(1).max(16) })]),
  reason: z.string().trim().min(4, '请写明紧急调阅的理由').max(500),
})
export type BreakGlassRequest = z.infer<typeof BreakGlassRequest>

export const BreakGlassRow = z.object({
  breakGlassId: z.string(),
  accountId: z.string(),
  accountName: z.string(),
  department: z.string(),
  /** Keyed hash, as the audit trail names the patient. */
  patientKey: z.string(),
  examId: z.string(),
  reason: z.string(),
  openedAt: EpochMs,
  until: EpochMs,
  endedAt: EpochMs.nullable(),
  /** `overdue`: not reviewed although the time for it is over. */
  state: z.enum(['open', 'unreviewed', 'overdue', 'reviewed']),
  reviewDue: EpochMs,
  review: z.object({ at: EpochMs, by: z.string(), verdict: z.enum(['justified', 'unjustified']), note: z.string() }).nullable(),
})
export type BreakGlassRow = z.infer<typeof BreakGlassRow>

export const BreakGlassReview = z.strictObject({ verdict: z.enum(['justified', 'unjustified']), note: z.string().trim().min(1, '请填写复核意见').max(500) })
export type BreakGlassReview = z.infer<typeof BreakGlassReview>

/** PUT /api/exams/:examId/label */
export const LabelChange = z.strictObject({ label: ExamLabel, reason: z.string().trim().min(1, '请填写理由').max(500) })
