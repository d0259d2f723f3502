import type { AuditTrail, Database, HttpFace, Transaction } from 'service-kit'
import { CompressionChange, CompressionResult, CompressionRule, CompressionRuleInput } from 'specs'
import { z } from 'zod'
import { addRule, changeRule, listResults, listRules, readRule, removeRule } from './store.ts'

export interface CompressionRoutes {
  readonly db: Database
  readonly audit: AuditTrail
  /** A rule has changed. */
  readonly onChange: () => void
  readonly now?: () => number
}

const administrators = ['system.configure'] as const
const watchers = ['system.configure', 'system.monitor'] as const
const RuleId = z.object({ ruleId: z.string().max(64) })
const ResultFilter = z.object({ state: CompressionResult.shape.state, limit: z.coerce.number().int().min(1).max(200).default(50) })

/** 压缩策略: rules, and what they have done (ARC-14). */
export function addCompressionRoutes(face: HttpFace, { db, audit, onChange, now = Date.now }: CompressionRoutes): void {
  const tell = (tx: Transaction, ruleId: string, before: unknown, after: unknown) =>
    audit.within(tx, { action: 'config.compression', outcome: 'success', object: { type: 'config', id: `compression-rule/${ruleId}` }, before, after })
  const inputOf = (rule: CompressionRule) => CompressionRuleInput.parse(rule)

  face.route({ method: 'GET', path: '/api/archive/compression', summary: '压缩策略 / Compression rules and what they have done', allow: watchers, answer: z.array(CompressionRule) }, () => listRules(db))
  face.route({ method: 'GET', path: '/api/archive/compression/results', summary: 'Studies by what became of them', allow: watchers, query: ResultFilter, answer: z.array(CompressionResult) }, ({ query }) =>
    listResults(db, query.state, query.limit),
  )
  face.route({ method: 'POST', path: '/api/archive/compression', summary: 'Make a rule', allow: administrators, body: CompressionRuleInput, answer: CompressionRule }, async ({ body, user }) => {
    const ruleId = await db.write(async (tx) => {
      const added = await addRule(tx, body, user.name, now())
      await tell(tx, added, undefined, body)
      return added
    })
    onChange()
    return { status: 201, body: await readRule(db, ruleId) }
  })
  face.route(
    { method: 'PUT', path: '/api/archive/compression/:ruleId', summary: 'Change a rule; it then looks at everything once more', allow: administrators, params: RuleId, body: CompressionChange, answer: CompressionRule },
    async ({ params: { ruleId }, body: { rule, revision }, user }) => {
      await db.write(async (tx) => {
        const before = inputOf(await readRule(tx, ruleId))
        await changeRule(tx, ruleId, rule, revision, user.name, now())
        await tell(tx, ruleId, before, rule)
      })
      onChange()
      return readRule(db, ruleId)
    },
  )
  face.route({ method: 'DELETE', path: '/api/archive/compression/:ruleId', summary: 'Remove a rule; what it has compressed stays so', allow: administrators, params: RuleId }, async ({ params: { ruleId } }) => {
    await db.write(async (tx) => {
      const before = inputOf(await readRule(tx, ruleId))
      await removeRule(tx, ruleId)
      await tell(tx, ruleId, before, undefined)
    })
    return { status: 204 }
  })
}
