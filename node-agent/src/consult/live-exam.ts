import type { Database } from 'service-kit'
import { ExamRead, ExamSnapshot, HospitalId, isProblem, parseWith, Problem, services, type EpochMs, type LiveExam, type SignedAssertion } from 'specs'
import type { TrustStore } from 'pki'
import type { AccessControl } from '../access/access-control.ts'
import { isGenuineGrant } from '../access/verify-grant.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import { snapshotOf } from '../exam/exam.ts'
import { findExamOfStudy } from '../exam/store.ts'
import type { Line } from '../region/line.ts'
import type { Consult } from './consult.ts'

/** Nobody watches an empty page for longer; the copy is shown then. */
const LIVE_TIMEOUT_MS = 3_000
const unreachable = new Set(['region/hospital-offline', 'region/hub-unreachable', 'region/not-joined'])

/**
 * The exam as its hospital has it at this moment (CON-12), or the copy that came with the request when it cannot be
 * reached. A grant that was withdrawn is no outage: then there is nothing to show.
 * @throws {Problem} access/…, exam/unknown
 */
export async function readLiveExam(line: Line, consult: Consult, now: EpochMs, assertion?: SignedAssertion): Promise<LiveExam> {
  const [studyInstanceUid] = consult.facts.studyInstanceUids
  const request = { studyInstanceUid, taskId: consult.taskId, grant: consult.facts.grant, ...(assertion && { assertion }) }
  try {
    const answer = await line.request(consult.submitter, services.examRead, request, { timeoutMs: LIVE_TIMEOUT_MS })
    return { exam: parseWith(ExamSnapshot, answer, 'exam'), source: 'live', at: now }
  } catch (error) {
    if (!isProblem(error) || !unreachable.has(error.code) || !consult.request) throw error
    return { exam: consult.request.exam, source: 'copy', at: consult.request.exam.updatedAt }
  }
}

/** The owner's side: reads its own table, never a copy, for whoever holds a grant. */
export function serveExams(parts: {
  db: Database
  line: Line
  access: AccessControl
  hospitalId: HospitalId
  trust: () => TrustStore | undefined
  assertions: AssertionDesk
  now: () => EpochMs
}): void {
  const { db, line, access, hospitalId, trust, assertions, now } = parts
  line.serve(services.examRead, async ({ from, body }) => {
    const asker = parseWith(HospitalId, from, 'sender')
    const { studyInstanceUid, grant, assertion } = parseWith(ExamRead, body, services.examRead)
    const needs = ['exam.read', 'consult.process', 'region.search'] as const
    const asserted = assertion && (await assertions.admit(assertion, { from: asker, service: services.examRead, study: studyInstanceUid, needs }))
    await access.admitHospital(
      asker,
      'read',
      { owner: hospitalId, study: studyInstanceUid, kept: 'in-hospital' },
      grant,
      isGenuineGrant(grant, trust(), now()),
      asserted?.person,
    )
    const exam = await findExamOfStudy(db, studyInstanceUid)
    if (!exam) throw new Problem('exam/unknown', { studyInstanceUid })
    return snapshotOf(exam, hospitalId)
  })
}
