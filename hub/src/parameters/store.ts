import type { Migration, Queries, Transaction } from 'service-kit'
import { AgentParameters, type EpochMs, type HospitalId } from 'specs'

export const parametersMigrations: readonly Migration[] = [
  {
    name: '0001-parameters',
    // Sealed by the vault as a whole: keys of buckets are in it. Scope `region` is for everybody without parameters of the own.
    up: ['CREATE TABLE agent_parameters (scope TEXT PRIMARY KEY, sealed TEXT NOT NULL, version BIGINT NOT NULL, updated_at BIGINT NOT NULL, updated_by TEXT NOT NULL)'],
  },
]

export const REGION = 'region'
export type Scope = typeof REGION | HospitalId
export const sealContext = (scope: string): string => `agent-parameters/${scope}`
/** For the change of the vault's key. */
export const sealedParameters = { table: 'agent_parameters', key: 'scope', column: 'sealed', context: sealContext }

export interface Safe {
  seal(value: string, context: string): string
  open(sealed: string, context: string): string
}

export interface KeptParameters {
  readonly scope: string
  readonly parameters: AgentParameters
  readonly version: number
  readonly updatedAt: EpochMs
  readonly updatedBy: string
}
type Row = Omit<KeptParameters, 'parameters'> & { readonly sealed: string }

const columns = 'scope, sealed, version, updated_at AS "updatedAt", updated_by AS "updatedBy"'
const kept = (safe: Safe, { sealed, ...row }: Row): KeptParameters => ({
  ...row,
  parameters: AgentParameters.parse(JSON.parse(safe.open(sealed, sealContext(row.scope)))),
})

export async function listParameters(db: Queries, safe: Safe): Promise<KeptParameters[]> {
  return (await db.all<Row>(`SELECT ${columns} FROM agent_parameters ORDER BY scope`)).map((row) => kept(safe, row))
}

export async function findParameters(db: Queries, safe: Safe, scope: Scope): Promise<KeptParameters | undefined> {
  const row = await db.get<Row>(`SELECT ${columns} FROM agent_parameters WHERE scope = $1`, [scope])
  return row && kept(safe, row)
}

/** Versions only grow, also those of a hospital that goes back to the region's. */
async function nextVersion(tx: Transaction, now: EpochMs): Promise<number> {
  const row = await tx.get<{ newest: number | null }>('SELECT MAX(version) AS "newest" FROM agent_parameters')
  return Math.max((row?.newest ?? 0) + 1, now)
}

export async function saveParameters(tx: Transaction, safe: Safe, scope: Scope, parameters: AgentParameters, by: string, now: EpochMs): Promise<number> {
  const version = await nextVersion(tx, now)
  await tx.run(
    `INSERT INTO agent_parameters (scope, sealed, version, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (scope) DO UPDATE SET sealed = $2, version = $3, updated_at = $4, updated_by = $5`,
    [scope, safe.seal(JSON.stringify(parameters), sealContext(scope)), version, now, by],
  )
  return version
}

export const removeParameters = (tx: Transaction, scope: Scope) => tx.run('DELETE FROM agent_parameters WHERE scope = $1', [scope])
