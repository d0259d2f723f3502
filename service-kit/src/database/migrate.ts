import { createHash } from 'node:crypto'
import { Umzug } from 'umzug'
import type { Database, Migration, Transaction } from './database.ts'

/** How a migration gets its transaction: PostgreSQL needs a lock between processes first. */
interface Migrating {
  readonly db: Database
  exclusively<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

const TABLE = `CREATE TABLE IF NOT EXISTS schema_migration (
  scope TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (scope, name))`

/**
 * Applies what is missing, each step with its own record in one transaction, so that a crash leaves whole steps only.
 * Forward only: a database written by a newer version, or a step edited after its release, is refused before anything is touched.
 */
export async function migrate({ db, exclusively }: Migrating, scope: string, migrations: readonly Migration[]): Promise<void> {
  await exclusively((tx) => tx.run(TABLE))
  refuseStrangers(scope, migrations, await appliedOf(db, scope))
  const umzug = new Umzug({
    logger: undefined,
    migrations: migrations.map((migration) => ({ name: migration.name, up: () => exclusively((tx) => apply(tx, scope, migration)) })),
    storage: {
      executed: async () => (await appliedOf(db, scope)).map((row) => row.name),
      logMigration: async () => {}, // recorded by apply(), inside the same transaction
      unlogMigration: () => Promise.reject(new Error('migrations go forward only')),
    },
  })
  await umzug.up()
}

interface Applied {
  readonly name: string
  readonly digest: string
}

function appliedOf(queries: Pick<Database, 'all'>, scope: string): Promise<Applied[]> {
  return queries.all<Applied>('SELECT name, digest FROM schema_migration WHERE scope = $1 ORDER BY name', [scope])
}

async function apply(tx: Transaction, scope: string, migration: Migration): Promise<void> {
  const applied = await appliedOf(tx, scope)
  if (applied.some((row) => row.name === migration.name)) return // another process was quicker
  if (typeof migration.up === 'function') await migration.up(tx)
  else for (const statement of migration.up) await tx.run(statement)
  await tx.run('INSERT INTO schema_migration (scope, name, digest, applied_at) VALUES ($1, $2, $3, $4)', [
    scope,
    migration.name,
    digestOf(migration),
    Date.now(),
  ])
}

function refuseStrangers(scope: string, migrations: readonly Migration[], applied: readonly Applied[]): void {
  const known = new Map(migrations.map((migration) => [migration.name, digestOf(migration)]))
  if (known.size < migrations.length) throw new Error(`${scope}: two migrations have the same name`)
  for (const { name, digest } of applied) {
    const expected = known.get(name)
    if (expected === undefined)
      throw new Error(`the database holds ${scope}/${name}, which this version does not know: it was written by a newer version`)
    if (expected !== digest) throw new Error(`the migration ${scope}/${name} was edited after it had been applied: add a new one instead`)
  }
}

/** Of the statements without their layout. A function has no stable text across tools, so its name stands for it. */
function digestOf(migration: Migration): string {
  const text =
    typeof migration.up === 'function' ? migration.name : migration.up.map((statement) => statement.replace(/\s+/g, ' ').trim()).join(';')
  return createHash('sha256').update(text).digest('hex')
}
