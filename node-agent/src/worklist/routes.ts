import { type AuditTrail, type Database, type HttpFace, type User } from 'service-kit'
import { maskBirthDate, maskName, maskNumber, PerformedStepRow, Page, StudyInstanceUid, WorklistDraft, WorklistRow, WorklistState, type EpochMs, type HospitalId, type LiveEvent } from 'specs' // prettier-ignore
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import { withDefaultPlace } from '../exam/default-place.ts'
import { factsOfItem } from './facts.ts'
import type { WorklistItem } from './item.ts'
import { performedStepsOf, performedStepsOfItems } from './performed-step-store.ts'
import { addItem, cancelItem, changeItem, listItems, readItem } from './store.ts'

export interface WorklistRoutes {
  readonly db: Database
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly audit: AuditTrail
  readonly announce: (event: LiveEvent) => void
  readonly now?: () => EpochMs
}

const ListQuery = z.object({
  from: z.iso.date().optional(),
  to: z.iso.date().optional(),
  modality: z.string().trim().max(16).optional(),
  station: z.string().trim().max(16).optional(),
  state: WorklistState.optional(),
  examId: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** `next` of the page before. */
  after: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}_[\d:]{5,8}_[0-9a-f-]{36}$/)
    .optional(),
})

/** 工作列表: what is to be done at the modalities, made by registration or by hand, and what they have done of it. */
export function addWorklistRoutes(face: HttpFace, { db, access, hospitalId, audit, announce, now = Date.now }: WorklistRoutes): void {
  const own = { owner: hospitalId, kept: 'in-hospital' } as const
  const params = z.object({ itemId: z.string().max(64) })
  const rowsOf = async (items: readonly WorklistItem[]): Promise<WorklistRow[]> => {
    const performed = await performedStepsOfItems(db, items.map(({ itemId }) => itemId)) // prettier-ignore
    return items.map((item) => ({ ...masked(item), performed: [...(performed.get(item.itemId) ?? [])] }))
  }
  const rowOf = async (item: WorklistItem): Promise<WorklistRow> => (await rowsOf([item]))[0]!
  const objectOf = (item: WorklistItem) =>
    ({ type: 'study', id: item.studyInstanceUid, owner: hospitalId, patientKey: audit.patientKey(hospitalId, item.patientId) }) as const
  const factsOf = ({ scheduledStepId, examId, modality, scheduledStationAeTitle, startDate, startTime }: WorklistItem) => ({ scheduledStepId, examId, modality, scheduledStationAeTitle, startDate, startTime })
  const told = (item: WorklistItem) => {
    if (item.examId !== null) announce({ type: 'exam', examId: item.examId })
  }
  /** @throws {Problem} access/… for whom the item's place is out of reach */
  const admitted = async (user: User, item: WorklistItem) => access.admitNewExam(user, 'register', factsOfItem(item, hospitalId))

  face.route(
    { method: 'GET', path: '/api/worklist', summary: '工作列表 / Scheduled procedure steps in the order of their times', allow: ['exam.list'], query: ListQuery, answer: Page(WorklistRow).omit({ total: true }) },
    async ({ user, query }) => {
      await access.admitUser(user, 'list', own, { action: 'exam.search', by: { modality: query.modality } })
      const [startDate = '', startTime = '', itemId = ''] = query.after?.split('_') ?? []
      const items = await listItems(db, { ...query, states: query.state && [query.state], after: query.after === undefined ? undefined : { startDate, startTime, itemId } })
      const last = items.length === query.limit ? items.at(-1) : undefined
      const seen = items.filter((item) => access.maySee(user, 'list', factsOfItem(item, hospitalId)))
      return { rows: await rowsOf(seen), next: last ? `${last.startDate}_${last.startTime}_${last.itemId}` : null }
    },
  )

  face.route(
    { method: 'POST', path: '/api/worklist', summary: 'Schedule a procedure step by hand', allow: ['exam.register'], body: WorklistDraft, answer: WorklistRow },
    async ({ user, body }) => {
      const draft = withDefaultPlace(user, 'exam.register', body)
      await access.admitNewExam(user, 'register', factsOfItem({ ...draft, itemId: 'new', examId: null }, hospitalId))
      const item = await db.write(async (tx) => {
        const added = await addItem(tx, draft, null, now())
        await audit.within(tx, { action: 'worklist.schedule', outcome: 'success', object: objectOf(added), facts: factsOf(added) })
        return added
      })
      return { status: 201, body: await rowOf(item) }
    },
  )

  face.route(
    { method: 'PUT', path: '/api/worklist/:itemId', summary: 'Change a step that no device has ended', allow: ['exam.register'], params, body: WorklistDraft, answer: WorklistRow },
    async ({ user, params: { itemId }, body }) => {
      const known = await readItem(db, itemId)
      await admitted(user, known)
      await admitted(user, { ...known, ...body, studyInstanceUid: known.studyInstanceUid }) // nor into a place out of reach
      const item = await db.write(async (tx) => {
        const { before, after } = await changeItem(tx, itemId, body, now())
        await audit.within(tx, { action: 'worklist.change', outcome: 'success', object: objectOf(after), before: factsOf(before), after: factsOf(after) })
        return after
      })
      told(item)
      return rowOf(item)
    },
  )

  face.route(
    {
      method: 'POST',
      path: '/api/worklist/:itemId/cancel',
      summary: 'Cancel a step that no device has begun',
      allow: ['exam.register'],
      params,
      body: z.object({ reason: z.string().trim().min(1).max(200) }),
      answer: WorklistRow,
    },
    async ({ user, params: { itemId }, body: { reason } }) => {
      await admitted(user, await readItem(db, itemId))
      const item = await db.write(async (tx) => {
        const cancelled = await cancelItem(tx, itemId, now())
        await audit.within(tx, { action: 'worklist.cancel', outcome: 'success', object: objectOf(cancelled), reason, facts: factsOf(cancelled) })
        return cancelled
      })
      told(item)
      return rowOf(item)
    },
  )

  face.route(
    { method: 'GET', path: '/api/studies/:studyUid/performed-steps', summary: '设备采集 / What modalities told of the acquisition (MPPS)', allow: ['exam.read'], params: z.object({ studyUid: StudyInstanceUid }), answer: z.array(PerformedStepRow) },
    async ({ user, params: { studyUid } }) => {
      await access.admitUser(user, 'read', { ...own, study: studyUid })
      return performedStepsOf(db, { study: studyUid })
    },
  )
}

/** As lists of exams are (SEC-06). */
const masked = ({ pregnancyStatus: _p, ...item }: WorklistItem): Omit<WorklistRow, 'performed'> => ({
  ...item,
  patientName: maskName(item.patientName, 'L1'),
  patientId: maskNumber(item.patientId, 'L1'),
  patientBirthDate: maskBirthDate(item.patientBirthDate, 'L1'),
  masked: true,
})
