import { randomUUID } from 'node:crypto'
import type { Queries, Transaction } from 'service-kit'
import { type DestinationLimit, type EpochMs, Problem, RoutingRule, type RoutingRuleInput } from 'specs'

interface StoredRule {
  readonly id: string
  readonly body: string
  readonly revision: number
  readonly updatedAt: EpochMs
  readonly updatedBy: string
}

const columns = 'rule_id AS "id", body, revision, updated_at AS "updatedAt", updated_by AS "updatedBy"'
const ruleOf = ({ body, ...row }: StoredRule): RoutingRule => RoutingRule.parse({ ...(JSON.parse(body) as object), ...row })

/** In the order in which they were made. */
export async function listRules(db: Queries): Promise<RoutingRule[]> {
  return (await db.all<StoredRule>(`SELECT ${columns} FROM routing_rule WHERE removed_at IS NULL ORDER BY created_at, rule_id`)).map(ruleOf)
}

/** @throws {Problem} routing/unknown-rule */
export async function readRule(db: Queries, id: string): Promise<RoutingRule> {
  const row = await db.get<StoredRule>(`SELECT ${columns} FROM routing_rule WHERE rule_id = $1 AND removed_at IS NULL`, [id])
  if (!row) throw new Problem('routing/unknown-rule', { id })
  return ruleOf(row)
}

export async function addRule(tx: Transaction, rule: RoutingRuleInput, by: string, now: EpochMs): Promise<RoutingRule> {
  const id = randomUUID()
  await tx.run('INSERT INTO routing_rule (rule_id, body, revision, created_at, updated_at, updated_by) VALUES ($1, $2, 1, $3, $3, $4)', [id, JSON.stringify(rule), now, by])
  return { ...rule, id, revision: 1, updatedAt: now, updatedBy: by }
}

/** @throws {Problem} routing/unknown-rule; request/conflict when somebody else has changed it since. */
export async function changeRule(tx: Transaction, id: string, rule: RoutingRuleInput, revision: number, by: string, now: EpochMs): Promise<RoutingRule> {
  const changed = await tx.run(
    'UPDATE routing_rule SET body = $3, revision = revision + 1, updated_at = $4, updated_by = $5 WHERE rule_id = $1 AND revision = $2 AND removed_at IS NULL',
    [id, revision, JSON.stringify(rule), now, by],
  )
  if (changed === 0) {
    await readRule(tx, id)
    throw new Problem('request/conflict')
  }
  return readRule(tx, id)
}

/** It stays for the log, and to be taken back. @throws {Problem} routing/unknown-rule */
export async function removeRule(tx: Transaction, id: string, now: EpochMs): Promise<void> {
  if ((await tx.run('UPDATE routing_rule SET removed_at = $2 WHERE rule_id = $1 AND removed_at IS NULL', [id, now])) === 0) throw new Problem('routing/unknown-rule', { id })
}

/** @throws {Problem} routing/unknown-rule */
export async function restoreRule(tx: Transaction, id: string): Promise<RoutingRule> {
  await tx.run('UPDATE routing_rule SET removed_at = NULL, revision = revision + 1 WHERE rule_id = $1 AND removed_at IS NOT NULL', [id])
  return readRule(tx, id)
}

interface StoredLimit extends DestinationLimit {
  readonly nodeId: string
}

export async function listLimits(db: Queries): Promise<StoredLimit[]> {
  return db.all<StoredLimit>('SELECT node_id AS "nodeId", associations, kilobytes_per_second AS "kilobytesPerSecond" FROM routing_destination')
}

export async function limitOf(db: Queries, nodeId: string): Promise<DestinationLimit> {
  const row = await db.get<DestinationLimit>('SELECT associations, kilobytes_per_second AS "kilobytesPerSecond" FROM routing_destination WHERE node_id = $1', [nodeId])
  return row ?? { associations: 1, kilobytesPerSecond: 0 }
}

export async function setLimit(tx: Transaction, nodeId: string, { associations, kilobytesPerSecond }: DestinationLimit): Promise<void> {
  await tx.run(
    `INSERT INTO routing_destination (node_id, associations, kilobytes_per_second) VALUES ($1, $2, $3)
     ON CONFLICT (node_id) DO UPDATE SET associations = $2, kilobytes_per_second = $3`,
    [nodeId, associations, kilobytesPerSecond],
  )
}
