import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openDatabase } from '../database/index.ts'
import { mailboxContract } from './mailbox.contract.ts'

const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

mailboxContract('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lianpian-mailbox-'))
  folders.push(folder)
  return openDatabase({ dialect: 'sqlite', file: join(folder, 'mailbox.sqlite') })
})
