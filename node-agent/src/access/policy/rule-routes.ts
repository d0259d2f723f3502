import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, HttpFace, User } from 'service-kit'
import { doingTexts, EpochMs, examLabels, Page, type LiveEvent } from 'specs'
import { z } from 'zod'
import type { ListingPolicy } from './search-key.ts'
import type { PolicyBook } from './policy-book.ts'
import { AccessRule, RuleEffect } from './rule.ts'
import { insertRule, listRules, withdrawRule, type KeptRule } from './rule-store.ts'

export interface RuleRoutesParts {
  readonly db: Database
  readonly book: PolicyBook
  readonly audit: AuditTrail
  readonly announce: (event: LiveEvent) => void
  /** Told to pages, so that they can say in words what holds. */
  readonly settings: {
    readonly listing: ListingPolicy
    readonly breakGlass: { readonly minutes: number; readonly reviewDays: number }
    readonly export: { readonly reason: 'required' | 'optional'; readonly studiesPerDay: number }
  }
  readonly now?: () => EpochMs
}

const keepers = ['rule.manage'] as const
const readers = ['rule.manage', 'security.overview'] as const

const Author = z.object({ id: z.string(), name: z.string() })
const RuleRow = AccessRule.extend({
  author: Author,
  createdAt: EpochMs,
  replaces: z.string().nullable(),
  withdrawn: z.object({ at: EpochMs, by: Author, because: z.string() }).nullable(),
})
/** What is written; who, when and under which number is ours to say. */
const RuleDraft = AccessRule.omit({ ruleId: true }).extend({
  doings: AccessRule.shape.doings.default(null),
  validFrom: EpochMs.optional(),
  validUntil: EpochMs.nullable().default(null),
  hours: AccessRule.shape.hours.default(null),
}).refine(({ validFrom, validUntil }) => validUntil === null || validFrom === undefined || validFrom < validUntil, { message: '结束时间须晚于开始时间', path: ['validUntil'] }) // prettier-ignore
const Withdrawal = z.strictObject({ reason: z.string().trim().min(1, '请填写理由').max(500) })
const Filter = z.object({
  subject: z.string().max(200).optional(),
  object: z.string().max(200).optional(),
  effect: RuleEffect.optional(),
  history: z.enum(['true', 'false']).default('false'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  after: z
    .string()
    .regex(/^\d+_[\w-]{1,64}$/)
    .optional(),
})

/** Access rules (SEC-03): kept by the security administrator, each with a reason, none ever overwritten. */
export function addRuleRoutes(face: HttpFace, { db, book, audit, announce, settings, now = Date.now }: RuleRoutesParts): void {
  const params = z.object({ ruleId: z.string().min(1).max(64) })
  const told = (rule: AccessRule) => ({ type: 'rule', id: rule.ruleId }) as const

  /** Kept, in force, and told to the pages before the answer is given. */
  async function enter(user: User, draft: z.output<typeof RuleDraft>, replaced?: { ruleId: string }): Promise<KeptRule> {
    const at = now()
    const author = { id: user.id, name: user.name }
    const rule = AccessRule.parse({ ...draft, ruleId: randomUUID(), validFrom: draft.validFrom ?? at })
    await db.write(async (tx) => {
      const before = replaced && (await withdrawRule(tx, replaced.ruleId, author, `→ ${rule.ruleId}`, at))
      await insertRule(tx, rule, author, at, replaced?.ruleId ?? null)
      await book.bump(tx)
      await audit.within(tx, { action: 'rule.change', outcome: 'success', object: told(rule), reason: rule.reason, ...(before && { before: plain(before) }), after: plain(rule) })
    })
    await book.refresh()
    announce({ type: 'rule', ruleId: rule.ruleId })
    return { ...rule, author, createdAt: at, replaces: replaced?.ruleId ?? null, withdrawn: null }
  }

  face.route(
    { method: 'GET', path: '/api/access/policy', summary: 'What holds for access at this hospital, and the words of rules', allow: 'signed-in' },
    () => ({ relation: book.relation, ...settings, doings: doingTexts, labels: examLabels }),
  )
  face.route(
    { method: 'GET', path: '/api/access/rules', summary: 'Access rules, newest first', allow: readers, query: Filter, answer: Page(RuleRow) },
    async ({ query: { after, history, ...filter } }) => {
      const [createdAt, ...ruleId] = after?.split('_') ?? []
      const from = createdAt === undefined ? undefined : { createdAt: Number(createdAt), ruleId: ruleId.join('_') }
      const { rows, total } = await listRules(db, { ...filter, history: history === 'true', ...(from && { after: from }) }, now())
      const last = rows.length === filter.limit ? rows.at(-1) : undefined
      return { rows, total, next: last ? `${last.createdAt}_${last.ruleId}` : null }
    },
  )
  face.route(
    { method: 'POST', path: '/api/access/rules', summary: 'Make an access rule', allow: keepers, body: RuleDraft, answer: RuleRow },
    async ({ user, body }) => ({ status: 201, body: await enter(user, body) }),
  )
  face.route(
    { method: 'PUT', path: '/api/access/rules/:ruleId', summary: 'Put another rule in the place of this one', allow: keepers, params, body: RuleDraft, answer: RuleRow },
    ({ user, params: { ruleId }, body }) => enter(user, body, { ruleId }),
  )
  face.route(
    { method: 'POST', path: '/api/access/rules/:ruleId/withdraw', summary: 'Withdraw an access rule', allow: keepers, params, body: Withdrawal },
    async ({ user, params: { ruleId }, body: { reason } }) => {
      await db.write(async (tx) => {
        const before = await withdrawRule(tx, ruleId, { id: user.id, name: user.name }, reason, now())
        await book.bump(tx)
        await audit.within(tx, { action: 'rule.delete', outcome: 'success', object: told(before), reason, before: plain(before) })
      })
      await book.refresh()
      announce({ type: 'rule', ruleId })
      return { status: 204 }
    },
  )
}

/** For the trail: the patient's number is not repeated there. */
function plain({ ruleId, effect, subject, object, doings, validFrom, validUntil, hours }: AccessRule): object {
  return { ruleId, effect, subject, object: object.kind === 'patient' ? { kind: 'patient' } : object, doings, validFrom, validUntil, hours }
}
