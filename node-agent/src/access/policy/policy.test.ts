import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openDatabase } from 'service-kit'
import { policyContract } from './policy.contract.ts'

let folder: string
afterAll(() => rm(folder, { recursive: true }))

policyContract(
  'SQLite',
  async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-policy-'))
    return openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  },
  150,
)
