import type { AuditTrail, Database, HttpFace } from 'service-kit'
import { KeptNormalisationRule, NormalisationChange, NormalisationRule, Problem, StudyInstanceUid, type EpochMs } from 'specs'
import { z } from 'zod'
import { maskedValue } from '../../matching/masked-value.ts'
import type { Archive } from '../archive.ts'
import type { NormalisationRules } from './rule-book.ts'
import { addRule, changeRule, listRules, orderRules, removeRule } from './store.ts'

export interface NormalisationRoutes {
  readonly db: Database
  readonly archive: Archive
  readonly rules: NormalisationRules
  readonly audit: AuditTrail
  readonly now?: () => EpochMs
}

const administrators = ['system.configure'] as const
const caretakers = ['system.configure', 'device.watch'] as const
const OfRule = z.object({ ruleId: z.uuid() })
const ChangesQuery = z.object({
  studyUid: StudyInstanceUid.optional(),
  since: z.coerce.number().int().min(0).optional(),
  until: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(5_000).default(200),
})

/** 规整规则 (ARC-25): for administrators; what they did to images also for whoever looks after the devices, masked. */
export function addNormalisationRoutes(face: HttpFace, { db, archive, rules, audit, now = Date.now }: NormalisationRoutes): void {
  const found = async (ruleId: string): Promise<KeptNormalisationRule> => {
    const rule = (await listRules(db)).find((each) => each.ruleId === ruleId)
    if (!rule) throw new Problem('request/not-found', { ruleId })
    return rule
  }
  const object = (ruleId: string) => ({ type: 'config', id: `normalisation/${ruleId}` }) as const

  face.route(
    { method: 'GET', path: '/api/normalisation/rules', summary: 'Normalisation rules in their order', allow: caretakers, answer: z.array(KeptNormalisationRule) },
    () => listRules(db),
  )

  face.route(
    { method: 'POST', path: '/api/normalisation/rules', summary: 'Add a normalisation rule', allow: administrators, body: NormalisationRule, answer: KeptNormalisationRule },
    async ({ user, body }) => {
      const ruleId = await db.write(async (tx) => {
        const id = await addRule(tx, body, user.name, now())
        await audit.within(tx, { action: 'config.normalisation', outcome: 'success', object: object(id), after: body })
        return id
      })
      await rules.refresh()
      return { status: 201, body: await found(ruleId) }
    },
  )

  face.route(
    { method: 'PUT', path: '/api/normalisation/rules/:ruleId', summary: 'Change a normalisation rule', allow: administrators, params: OfRule, body: NormalisationRule, answer: KeptNormalisationRule },
    async ({ user, params: { ruleId }, body }) => {
      const before = await found(ruleId)
      await db.write(async (tx) => {
        await changeRule(tx, ruleId, body, user.name, now())
        await audit.within(tx, { action: 'config.normalisation', outcome: 'success', object: object(ruleId), before, after: body })
      })
      await rules.refresh()
      return found(ruleId)
    },
  )

  face.route(
    { method: 'DELETE', path: '/api/normalisation/rules/:ruleId', summary: 'Remove a normalisation rule', allow: administrators, params: OfRule },
    async ({ params: { ruleId } }) => {
      const before = await found(ruleId)
      await db.write(async (tx) => {
        await removeRule(tx, ruleId)
        await audit.within(tx, { action: 'config.normalisation', outcome: 'success', object: object(ruleId), before })
      })
      await rules.refresh()
      return { status: 204 }
    },
  )

  face.route(
    { method: 'PUT', path: '/api/normalisation/order', summary: 'Put normalisation rules into another order', allow: administrators, body: z.object({ ruleIds: z.array(z.uuid()).max(500) }), answer: z.array(KeptNormalisationRule) },
    async ({ body: { ruleIds } }) => {
      await db.write(async (tx) => {
        await orderRules(tx, ruleIds)
        await audit.within(tx, { action: 'config.normalisation', outcome: 'success', object: object('order'), after: { ruleIds } })
      })
      await rules.refresh()
      return listRules(db)
    },
  )

  face.route(
    { method: 'GET', path: '/api/normalisation/changes', summary: 'What rules and corrections changed of images on their way in, newest first', allow: caretakers, query: ChangesQuery, answer: z.array(NormalisationChange) },
    async ({ query: { studyUid, since, until, limit } }) => {
      const rows = await archive.coercions({ limit, ...(studyUid && { studyInstanceUid: studyUid }), ...(since !== undefined && { since }), ...(until !== undefined && { until }) })
      return rows.map(({ sopInstanceUid, studyInstanceUid, coercedAt, by, sourcePeer, changes }) => ({ sopInstanceUid, studyInstanceUid, at: coercedAt, by, source: sourcePeer, changes: changes.map(maskedValue) }))
    },
  )
}
