import { dutiesOf } from 'specs'
import { z } from 'zod'
import type { Accounts } from '../account/index.ts'
import { searchTrail, type Trail, type VerificationJobs } from '../audit/index.ts'
import type { HttpFace } from '../http/index.ts'

const DAY_MS = 86_400_000
/** Long enough for a holiday, shorter than the default after which accounts are disabled. */
const UNUSED_DAYS = 60

const Names = z.array(z.string())
/** GET /api/security/posture: facts for the security overview; what is well and what is not the page says in words. */
export const Posture = z.object({
  at: z.number(),
  secondFactor: z.enum(['optional', 'administrators', 'everyone']),
  administrators: z.number().int(),
  withoutFactor: Names,
  unused: Names,
  locked: Names,
  /** New accounts that wait for the security administrator. */
  waiting: z.number().int(),
  failedSignIns: z.number().int(),
  verification: z.object({ state: z.enum(['whole', 'findings', 'failed']), at: z.number() }).nullable(),
  /** As the trail knows it; backups are made at the machine's console. */
  lastBackupAt: z.number().nullable(),
})
export type Posture = z.infer<typeof Posture>

/** 安全概况 of a service: accounts, sign-ins and the last verification of the trail, for whoever watches over security. */
export function addPostureRoutes(face: HttpFace, { accounts, trail, verifications, now = Date.now }: { accounts: Accounts; trail: Trail; verifications: VerificationJobs; now?: () => number }): void {
  face.route(
    { method: 'GET', path: '/api/security/posture', summary: 'Accounts, sign-ins and verification as the security overview tells them', allow: ['security.overview'], answer: Posture },
    async () => {
      const at = now()
      const people = (await accounts.people.list()).filter(({ state }) => state === 'active' || state === 'locked')
      const administrative = new Set((await accounts.roles.list()).filter(({ rights }) => dutiesOf(rights).length > 0).map(({ id }) => id))
      const administrators = people.filter(({ roles }) => roles.some(({ role }) => administrative.has(role)))
      const failed = await searchTrail(trail.db, { action: ['session.sign-in'], outcome: ['refused', 'failed'], from: at - DAY_MS }, { limit: 500 })
      const backups = await searchTrail(trail.db, { action: ['backup.make'], outcome: ['success'] }, { limit: 1 })
      const last = (await verifications.list()).find(({ state }) => state !== 'running')
      const named = (rows: readonly { name: string }[]) => rows.map(({ name }) => name).slice(0, 20)
      return {
        at,
        secondFactor: accounts.secondFactor,
        administrators: administrators.length,
        withoutFactor: named(administrators.filter(({ secondFactors }) => secondFactors.length === 0)),
        unused: named(people.filter(({ lastUsedAt, createdAt }) => (lastUsedAt ?? createdAt) < at - UNUSED_DAYS * DAY_MS)),
        locked: named(people.filter(({ state }) => state === 'locked')),
        waiting: people.filter(({ requestedRoles }) => requestedRoles.length > 0).length,
        failedSignIns: failed.rows.reduce((sum, { count = 1 }) => sum + count, 0),
        verification: last ? { state: last.state === 'running' ? 'failed' : last.state, at: last.endedAt ?? last.startedAt } : null,
        lastBackupAt: backups.rows[0]?.at ?? null,
      }
    },
  )
}
