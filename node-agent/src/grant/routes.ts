import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, HttpFace } from 'service-kit'
import {
  AuthorisationDraft,
  AuthorisationRow,
  GrantId,
  GrantRow,
  Page,
  Problem,
  WithdrawReason,
  type Authorisation,
  type EpochMs,
  type HospitalId,
} from 'specs'
import { z } from 'zod'
import { keepAuthorisation, listAuthorisations, type KeptAuthorisation } from './authorisation-store.ts'
import { countsUnder, listGiven } from './given-grants.ts'
import { unconfirmedOf } from './notices.ts'
import type { Withdrawals } from './withdrawal.ts'

const DAY_MS = 86_400_000

export interface GrantRoutes {
  readonly db: Database
  readonly audit: AuditTrail
  readonly withdrawals: Withdrawals
  readonly hospitalId: HospitalId
  readonly nameOf: (id: HospitalId) => string
  readonly isMember: (id: HospitalId) => boolean
  readonly authorisationDays: number
  readonly now?: () => EpochMs
}

/** 授权管理: what this hospital shares with others, and taking it back. */
export function addGrantRoutes(face: HttpFace, parts: GrantRoutes): void {
  const { db, audit, withdrawals, hospitalId, nameOf, isMember, authorisationDays, now = Date.now } = parts
  const allow = ['grant.manage'] as const
  const rowsOf = async (authorisations: readonly KeptAuthorisation[]): Promise<AuthorisationRow[]> => {
    const counts = await countsUnder(db, authorisations.map(({ authorisationId }) => authorisationId)) // prettier-ignore
    return authorisations.map((one) => ({
      ...one,
      state: stateOf(one, now()),
      granteeNames: one.grantees === 'region' ? [] : one.grantees.map(nameOf),
      consentId: one.consentId?.split('/')[1] ?? null,
      grants: counts.get(one.authorisationId) ?? 0,
    }))
  }

  face.route(
    { method: 'GET', path: '/api/grants/authorisations', summary: 'Authorisations of this hospital and of its patients, newest first', allow, answer: z.array(AuthorisationRow) },
    async () => rowsOf(await listAuthorisations(db, 500)),
  )
  face.route(
    { method: 'POST', path: '/api/grants/authorisations', summary: 'Authorise other hospitals to see exams of this one', allow, body: AuthorisationDraft, answer: AuthorisationRow },
    async ({ user, body }) => {
      const at = now()
      if (body.expires <= at || body.expires > at + authorisationDays * DAY_MS) throw new Problem('access/authorisation-too-long', { days: authorisationDays })
      const stranger = body.grantees === 'region' ? undefined : body.grantees.find((id) => id === hospitalId || !isMember(id))
      if (stranger !== undefined) throw new Problem('region/unknown-hospital', { hospitalId: stranger })
      const authorisation: Authorisation = { ...body, authorisationId: randomUUID(), kind: 'policy', validFrom: at, issuedAt: at, issuedBy: { id: user.id, name: user.name }, withdrawn: null }
      const { patientId } = body.scope
      await db.write(async (tx) => {
        await keepAuthorisation(tx, authorisation, null)
        const object = { type: 'grant', id: authorisation.authorisationId, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) } as const
        const { grantees, purposes, expires, scope } = body
        await audit.within(tx, { action: 'grant.issue', outcome: 'success', object, reason: body.reason, facts: { kind: 'policy', grantees, purposes, expires, modalities: scope.modalities, studies: scope.studyInstanceUids } })
      })
      const [row] = await rowsOf([{ ...authorisation, consentId: null }])
      return { status: 201, body: row }
    },
  )
  const byId = z.object({ authorisationId: z.uuid() })
  face.route(
    { method: 'POST', path: '/api/grants/authorisations/:authorisationId/withdraw', summary: 'Take an authorisation back with every grant given under it', allow, params: byId, body: WithdrawReason },
    ({ user, params: { authorisationId }, body: { reason } }) => withdrawals.withdrawAuthorisation(authorisationId, user, reason),
  )
  const ListQuery = z.object({ limit: z.coerce.number().int().min(1).max(200).default(50), after: z.string().regex(/^\d+_[0-9a-f-]{36}$/).optional() }) // prettier-ignore
  face.route(
    { method: 'GET', path: '/api/grants', summary: 'Grants given to other hospitals, newest first, those of tasks included', allow, query: ListQuery, answer: Page(GrantRow) },
    async ({ query: { limit, after } }) => {
      const [issuedAt, grantId] = after?.split('_') ?? []
      const given = await listGiven(db, { limit, after: issuedAt !== undefined && grantId !== undefined ? { issuedAt: Number(issuedAt), grantId } : undefined })
      const unconfirmed = await unconfirmedOf(db, given.map(({ signed }) => signed.grant.grantId)) // prettier-ignore
      const rows = given.map(({ signed: { grant }, ...one }): GrantRow => ({
        grantId: grant.grantId,
        kind: one.kind,
        grantees: grant.grantees.map((id) => ({ id, name: nameOf(id) })),
        studyInstanceUids: grant.studyInstanceUids,
        purpose: grant.purpose,
        taskId: grant.taskId ?? null,
        authorisationId: grant.authorisationId ?? null,
        personName: one.personName,
        issuedAt: one.issuedAt,
        expires: grant.expires,
        state: one.withdrawnAt !== null ? 'withdrawn' : now() >= grant.expires ? 'expired' : 'valid',
        withdrawnAt: one.withdrawnAt,
        withdrawnBecause: one.withdrawnBecause,
        unconfirmed: unconfirmed.get(grant.grantId) ?? [],
      })) // prettier-ignore
      const last = given.length === limit ? rows.at(-1) : undefined
      return { rows, total: rows.length, next: last ? `${last.issuedAt}_${last.grantId}` : null }
    },
  )
  face.route(
    { method: 'POST', path: '/api/grants/:grantId/withdraw', summary: 'Take one grant back', allow, params: z.object({ grantId: GrantId }), body: WithdrawReason },
    ({ params: { grantId }, body: { reason } }) => withdrawals.withdrawGrant(grantId, reason),
  )
}

function stateOf({ withdrawn, validFrom, expires }: Authorisation, now: EpochMs): AuthorisationRow['state'] {
  if (withdrawn !== null) return 'withdrawn'
  return now >= expires ? 'expired' : now < validFrom ? 'not-yet' : 'valid'
}
