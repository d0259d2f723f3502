import type { Database } from 'service-kit'
import { auditMigrations } from './audit/store.ts'
import { consultMigrations } from './consult/migrations.ts'
import { hospitalMigrations } from './hospital/migrations.ts'
import { parametersMigrations } from './parameters/store.ts'
import { refusalMigrations } from './refusal/store.ts'

/** Every table of the hub but those of link and accounts, which bring their own. */
export async function migrateHub(db: Database): Promise<void> {
  await db.migrate('hub-hospital', hospitalMigrations)
  await db.migrate('hub-consult', consultMigrations)
  await db.migrate('hub-refusal', refusalMigrations)
  await db.migrate('hub-audit', auditMigrations)
  await db.migrate('hub-parameters', parametersMigrations)
}
