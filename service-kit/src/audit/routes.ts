import { once } from 'node:events'
import { auditActions, AuditAction, AuditExport, AuditPage, AuditProof, AuditQuery, AuditReview, AuditStatus, Problem, ReviewFinding, ReviewQuery, SignedCheckpoint, VerificationRow, type AuditQuery as Query } from 'specs' // prettier-ignore
import { z } from 'zod'
import type { HttpFace } from '../http/index.ts'
import { csvOf, jsonLinesOf } from './export.ts'
import { review } from './reviews.ts'
import { findEvent, readTrail, searchTrail, type AuditFilter } from './search.ts'
import type { Trail } from './trail.ts'
import { VerificationJobs } from './verification-jobs.ts'
import { readWitnesses, type Witness } from './witness-file.ts'

export interface AuditRouteParts {
  readonly trail: Trail
  /** Whose numbers `patientId` are, and which studies and exams belong to the number: events may have named those only. */
  readonly objectsOfPatient?: (patientId: string) => Promise<readonly string[]>
  /** What others keep of this trail, when they can be asked now; none otherwise. */
  readonly witnesses?: () => Promise<readonly Witness[]>
  readonly rootPems?: () => readonly string[]
  readonly syslog?: () => Promise<AuditStatus['syslog']>
}

const READ = ['audit.read'] as const

/** The trail for its administrators. Whoever reads it leaves a record, too. */
export function addAuditRoutes(face: HttpFace, parts: AuditRouteParts): VerificationJobs {
  const { trail } = parts
  const jobs = new VerificationJobs(trail)
  const object = { type: 'audit', id: trail.party } as const
  const noteReading = (facts: Record<string, unknown>) => trail.note({ action: 'audit.read', outcome: 'success', object, facts })

  const filterOf = async ({ patientId, limit: _limit, after: _after, ...filter }: Query): Promise<AuditFilter> => {
    if (patientId === undefined) return filter
    return { ...filter, patient: { key: trail.patientKey(trail.party, patientId), objectIds: (await parts.objectsOfPatient?.(patientId)) ?? [] } }
  }

  face.route(
    { method: 'GET', path: '/api/audit/status', summary: 'Whether the trail can be written, its extent, its newest checkpoint', allow: ['audit.read', 'security.overview'], answer: AuditStatus },
    () => statusOf(parts),
  )
  face.route(
    {
      method: 'GET', path: '/api/audit/actions', summary: 'Every action that the trail knows', allow: READ,
      answer: z.array(z.object({ action: AuditAction, zh: z.string(), en: z.string(), category: z.string() })),
    },
    () => AuditAction.options.map((action) => ({ action, ...auditActions[action] })),
  ) // prettier-ignore
  face.route(
    { method: 'GET', path: '/api/audit/records', summary: 'Search the trail, newest first; a patient by number: who looked', allow: READ, query: AuditQuery, answer: AuditPage },
    async ({ query }) => {
      const page = await searchTrail(trail.db, await filterOf(query), query)
      if (query.after === undefined) noteReading({ ...query, found: page.rows.length })
      return page
    },
  )
  face.route(
    { method: 'GET', path: '/api/audit/records/:eventId', summary: 'One record with the text that was hashed and the checkpoint that covers it', allow: READ, params: z.object({ eventId: z.string().max(64) }), answer: AuditProof },
    async ({ params: { eventId } }) => {
      const found = await findEvent(trail.db, eventId)
      if (found === undefined) throw new Problem('request/not-found', { eventId })
      noteReading({ eventId })
      const row = await trail.db.get<{ signed: string }>('SELECT signed FROM audit_checkpoint WHERE seq >= $1 ORDER BY seq LIMIT 1', [found.row.seq])
      return { record: found.row, body: found.body, hash: found.hash, checkpoint: row ? (JSON.parse(row.signed) as SignedCheckpoint) : null }
    },
  )
  face.route(
    { method: 'POST', path: '/api/audit/exports', summary: 'Everything a search finds, as a file', allow: ['audit.export'], body: AuditExport },
    async ({ body, response, signal }) => {
      const { format, reason, ...filter } = body
      await trail.record({ action: 'audit.export', outcome: 'success', object, reason, facts: { ...filter, format } })
      const rows = readTrail(trail.db, await filterOf({ ...filter, limit: 500, after: undefined }))
      const name = `audit-${trail.party}-${new Date(trail.now()).toISOString().slice(0, 10)}.${format}`
      response.status(200).set({ 'Content-Type': format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8', 'Content-Disposition': `attachment; filename="${name}"`, 'Cache-Control': 'no-store' })
      for await (const text of format === 'csv' ? csvOf(rows) : jsonLinesOf(rows)) {
        if (signal.aborted) return
        if (!response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')])
      }
      response.end()
    },
  )
  face.route(
    { method: 'GET', path: '/api/audit/reviews/:review', summary: 'Night access, VIP access, mass view, repeated denial, off-campus', allow: READ, params: z.object({ review: AuditReview }), query: ReviewQuery, answer: z.array(ReviewFinding) },
    async ({ params, query }) => {
      const found = await review(trail.db, params.review, query, trail.settings)
      noteReading({ review: params.review, ...query, found: found.length })
      return found
    },
  )
  face.route(
    { method: 'GET', path: '/api/audit/checkpoints', summary: 'Signed checkpoints, newest first; kept elsewhere they witness this trail', allow: READ, query: z.object({ limit: z.coerce.number().int().min(1).max(1_000).default(100), before: z.coerce.number().int().optional() }), answer: z.array(SignedCheckpoint.extend({ witnessed: z.boolean(), posted: z.boolean() })) },
    ({ query }) => trail.checkpoints.list(query),
  )
  face.route(
    { method: 'GET', path: '/api/audit/verifications', summary: 'Verifications and what they found', allow: READ, answer: z.array(VerificationRow) },
    () => jobs.list(),
  )
  face.route(
    { method: 'POST', path: '/api/audit/verifications', summary: 'Verify the whole trail, with the witnesses that can be had or are given', allow: READ, body: z.object({ witness: z.string().max(8_000_000).optional() }), answer: VerificationRow, maxBodyBytes: 8_500_000 },
    async ({ body, user }) => {
      const asked = await parts.witnesses?.().catch(() => []) // the region may be away; what is here is verified all the same
      const witnesses = [...(body.witness === undefined ? [] : readWitnesses(body.witness)), ...(asked ?? [])]
      return { status: 202, body: await jobs.start({ startedBy: user.name, witnesses, rootPems: parts.rootPems?.() ?? [] }) }
    },
  )
  face.route(
    { method: 'GET', path: '/api/audit/verifications/:id', summary: 'How far a verification is, or what it found', allow: READ, params: z.object({ id: z.uuid() }), answer: VerificationRow },
    ({ params }) => jobs.read(params.id),
  )
  face.route(
    { method: 'DELETE', path: '/api/audit/verifications/:id', summary: 'Stop a verification', allow: READ, params: z.object({ id: z.uuid() }) },
    ({ params }) => jobs.cancel(params.id),
  )
  return jobs
}

async function statusOf({ trail, syslog }: AuditRouteParts): Promise<AuditStatus> {
  const { db } = trail
  const head = await db.get<{ seq: number; at: number }>('SELECT seq, at FROM audit_head WHERE id = 1')
  const stub = await db.get<{ seq: number | null }>('SELECT MAX(seq) AS "seq" FROM audit_stub')
  const first = await db.get<{ at: number }>('SELECT at FROM audit_record ORDER BY seq LIMIT 1')
  const last = await db.get<{ at: number }>('SELECT at FROM audit_record ORDER BY seq DESC LIMIT 1')
  const [checkpoint] = await trail.checkpoints.list({ limit: 1 })
  const unwitnessed = await db.get<{ n: number }>('SELECT COUNT(*) AS "n" FROM audit_checkpoint WHERE posted = 0')
  return {
    available: trail.available,
    records: (head?.seq ?? 0) - (stub?.seq ?? 0),
    firstAt: first?.at ?? null,
    lastAt: last?.at ?? null,
    retentionDays: trail.settings.retentionDays,
    lastCheckpoint: checkpoint ? { seq: checkpoint.checkpoint.seq, at: checkpoint.checkpoint.at, witnessed: checkpoint.witnessed } : null,
    unwitnessed: unwitnessed?.n ?? 0,
    syslog: (await syslog?.()) ?? null,
  }
}

