import { randomBytes } from 'pki'
import type { AuditEvent } from 'specs'
import { draftOf } from '../audit/draft.ts'
import { savePending } from '../audit/pending.ts'
import { openDatabase, type DatabaseConfig } from '../database/index.ts'

/**
 * An act of a person at the machine's own console, told to the trail of a service that may not be running: it enters the chain when the
 * service looks next. A database that has never been used has no trail to tell.
 */
export async function tellTrail(database: DatabaseConfig, service: string, event: AuditEvent): Promise<void> {
  const db = await openDatabase(database)
  try {
    const known = await db.get(`SELECT name FROM schema_migration WHERE scope LIKE 'audit%'`).catch(() => undefined)
    if (!known) return
    const draft = draftOf(event, { node: service, hospital: service, key: randomBytes(32), now: Date.now })
    await db.write((tx) => savePending(tx, draft))
  } finally {
    await db.close()
  }
}
