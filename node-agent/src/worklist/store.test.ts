import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from 'service-kit'
import { worklistContract } from './store.contract.ts'

worklistContract('SQLite', async () => openDatabase({ dialect: 'sqlite', file: join(await mkdtemp(join(tmpdir(), 'lianpian-worklist-')), 'node.sqlite') }))
