import { afterAll, beforeAll } from 'vitest'
import { openDatabase } from 'service-kit'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { commitmentContract } from '../../src/commitment/store.contract.ts'
import { policyContract } from '../../src/access/policy/policy.contract.ts'
import { worklistContract } from '../../src/worklist/store.contract.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

policyContract('PostgreSQL', () => openDatabase({ dialect: 'postgres', url: postgres.url, schema: 'policy' }), 100) // SEC-03
commitmentContract('PostgreSQL', () => openDatabase({ dialect: 'postgres', url: postgres.url, schema: 'commitment' })) // LOC-05
worklistContract('PostgreSQL', () => openDatabase({ dialect: 'postgres', url: postgres.url, schema: 'worklist' })) // LOC-05
