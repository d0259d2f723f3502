import type { AuditTrail, Database, HttpFace, User } from 'service-kit'
import {
  CorrectionReason, CorrectionRequest, CorrectionRow, MatchSuggestion, Page, Problem, StudyInstanceUid, UnmatchedRow, type EpochMs, type HospitalId, type LiveEvent,
} from 'specs' // prettier-ignore
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { Archive } from '../archive/archive.ts'
import { findExamOfStudy, setOrigin } from '../exam/store.ts'
import type { Correction } from './correction.ts'
import type { Corrections } from './corrections.ts'
import { maskedValue } from './masked-value.ts'
import { correctionsOfStudy, findCorrection, latestCorrections } from './store.ts'
import { listUnmatched, suggestionsFor } from './unmatched.ts'

export interface MatchingRoutes {
  readonly db: Database
  readonly archive: Archive
  readonly access: AccessControl
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly corrections: Corrections
  readonly announce: (event: LiveEvent) => void
  readonly now?: () => EpochMs
}

const OfStudy = z.object({ studyUid: StudyInstanceUid })
const OfCorrection = z.object({ correctionId: z.uuid() })
/** A study of some hundred slices is corrected by then; of a larger one the page hears when it is. */
const PATIENCE_MS = 1_500

const UnmatchedQuery = z.object({
  text: z.string().trim().max(100).optional(),
  modality: z.string().trim().max(16).optional(),
  campus: z.string().trim().max(32).optional(),
  department: z.string().trim().max(32).optional(),
  dateFrom: z.iso.date().optional(),
  dateTo: z.iso.date().optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  after: z.string().regex(/^\d+_[0-9a-f-]{36}$/).optional(),
}) // prettier-ignore

/**
 * 未匹配影像、归属更正与撤销 (ARC-11, ARC-21): asked of whoever may change the exam that the images have and the one that they are to have. The list needs no search
 * key (SEC-05): it is the work of those who register and correct, and shows nobody else.
 */
export function addMatchingRoutes(face: HttpFace, { db, archive, access, audit, hospitalId, corrections, announce, now = Date.now }: MatchingRoutes): void {
  const own = (named: { study?: StudyInstanceUid; examId?: string }) => ({ owner: hospitalId, ...named, kept: 'in-hospital' }) as const

  face.route(
    { method: 'GET', path: '/api/matching/unmatched', summary: 'Images that belong to no registered exam, newest first', allow: ['exam.change', 'exam.register'], query: UnmatchedQuery, answer: Page(UnmatchedRow).extend({ atLeast: z.boolean() }) },
    async ({ user, query: { after, ...query } }) => {
      const { limit: _limit, ...by } = query
      await access.admitUser(user, 'list', { owner: hospitalId, kept: 'in-hospital' }, { action: 'exam.search', by: { ...by, list: 'unmatched' } })
      const [receivedAt, examId] = after?.split('_') ?? []
      return listUnmatched(db, archive, { ...query, after: receivedAt && examId ? { receivedAt: Number(receivedAt), examId } : undefined }, access.conditionFor(user, 'list'))
    },
  )

  face.route(
    { method: 'GET', path: '/api/matching/studies/:studyUid/suggestions', summary: 'Registered exams that the images of a study may belong to, best first', allow: ['exam.list'], params: OfStudy, answer: z.array(MatchSuggestion) },
    async ({ user, params: { studyUid } }) => {
      await access.admitUser(user, 'list', own({ study: studyUid }))
      const exam = await findExamOfStudy(db, studyUid)
      if (!exam) throw new Problem('exam/unknown', { studyInstanceUid: studyUid })
      return suggestionsFor(db, exam, access.conditionFor(user, 'list'))
    },
  )

  face.route(
    { method: 'GET', path: '/api/matching/studies/:studyUid/corrections', summary: 'Corrections of a study, newest first', allow: ['exam.read'], params: OfStudy, answer: z.array(CorrectionRow) },
    async ({ user, params: { studyUid } }) => {
      await access.admitUser(user, 'read', own({ study: studyUid }))
      return (await correctionsOfStudy(db, studyUid)).map(correctionRow)
    },
  )

  face.route(
    { method: 'GET', path: '/api/matching/corrections', summary: 'What was corrected in this hospital, newest first', allow: ['exam.list'], query: z.object({ limit: z.coerce.number().int().min(1).max(200).default(50) }), answer: z.array(CorrectionRow) },
    async ({ user, query: { limit } }) => {
      const all = await latestCorrections(db, limit)
      const seen = await Promise.all(all.map(({ studyInstanceUid }) => access.mayUser(user, 'list', own({ study: studyInstanceUid }))))
      return all.filter((_each, index) => seen[index]).map(correctionRow)
    },
  )

  face.route(
    { method: 'POST', path: '/api/matching/studies/:studyUid/corrections', summary: 'Move a whole study to another exam or patient; headers follow', allow: ['exam.change'], params: OfStudy, body: CorrectionRequest, answer: CorrectionRow },
    async ({ user, params: { studyUid }, body: { target, reason } }) => {
      await access.admitUser(user, 'change', own({ study: studyUid }))
      if (target.kind === 'exam') await access.admitUser(user, 'change', own({ examId: target.examId }))
      const begun = await corrections.begin(user, studyUid, target, reason)
      return { status: 202, body: await settled(begun) }
    },
  )

  face.route(
    { method: 'POST', path: '/api/matching/corrections/:correctionId/undo', summary: 'Put a corrected study back as it came', allow: ['exam.change'], params: OfCorrection, body: CorrectionReason, answer: CorrectionRow },
    async ({ user, params: { correctionId }, body: { reason } }) => {
      const correction = await findCorrection(db, correctionId)
      if (!correction) throw new Problem('request/not-found', { correctionId })
      await access.admitUser(user, 'change', own({ study: correction.studyInstanceUid }))
      return { status: 202, body: await settled(await corrections.undo(user, correctionId, reason)) }
    },
  )

  face.route(
    { method: 'POST', path: '/api/matching/studies/:studyUid/confirm', summary: 'Say that unmatched images are an exam of their own', allow: ['exam.change'], params: OfStudy, body: CorrectionReason },
    async ({ user, params: { studyUid }, body: { reason } }) => {
      await access.admitUser(user, 'change', own({ study: studyUid }))
      const exam = await confirm(user, studyUid, reason)
      announce({ type: 'exam', examId: exam })
      return { status: 204 }
    },
  )

  async function confirm(_user: User, studyUid: StudyInstanceUid, reason: string): Promise<string> {
    return db.write(async (tx) => {
      const exam = await findExamOfStudy(tx, studyUid)
      if (!exam) throw new Problem('exam/unknown', { studyInstanceUid: studyUid })
      await setOrigin(tx, exam.examId, 'confirmed', now())
      const object = { type: 'study', id: studyUid, owner: hospitalId, patientKey: audit.patientKey(hospitalId, exam.patientId) } as const
      await audit.within(tx, { action: 'study.confirm', outcome: 'success', object, reason })
      return exam.examId
    })
  }

  async function settled(begun: Correction): Promise<CorrectionRow> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([corrections.ended(begun.studyInstanceUid), new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)))]).finally(() => clearTimeout(timer))
    return correctionRow((await findCorrection(db, begun.correctionId)) ?? begun)
  }
}

/** As pages show it: masked. */
export function correctionRow({ correctionId, studyInstanceUid, target, state, examId, reason, actor, startedAt, endedAt, changes, instancesRewritten, problem, undone }: Correction): CorrectionRow {
  return {
    correctionId, studyInstanceUid, kind: target.kind, state, examId, reason, by: actor.name, startedAt, endedAt, instancesRewritten, problem,
    changes: changes.map(maskedValue),
    undone: undone && { by: undone.by, at: undone.at, reason: undone.reason },
  } // prettier-ignore
}
