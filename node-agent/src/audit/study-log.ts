import { searchTrail, type HttpFace, type Trail } from 'service-kit'
import { actionsOf, auditActions, StudyInstanceUid, StudyLogRow, type AuditRow, type HospitalId } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import { isFromElsewhere } from './actor-elsewhere.ts'

const archive = new Set<string>(actionsOf('archive'))
const transfer = new Set<string>(actionsOf('transfer'))
const LOGGED = actionsOf('archive', 'view', 'transfer', 'export')

export interface StudyLogParts {
  readonly trail: Trail
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly nameOf: (party: string) => string
  /** Tells what is still being counted. */
  readonly flush: () => Promise<void>
}

/** GET /api/studies/:studyUid/log: 影像存档、影像调阅、影像传输 of one study (FED-34). */
export function addStudyLogRoute(face: HttpFace, { trail, access, hospitalId, nameOf, flush }: StudyLogParts): void {
  face.route(
    {
      method: 'GET',
      path: '/api/studies/:studyUid/log',
      summary: 'State log of a study: archive, view and transfer, oldest first',
      allow: ['exam.read', 'audit.read'],
      params: z.object({ studyUid: StudyInstanceUid }),
      answer: z.array(StudyLogRow),
    },
    async ({ params: { studyUid }, user }) => {
      const mayAudit = user.entitlements.some(({ rights }) => rights.includes('audit.read'))
      if (mayAudit) trail.note({ action: 'audit.read', outcome: 'success', object: { type: 'study', id: studyUid } })
      else await access.admitUser(user, 'read', { owner: hospitalId, study: studyUid, kept: 'in-hospital' })
      await flush()
      const { rows } = await searchTrail(trail.db, { objectId: studyUid, action: LOGGED }, { limit: 500 })
      return rows.map((row) => entryOf(row, hospitalId, nameOf)).reverse()
    },
  )
}

function entryOf({ at, action, actor, object, outcome, code, count, facts = {} }: AuditRow, here: HospitalId, nameOf: (party: string) => string): StudyLogRow {
  const kind = archive.has(action) ? 'archive' : transfer.has(action) ? 'transfer' : 'view'
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? nameOf(value) : null)
  // Who looks is where images go to; they come from the owner.
  const home = isFromElsewhere(actor, here) ? nameOf(actor.hospitalId ?? '') : undefined
  const viewer = home ?? (actor.kind === 'hospital' ? nameOf(actor.id) : (actor.sourceIp ?? nameOf(here)))
  return {
    at,
    kind,
    action,
    title: auditActions[action].zh,
    actor: home !== undefined ? `${actor.name ?? actor.id} · ${home}` : (actor.name ?? (actor.kind === 'hospital' ? nameOf(actor.id) : actor.id)),
    source: text(facts['source']) ?? nameOf(object?.owner ?? here),
    destination: text(facts['destination']) ?? (kind === 'view' ? viewer : null),
    result: outcome,
    code: code ?? null,
    count: count ?? 1,
    facts,
  }
}
