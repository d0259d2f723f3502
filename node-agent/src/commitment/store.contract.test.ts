import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openDatabase } from 'service-kit'
import { commitmentContract } from './store.contract.ts'

let folder: string
afterAll(() => rm(folder, { recursive: true }))

commitmentContract('SQLite', async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-commitment-'))
  return openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
})
