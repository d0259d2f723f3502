import type { Database, HttpFace } from 'service-kit'
import { ConsultApplication, ConsultDetail, ConsultRow, LiveExam, OpinionDraft, Page, RegionId, SavedDraft, SignedDocumentFile, TaskId, type EpochMs } from 'specs'
import { z } from 'zod'
import type { DocumentSigner } from '../signing/signer.ts'
import type { Consults } from './consults.ts'
import { findDraft, saveDraft } from './draft-store.ts'

/** Both ends of a consultation, and whoever sees to its images. */
const clinicians = ['consult.apply', 'consult.process', 'image.view'] as const
const params = z.object({ taskId: TaskId })
const Reason = z.object({ reason: z.string().trim().min(1, '请填写理由').max(500) })

const ListQuery = z.object({
  regionId: RegionId.optional(),
  side: z.enum(['submitter', 'processor', 'data-centre']).optional(),
  state: z.string().max(20).optional(),
  hospital: z.string().max(32).optional(),
  modality: z.string().max(16).optional(),
  /** Days of the application, both inclusive, in this hospital's time zone. */
  dateFrom: z.iso.date().optional(),
  dateTo: z.iso.date().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  after: z
    .string()
    .regex(/^\d+_[0-9a-f-]{36}$/)
    .optional(),
})

const dayStart = (date: string, plusDays = 0): EpochMs => {
  const day = new Date(`${date}T00:00:00`)
  day.setDate(day.getDate() + plusDays)
  return day.getTime()
}

/** 会诊 for the staff pages. A command is answered with 202 when the hub's answer may still be on its way. */
export function addConsultRoutes(
  face: HttpFace,
  { consults, signer, db, now = Date.now }: { consults: Consults; signer: DocumentSigner; db: Database; now?: () => EpochMs },
): void {
  face.route(
    {
      method: 'POST',
      path: '/api/consults',
      summary: 'Apply for a consultation',
      allow: ['consult.apply'],
      body: ConsultApplication,
      answer: ConsultRow,
    },
    async ({ user, body }) => ({ status: 201, body: await consults.apply(user, body) }),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/consults',
      summary: 'Consultations of this hospital, newest first',
      allow: clinicians,
      query: ListQuery,
      answer: Page(ConsultRow),
    },
    ({ user, query: { dateFrom, dateTo, after, ...filter } }) => {
      const [appliedAt, taskId] = after?.split('_') ?? []
      return consults.reading.list(user, {
        ...filter,
        appliedFrom: (dateFrom && dayStart(dateFrom)) || undefined,
        appliedBefore: (dateTo && dayStart(dateTo, 1)) || undefined,
        ...(appliedAt && taskId && { after: { appliedAt: Number(appliedAt), taskId } }),
      })
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/consults/:taskId',
      summary: 'One consultation with its time line',
      allow: clinicians,
      params,
      answer: ConsultDetail,
    },
    (context) => consults.reading.detail(context.user, context.params.taskId),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/consults/:taskId/exam',
      summary: 'The exam as its hospital has it now',
      allow: clinicians,
      params,
      answer: LiveExam,
    },
    (context) => consults.reading.liveExam(context.user, context.params.taskId),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/consults/:taskId/fetch',
      summary: 'Bring the images here now',
      allow: ['consult.process'],
      params,
      answer: ConsultRow,
    },
    async ({ user, params: { taskId } }) => ({
      status: 202,
      body: await consults.fetchImages(user, taskId),
    }),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/consults/:taskId/signed-opinion',
      summary: 'The signed opinion as a file that can be verified without us (npm run pki -- verify-document, or openssl)',
      allow: clinicians,
      params,
      answer: SignedDocumentFile,
    },
    async ({ user, params: { taskId }, response }) => {
      const file = await consults.reading.signedOpinion(user, taskId)
      response.set('Content-Disposition', `attachment; filename="opinion-${taskId}.json"`)
      return file
    },
  )
  addCommandRoutes(face, consults, signer)
  addDraftRoutes(face, { consults, db, now })
}

function addCommandRoutes(face: HttpFace, consults: Consults, signer: DocumentSigner): void {
  const at = (step: string) => ({ method: 'POST', path: `/api/consults/:taskId/${step}`, params, answer: ConsultRow }) as const
  const accepted = async (row: Promise<ConsultRow>) => ({ status: 202, body: await row })
  face.route({ ...at('claim'), summary: 'Take it', allow: ['consult.process'] }, ({ user, params: { taskId } }) =>
    accepted(consults.claim(user, taskId)),
  )
  face.route({ ...at('start'), summary: 'The holder has opened the case', allow: ['consult.process'] }, ({ user, params: { taskId } }) =>
    accepted(consults.start(user, taskId)),
  )
  face.route({ ...at('read'), summary: 'The requester has opened the opinion', allow: ['consult.apply'] }, ({ user, params: { taskId } }) =>
    accepted(consults.markRead(user, taskId)),
  )
  face.route({ ...at('print'), summary: 'The opinion was given to a printer', allow: clinicians }, ({ user, params: { taskId } }) =>
    accepted(consults.markPrinted(user, taskId)),
  )
  face.route({ ...at('release'), summary: 'Give it back', allow: ['consult.process'], body: Reason }, ({ user, params: { taskId }, body }) =>
    accepted(consults.release(user, taskId, body.reason)),
  )
  face.route(
    { ...at('decline'), summary: 'Refuse it for this hospital', allow: ['consult.process'], body: Reason },
    ({ user, params: { taskId }, body }) => accepted(consults.decline(user, taskId, body.reason)),
  )
  face.route(
    { ...at('cancel'), summary: 'Withdraw the application', allow: ['consult.apply'], body: Reason },
    ({ user, params: { taskId }, body }) => accepted(consults.cancel(user, taskId, body.reason)),
  )
  const Signing = z.object({
    draftRevision: z.number().int().nonnegative().optional(),
    /** Unlocks the signer's key in the same step. */
    signingPassword: z.string().min(1).max(200).optional(),
    opinion: OpinionDraft.extend({ opinion: z.string().trim().min(1, '请填写会诊意见').max(20_000) }),
  })
  face.route(
    { ...at('sign'), summary: 'Sign the opinion with my own key', allow: ['consult.process'], body: Signing, limit: { requests: 60, seconds: 60 } },
    async ({ user, sessionId, params: { taskId }, body, request }) => {
      const person = { user, sessionId: sessionId ?? '' }
      const origin = { address: request.ip ?? '', device: request.get('user-agent') ?? '' }
      if (body.signingPassword !== undefined) await signer.unlock(person, body.signingPassword, origin)
      return accepted(consults.sign(person, taskId, body.opinion, body.draftRevision))
    },
  )
}

/** The text so far stays at the server, so that another desk or a phone goes on with it. */
function addDraftRoutes(face: HttpFace, { consults, db, now }: { consults: Consults; db: Database; now: () => EpochMs }): void {
  const path = '/api/consults/:taskId/draft'
  face.route(
    { method: 'GET', path, summary: 'My draft of the opinion', allow: ['consult.process'], params, answer: SavedDraft },
    async ({ user, params: { taskId } }) => {
      await consults.reading.admitReader(user, await consults.reading.read(taskId))
      return findDraft(db, taskId, user.id)
    },
  )
  const Draft = OpinionDraft.extend({ revision: z.number().int().nonnegative().optional() })
  face.route(
    { method: 'PUT', path, summary: 'Save my draft of the opinion', allow: ['consult.process'], params, body: Draft, answer: SavedDraft },
    async ({ user, params: { taskId }, body }) => {
      await consults.reading.admitReader(user, await consults.reading.read(taskId))
      const { revision, ...draft } = body
      return saveDraft(db, taskId, user.id, draft, revision, now())
    },
  )
}
