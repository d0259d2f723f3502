import { hasRight, type AuditTrail, type Database, type HttpFace, type User, type Vault } from 'service-kit'
import {
  ExamChange,
  ExamDetail,
  ExamRegistration,
  ExamRow,
  isProblem,
  Page,
  PlacementChange,
  Problem,
  RegionId,
  StudyInstanceUid,
  type EpochMs,
  type HospitalId,
  type LiveEvent,
  type TaskId,
} from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import { requireSearchKey, type ListingPolicy } from '../access/policy/search-key.ts'
import { withDefaultPlace } from './default-place.ts'
import { factsOfExam, type Exam } from './exam.ts'
import { contactSearch, keepContact } from '../patient/contact.ts'
import { restoreChange } from '../patient/masked.ts'
import { examDetail, examRows } from './view.ts'
import { scheduleExam } from '../worklist/schedule-exam.ts'
import { changeExam, findExam, findExamOfStudy, listExams, registerExam } from './store.ts'

export interface ExamRoutes {
  readonly db: Database
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly vault: Vault
  /** `clear`: whoever may unmask sees the page of an exam in full, and the trail is told; lists stay masked. */
  readonly clinicians?: 'masked' | 'clear'
  /** Of an exam that is registered now. */
  readonly regionId: () => RegionId
  readonly newestConsults: (examIds: readonly string[]) => Promise<ReadonlyMap<string, { taskId: TaskId; state: string }>>
  readonly announce: (event: LiveEvent) => void
  readonly audit?: AuditTrail
  /** Whether a list may be asked for without a search key (SEC-05). */
  readonly listing?: ListingPolicy
  readonly now?: () => EpochMs
}

const ListQuery = z.object({
  regionId: RegionId.optional(),
  text: z.string().trim().max(100).optional(),
  modality: z.string().trim().max(16).optional(),
  ...PlacementChange.pick({ campus: true, department: true, area: true, requestingDepartment: true, patientClass: true, ward: true, bed: true, inpatientNumber: true }).shape,
  patientId: z.string().trim().max(64).optional(),
  accessionNumber: z.string().trim().max(16).optional(),
  dateFrom: z.iso.date().optional(),
  dateTo: z.iso.date().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** How far the total is counted; `atLeast` says that there are more. */
  countUpTo: z.coerce.number().int().min(1).max(100_000).optional(),
  after: z
    .string()
    .regex(/^\d+_[0-9a-f-]{36}$/)
    .optional(),
})

/** The hospital's own exams. */
export function addExamRoutes(face: HttpFace, parts: ExamRoutes): void {
  const { db, access, hospitalId, regionId, announce, audit, listing = 'open', now = Date.now } = parts
  const objectOf = ({ examId, patientId }: Pick<Exam, 'examId' | 'patientId'>) =>
    ({ type: 'exam', id: examId, owner: hospitalId, ...(audit && patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) }) as const
  const detailOf = async (exam: Exam | undefined, about: object): Promise<ExamDetail> => {
    if (!exam) throw new Problem('exam/unknown', { ...about })
    return examDetail(parts, exam, 'L1')
  }
  const opened = async (user: User, exam: Exam | undefined, about: object): Promise<ExamDetail> => {
    const isClear = parts.clinicians === 'clear' && exam !== undefined && hasRight(user, 'patient.unmask') && (await access.mayUser(user, 'unmask', own({ examId: exam.examId })))
    if (!isClear) return detailOf(exam, about)
    await audit?.record({ action: 'patient.unmask', outcome: 'success', object: objectOf(exam), basis: 'privacy.clinicians' })
    return examDetail(parts, exam, 'L0')
  }
  /** That a number is taken has to be said; by which exam, only to whoever may have that exam on a list. */
  async function hideUnlessListed(user: User, error: unknown): Promise<never> {
    if (!isProblem(error) || error.code !== 'exam/exists') throw error
    const examId = z.string().safeParse(error.facts['examId']).data
    if (examId !== undefined && (await access.mayUser(user, 'list', own({ examId })))) throw error
    throw new Problem('exam/exists')
  }
  const own = (named: { study?: StudyInstanceUid; examId?: string } = {}) => ({ owner: hospitalId, ...named, kept: 'in-hospital' }) as const

  face.route(
    {
      method: 'GET',
      path: '/api/exams',
      summary: 'Exams of this hospital, newest first',
      allow: ['exam.list'],
      query: ListQuery,
      answer: Page(ExamRow).extend({ atLeast: z.boolean() }),
    },
    async ({ user, query }) => {
      const { text, patientId, accessionNumber, inpatientNumber, limit: _limit, countUpTo: _countUpTo, after: _after, regionId: _regionId, ...more } = query
      await access.admitUser(user, 'list', own(), { action: 'exam.search', by: { text, patientId, accessionNumber, inpatientNumber, ...more } })
      requireSearchKey(listing, [text, patientId, accessionNumber, inpatientNumber])
      const [receivedAt, examId] = query.after?.split('_') ?? []
      const { rows, total, atLeast } = await listExams(db, {
        ...query,
        contact: contactSearch(parts.vault, text),
        permitted: access.conditionFor(user, 'list'),
        after: receivedAt && examId ? { receivedAt: Number(receivedAt), examId } : undefined,
      })
      const last = rows.length === query.limit ? rows.at(-1) : undefined
      return { rows: await examRows(parts, rows, 'L1'), total, atLeast, next: last ? `${last.receivedAt}_${last.examId}` : null }
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/exams/by-study/:studyUid',
      summary: 'The exam of a study',
      allow: ['exam.read'],
      params: z.object({ studyUid: StudyInstanceUid }),
      answer: ExamDetail,
    },
    async ({ user, params: { studyUid } }) => {
      await access.admitUser(user, 'read', own({ study: studyUid }))
      return opened(user, await findExamOfStudy(db, studyUid), { studyInstanceUid: studyUid })
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/exams',
      summary: 'Register an exam, usually before its images arrive',
      allow: ['exam.register'],
      body: ExamRegistration,
      answer: ExamDetail,
    },
    async ({ user, body }) => {
      const registration = withDefaultPlace(user, 'exam.register', body)
      await access.admitNewExam(user, 'register', factsOfExam({ ...registration, examId: 'new' }, hospitalId))
      const examId = await db.write(async (tx) => {
        const id = await registerExam(tx, registration, regionId(), now())
        await keepContact(tx, parts.vault, id, body)
        await audit?.within(tx, { action: 'exam.register', outcome: 'success', object: objectOf({ examId: id, patientId: body.patientId }), after: registration })
        // What has its images already is on no device's list.
        if (((await findExam(tx, id))?.instanceCount ?? 0) === 0) await scheduleExam(tx, id, registration, { hospitalId, audit, at: now() })
        return id
      }).catch((error: unknown) => hideUnlessListed(user, error))
      announce({ type: 'exam', examId })
      return { status: 201, body: await detailOf(await findExam(db, examId), { examId }) }
    },
  )
  const params = z.object({ examId: z.string().min(1).max(64) })
  face.route(
    { method: 'GET', path: '/api/exams/:examId', summary: 'One exam', allow: ['exam.read'], params, answer: ExamDetail },
    async ({ user, params: { examId } }) => {
      await access.admitUser(user, 'read', own({ examId }))
      return opened(user, await findExam(db, examId), { examId })
    },
  )
  face.route(
    {
      method: 'PATCH',
      path: '/api/exams/:examId',
      summary: 'Change history or report',
      allow: ['exam.change'],
      params,
      body: ExamChange,
      answer: ExamDetail,
    },
    async ({ user, params: { examId }, body }) => {
      await access.admitUser(user, 'change', own({ examId }))
      const isChanged = await db.write(async (tx) => {
        const before = await findExam(tx, examId)
        // Nobody moves an exam to where the own rights do not reach.
        if (before) await access.admitNewExam(user, 'change', factsOfExam({ ...before, ...definedIn(body) }, hospitalId))
        if (!before || !(await changeExam(tx, examId, restoreChange(body, before), now()))) return false
        await keepContact(tx, parts.vault, examId, body)
        await audit?.within(tx, { action: 'exam.change', outcome: 'success', object: objectOf(before), ...changeOf(before, body) })
        return true
      })
      if (isChanged) announce({ type: 'exam', examId })
      return detailOf(await findExam(db, examId), { examId })
    },
  )
}

/** Old and new values of what a person changed (SEC-12); what stayed is not repeated. */
function changeOf(before: Exam, change: z.output<typeof ExamChange>): { before: Record<string, unknown>; after: Record<string, unknown> } {
  const held = before as unknown as Record<string, unknown>
  const changed = Object.entries(change).filter(([field, value]) => value !== undefined && value !== held[field])
  return { before: Object.fromEntries(changed.map(([field]) => [field, held[field]])), after: Object.fromEntries(changed) }
}

const definedIn = <T extends object>(change: T): Partial<T> => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>
