import { hasRight, type AuditTrail, type HttpFace } from 'service-kit'
import { ArchiveMonitor, ExamStates, Problem, StudyInstanceUid, StudyPlaces, type EpochMs, type HospitalId } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { ListingPolicy } from '../access/policy/search-key.ts'
import { selectExamsWithOrigin } from '../exam/store.ts'
import { statesOf, tracesOf, type TracesParts } from './exam-states.ts'
import { readMonitor } from './monitor.ts'
import { placesOf } from './places.ts'
import { matchedExam } from './unmatched.ts'

export interface MonitorRoutes extends TracesParts {
  readonly access: AccessControl
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly listing?: ListingPolicy
  readonly now?: () => EpochMs
}

const text = z.string().trim().max(64).optional()
const MonitorQuery = z.object({
  since: z.coerce.number().int().min(0).optional(),
  until: z.coerce.number().int().min(0).optional(),
  campus: text,
  department: text,
  modality: text,
  source: text,
})
const StatesQuery = z
  .object({ accessionNumber: z.string().trim().min(1).max(64).optional(), examId: z.string().min(1).max(64).optional(), studyUid: StudyInstanceUid.optional() })
  .refine((query) => Object.values(query).filter((value) => value !== undefined).length === 1, 'one of accessionNumber, examId, studyUid')

const DAY_MS = 86_400_000
const caretakers = ['system.configure', 'system.monitor', 'device.watch'] as const

/** 归档监控与检查状态 (ARC-18, ARC-27). */
export function addMonitorRoutes(face: HttpFace, parts: MonitorRoutes): void {
  const { db, archive, access, audit, hospitalId, listing = 'open', now = Date.now } = parts

  face.route(
    { method: 'GET', path: '/api/archive-monitor', summary: 'What came in, was registered, matched and archived, with what went wrong', allow: [...caretakers], query: MonitorQuery, answer: ArchiveMonitor },
    async ({ user, query: { since = now() - DAY_MS, until = now() + 1, ...filter } }) => {
      // Where nobody lists patients without a search key (SEC-05), the monitor counts and names none.
      const mayList = listing === 'open' && hasRight(user, 'exam.list')
      if (mayList) await access.admitUser(user, 'list', { owner: hospitalId, kept: 'in-hospital' }, { action: 'exam.search', by: { ...filter, list: 'archive-monitor' } })
      return readMonitor({ db, archive, hospitalId }, { since, until, ...filter }, mayList ? access.conditionFor(user, 'list') : undefined)
    },
  )

  face.route(
    { method: 'POST', path: '/api/archive-monitor/failed/:fileId/retry', summary: 'Register an instance again that could not be registered', allow: [...caretakers], params: z.object({ fileId: z.uuid() }) },
    async ({ params: { fileId } }) => {
      const { studyInstanceUid, sizeBytes } = await archive.retryFailed(fileId)
      audit.note({ action: 'study.store', outcome: 'success', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, basis: 'retry', facts: { instances: 1, bytes: sizeBytes } }, { each: true })
      return { status: 204 }
    },
  )

  face.route(
    { method: 'GET', path: '/api/studies/:studyUid/places', summary: 'Where the files of a study are, where they went, and what took the place of what', allow: ['exam.read'], params: z.object({ studyUid: StudyInstanceUid }), answer: StudyPlaces },
    async ({ user, params: { studyUid } }) => {
      await access.admitUser(user, 'read', { owner: hospitalId, study: studyUid, kept: 'in-hospital' })
      return placesOf({ db, archive }, studyUid)
    },
  )

  face.route(
    { method: 'GET', path: '/api/exam-states', summary: 'Key states of an exam: when, by whom, in which system', allow: ['exam.read'], query: StatesQuery, answer: z.array(ExamStates) },
    async ({ user, query: { accessionNumber, examId, studyUid } }) => {
      const [column, value] = accessionNumber !== undefined ? ['accession_number', accessionNumber] : examId !== undefined ? ['exam_id', examId] : ['study_instance_uid', studyUid ?? '']
      const found = await selectExamsWithOrigin(db, (bind) => `e.${column} = ${bind(value)} AND ${access.conditionFor(user, 'read')('e', bind)} ORDER BY e.received_at LIMIT 20`)
      if (found.length === 0) throw new Problem('exam/unknown', {})
      for (const exam of found) await access.admitUser(user, 'read', { owner: hospitalId, examId: exam.examId, kept: 'in-hospital' })
      return Promise.all(found.map(async ({ origin, ...exam }) => ({ exam: matchedExam(exam), origin, studyInstanceUid: exam.studyInstanceUid, states: statesOf(await tracesOf(parts, exam, origin)) })))
    },
  )
}
