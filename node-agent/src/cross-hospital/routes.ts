import type { HttpFace } from 'service-kit'
import { CrossSearch, CrossSearchRequest, HeldExam, LiveExam, MemberName, OpenCrossExam, StudyInstanceUid } from 'specs'
import { z } from 'zod'
import type { HeldExams } from './held-exams.ts'
import type { Searches } from './searches.ts'

/** 跨院调阅: for whoever may search other hospitals, with a purpose and a reason each time. */
export function addCrossHospitalRoutes(face: HttpFace, { searches, held, members }: { searches: Searches; held: HeldExams; members: () => readonly MemberName[] }): void {
  const allow = ['region.search'] as const
  face.route(
    { method: 'GET', path: '/api/cross-hospital/hospitals', summary: 'The other hospitals of the region', allow: ['region.search', 'grant.manage', 'patient.consent'], answer: z.array(MemberName) },
    members,
  )
  face.route(
    {
      method: 'POST',
      path: '/api/cross-hospital/searches',
      summary: 'Ask every hospital of the region for the exams of one patient',
      allow,
      body: CrossSearchRequest,
      answer: CrossSearch,
      limit: { requests: 30, seconds: 60 },
    },
    async ({ user, body }) => ({ status: 202, body: await searches.begin(user, body) }),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/cross-hospital/searches/:searchId',
      summary: 'What has been answered so far; only for whoever has asked',
      allow,
      params: z.object({ searchId: z.uuid() }),
      answer: CrossSearch,
    },
    ({ user, params: { searchId } }) => searches.shown(user, searchId),
  )
  face.route(
    { method: 'POST', path: '/api/cross-hospital/exams', summary: 'Ask the owner for a grant and fetch the study', allow, body: OpenCrossExam, answer: HeldExam },
    async ({ user, body: { searchId, hospitalId: owner, studyInstanceUid: study } }) => {
      const { purpose, reason } = searches.of(user, searchId)
      return { status: 201, body: await held.open(user, { owner, study, purpose, reason }) }
    },
  )
  face.route(
    { method: 'GET', path: '/api/cross-hospital/exams', summary: 'Exams of other hospitals that I was given, newest first', allow, answer: z.array(HeldExam) },
    ({ user }) => held.list(user),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/cross-hospital/exams/:studyUid',
      summary: 'Report and history of an exam that I was given, as its hospital has it now',
      allow,
      params: z.object({ studyUid: StudyInstanceUid }),
      answer: LiveExam,
    },
    ({ user, params: { studyUid } }) => held.read(user, studyUid),
  )
}
