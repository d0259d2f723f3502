import { afterAll, beforeAll } from 'vitest'
import { mailboxContract } from '../../src/link/mailbox.contract.ts'
import { openDatabase } from '../../src/index.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let schemas = 0
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

mailboxContract('PostgreSQL', () => openDatabase({ dialect: 'postgres', url: postgres.url, schema: `mailbox_${++schemas}` })) // ARC-09
