import type { HttpFace } from 'service-kit'
import { ConsentDraft, ConsentRow, RecordedConsent, WithdrawReason } from 'specs'
import { z } from 'zod'
import type { Consents } from './consents.ts'

/** 患者授权书, for those who sit with the patient. */
export function addConsentRoutes(face: HttpFace, consents: Consents): void {
  const allow = ['patient.consent'] as const
  face.route(
    { method: 'GET', path: '/api/consents', summary: 'Consents recorded at this hospital, newest first', allow, query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(100) }), answer: z.array(ConsentRow) },
    ({ query: { limit } }) => consents.list(limit),
  )
  face.route(
    { method: 'POST', path: '/api/consents', summary: "Record a patient's consent; a code is told once, in this answer", allow, body: ConsentDraft, answer: RecordedConsent },
    async ({ user, body }) => ({ status: 201, body: await consents.record(user, body) }),
  )
  face.route(
    { method: 'POST', path: '/api/consents/:consentId/withdraw', summary: 'The patient has withdrawn the consent', allow, params: z.object({ consentId: z.uuid() }), body: WithdrawReason, answer: ConsentRow },
    ({ user, params: { consentId }, body: { reason } }) => consents.withdraw(user, consentId, reason),
  )
}
