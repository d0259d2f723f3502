import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { openDatabase } from 'service-kit'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { archiveContract } from '../../src/archive/archive.contract.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

archiveContract('PostgreSQL', async () =>
  openDatabase({ dialect: 'postgres', url: await postgres.newDatabase(), schema: `archive_${randomUUID().slice(0, 8)}` }),
)
