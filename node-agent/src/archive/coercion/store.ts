import { randomUUID } from 'node:crypto'
import type { Migration, Queries, Transaction } from 'service-kit'
import { KeptNormalisationRule, Problem, type EpochMs, type NormalisationRule } from 'specs'

export const normalisationMigrations: readonly Migration[] = [
  {
    name: '0001-rule',
    up: [
      'CREATE TABLE normalisation_rule (rule_id TEXT PRIMARY KEY, position INTEGER NOT NULL, body TEXT NOT NULL, updated_at BIGINT NOT NULL, updated_by TEXT NOT NULL)',
    ],
  },
]

/** In the order in which they are applied. */
export async function listRules(db: Queries): Promise<KeptNormalisationRule[]> {
  const rows = await db.all<{ ruleId: string; position: number; body: string; updatedAt: EpochMs; updatedBy: string }>(
    'SELECT rule_id AS "ruleId", position, body, updated_at AS "updatedAt", updated_by AS "updatedBy" FROM normalisation_rule ORDER BY position, rule_id',
  )
  return rows.map(({ body, ...row }) => KeptNormalisationRule.parse({ ...(JSON.parse(body) as object), ...row }))
}

/** Behind the others. */
export async function addRule(tx: Transaction, rule: NormalisationRule, by: string, now: EpochMs): Promise<string> {
  const ruleId = randomUUID()
  const last = await tx.get<{ position: number | null }>('SELECT MAX(position) AS "position" FROM normalisation_rule')
  await tx.run('INSERT INTO normalisation_rule (rule_id, position, body, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)', [ruleId, (last?.position ?? 0) + 1, JSON.stringify(rule), now, by])
  return ruleId
}

/** @throws {Problem} request/not-found */
export async function changeRule(tx: Transaction, ruleId: string, rule: NormalisationRule, by: string, now: EpochMs): Promise<void> {
  const changed = await tx.run('UPDATE normalisation_rule SET body = $2, updated_at = $3, updated_by = $4 WHERE rule_id = $1', [ruleId, JSON.stringify(rule), now, by])
  if (changed === 0) throw new Problem('request/not-found', { ruleId })
}

/** @throws {Problem} request/not-found */
export async function removeRule(tx: Transaction, ruleId: string): Promise<void> {
  if ((await tx.run('DELETE FROM normalisation_rule WHERE rule_id = $1', [ruleId])) === 0) throw new Problem('request/not-found', { ruleId })
}

/** Puts rules into another order; those that are not named follow behind. */
export async function orderRules(tx: Transaction, ruleIds: readonly string[]): Promise<void> {
  const known = (await listRules(tx)).map(({ ruleId }) => ruleId)
  const ordered = [...ruleIds.filter((id) => known.includes(id)), ...known.filter((id) => !ruleIds.includes(id))]
  for (const [index, ruleId] of ordered.entries()) await tx.run('UPDATE normalisation_rule SET position = $2 WHERE rule_id = $1', [ruleId, index + 1])
}
