import type { AuditTrail, Database, HttpFace, Transaction, User } from 'service-kit'
import { Destination, DestinationLimit, ForwardRow, Page, RoutingLogRow, RoutingRule, RoutingRuleInput, RoutingTrial } from 'specs'
import { z } from 'zod'
import type { StudyAudience } from '../access/study-audience.ts'
import type { Archive } from '../archive/archive.ts'
import { listNodes, readNode } from '../dicom-node/store.ts'
import { listForwards } from './forward-store.ts'
import type { Forwarder } from './forwarder.ts'
import type { Router } from './router.ts'
import { listLog } from './routing-log.ts'
import { addRule, changeRule, listLimits, listRules, readRule, removeRule, restoreRule, setLimit } from './rule-store.ts'

export interface RoutingRoutes {
  readonly db: Database
  readonly router: Router
  readonly forwarder: Forwarder
  readonly archive: Pick<Archive, 'studies'>
  /** Who may have a study on a list: to everybody else a row of the queue tells that something moves, not whose images (rule 9). */
  readonly audience: Pick<StudyAudience, 'ofStudy'>
  readonly audit: AuditTrail
  readonly now?: () => number
}

const administrators = ['system.configure'] as const
/** Technicians look after the devices: they may see what goes to them and try again. */
const caretakers = ['system.configure', 'device.watch'] as const

const RuleId = z.object({ ruleId: z.string().max(64) })
const ForwardId = z.object({ id: z.string().max(64) })
const paging = { limit: z.coerce.number().int().min(1).max(500).default(100), after: z.coerce.number().int().min(0).optional() }
const ForwardFilter = z.object({ state: ForwardRow.shape.state.optional(), nodeId: z.string().max(64).optional(), ...paging })
const LogFilter = z.object({ outcome: RoutingLogRow.shape.outcome.optional(), ruleId: z.string().max(64).optional(), ...paging })
/** Studies that a trial looks at. */
const TRIED = 50

/** 路由与预取: rules, the one queue to DICOM nodes, how hard they may be sent to, and why everything happened. */
export function addRoutingRoutes(face: HttpFace, { db, router, forwarder, archive, audience, audit, now = Date.now }: RoutingRoutes): void {
  const tell = (tx: Transaction, id: string, before: unknown, after: unknown) =>
    audit.within(tx, { action: 'config.routing', outcome: 'success', object: { type: 'config', id: `routing-rule/${id}` }, before, after })

  async function shown<T extends { readonly studyInstanceUid: string | null }>(user: User, rows: readonly T[]): Promise<T[]> {
    const may = new Map<string, boolean>()
    const told: T[] = []
    for (const row of rows) {
      const study = row.studyInstanceUid
      const isListed = study !== null && (may.get(study) ?? (await audience.ofStudy(study))(user))
      if (study !== null) may.set(study, isListed)
      told.push(isListed ? row : { ...row, studyInstanceUid: null })
    }
    return told
  }

  face.route({ method: 'GET', path: '/api/routing/rules', summary: '路由与预取规则 / Routing and prefetch rules', allow: caretakers, answer: z.array(RoutingRule) }, () => listRules(db))
  face.route({ method: 'POST', path: '/api/routing/rules', summary: 'Make a rule', allow: administrators, body: RoutingRuleInput, answer: RoutingRule }, async ({ body, user }) => {
    const rule = await db.write(async (tx) => {
      const added = await addRule(tx, body, user.name, now())
      await tell(tx, added.id, undefined, body)
      return added
    })
    await router.reload()
    return { status: 201, body: rule }
  })
  face.route(
    { method: 'PUT', path: '/api/routing/rules/:ruleId', summary: 'Change a rule, or switch it off', allow: administrators, params: RuleId, body: RoutingRuleInput.extend({ revision: z.number().int() }), answer: RoutingRule },
    async ({ params, body: { revision, ...input }, user }) => {
      const rule = await db.write(async (tx) => {
        const before = await readRule(tx, params.ruleId)
        const changed = await changeRule(tx, params.ruleId, input, revision, user.name, now())
        await tell(tx, params.ruleId, before, changed)
        return changed
      })
      await router.reload()
      return rule
    },
  )
  face.route({ method: 'DELETE', path: '/api/routing/rules/:ruleId', summary: 'Remove a rule; it can be taken back', allow: administrators, params: RuleId }, async ({ params }) => {
    await db.write(async (tx) => {
      const before = await readRule(tx, params.ruleId)
      await removeRule(tx, params.ruleId, now())
      await tell(tx, params.ruleId, before, undefined)
    })
    await router.reload()
    return { status: 204 }
  })
  face.route({ method: 'POST', path: '/api/routing/rules/:ruleId/restore', summary: 'Take the removal of a rule back', allow: administrators, params: RuleId, answer: RoutingRule }, async ({ params }) => {
    const rule = await db.write(async (tx) => {
      const restored = await restoreRule(tx, params.ruleId)
      await tell(tx, params.ruleId, undefined, restored)
      return restored
    })
    await router.reload()
    return rule
  })
  face.route({ method: 'POST', path: '/api/routing/trial', summary: 'What a rule would do with the newest studies; nothing is sent', allow: administrators, body: RoutingRuleInput, answer: RoutingTrial, limit: { requests: 30, seconds: 60 } }, async ({ body, user }) => {
    const rule: RoutingRule = { ...body, id: 'trial', revision: 0, updatedAt: now(), updatedBy: user.name }
    const rows: RoutingTrial['rows'] = []
    let examined = 0
    for (const study of await archive.studies({ limit: TRIED })) {
      examined += 1
      const { because, plan, priors } = await router.tryOn(rule, study)
      if (!(await audience.ofStudy(study.studyInstanceUid))(user)) continue
      const to = [...new Set((plan?.orders ?? []).map(({ node }) => node.aeTitle))]
      rows.push({ studyInstanceUid: study.studyInstanceUid, studyDate: study.studyDate, modalities: [...study.modalitiesInStudy], description: study.studyDescription, matched: because === undefined, because: because ?? null, to, priors })
    }
    return { examined, rows }
  })
  face.route({ method: 'GET', path: '/api/routing/log', summary: 'Why something was sent or fetched, or was not', allow: caretakers, query: LogFilter, answer: Page(RoutingLogRow) }, async ({ query, user }) => {
    const page = await listLog(db, query)
    return { ...page, rows: await shown(user, page.rows) }
  })

  face.route({ method: 'GET', path: '/api/routing/destinations', summary: 'How hard each node may be sent to, and what waits for it', allow: caretakers, answer: z.array(Destination) }, async () => {
    const [nodes, limits] = [await listNodes(db), new Map((await listLimits(db)).map((limit) => [limit.nodeId, limit]))]
    const counts = await db.all<{ nodeId: string; waiting: number; failed: number }>(
      `SELECT node_id AS "nodeId", SUM(CASE WHEN state IN ('waiting', 'running', 'retrying') THEN 1 ELSE 0 END) AS "waiting",
         SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS "failed" FROM dicom_forward GROUP BY node_id`,
    )
    return nodes.map(({ id, aeTitle, description }) => ({
      nodeId: id,
      aeTitle,
      description,
      associations: limits.get(id)?.associations ?? 1,
      kilobytesPerSecond: limits.get(id)?.kilobytesPerSecond ?? 0,
      waiting: counts.find(({ nodeId }) => nodeId === id)?.waiting ?? 0,
      failed: counts.find(({ nodeId }) => nodeId === id)?.failed ?? 0,
    }))
  })
  face.route({ method: 'PUT', path: '/api/routing/destinations/:id', summary: 'Limit what is sent to a node', allow: administrators, params: ForwardId, body: DestinationLimit, answer: DestinationLimit }, async ({ params, body }) => {
    await db.write(async (tx) => {
      const node = await readNode(tx, params.id)
      await setLimit(tx, params.id, body)
      await audit.within(tx, { action: 'config.routing', outcome: 'success', object: { type: 'dicom-node', id: node.id }, after: body })
    })
    return body
  })

  face.route({ method: 'GET', path: '/api/dicom-forwards', summary: 'Studies on their way to DICOM nodes', allow: caretakers, query: ForwardFilter, answer: Page(ForwardRow) }, async ({ query, user }) => {
    const page = await listForwards(db, query)
    return { ...page, rows: await shown(user, page.rows as readonly ForwardRow[]) }
  })
  face.route({ method: 'POST', path: '/api/dicom-forwards/:id/retry', summary: 'Try sending again now', allow: caretakers, params: ForwardId, answer: ForwardRow }, async ({ params, user }) => {
    const [row] = await shown<ForwardRow>(user, [await forwarder.retry(params.id)])
    return row
  })
  face.route({ method: 'POST', path: '/api/dicom-forwards/:id/cancel', summary: 'Take a delivery out of the queue', allow: caretakers, params: ForwardId, answer: ForwardRow }, async ({ params, user }) => {
    const [row] = await shown<ForwardRow>(user, [await forwarder.cancel(params.id)])
    return row
  })
}
