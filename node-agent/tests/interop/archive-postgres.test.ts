import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from 'service-kit'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { sendSlice, testArchive } from '../../src/archive/archive.builder.ts'
import { convertArchive } from '../../src/archive/encryption/conversion.ts'
import { makeFolders } from '../../src/archive/folders.ts'
import { archiveContract } from '../../src/archive/archive.contract.ts'
import { upkeepContract } from '../../src/archive/upkeep.contract.ts'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FolderStore } from '../../src/archive/storage/folder-store.ts'
import { storageContract } from '../../src/archive/storage/storage.contract.ts'
import { rewriteContract } from '../../src/archive/rewrite.contract.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

describe('converting an archive on PostgreSQL', () => {
  it('goes there and back beside a node that stores and replaces', async () => {
    const db = await openDatabase({ dialect: 'postgres', url: await postgres.newDatabase(), schema: 'archive' })
    const test = await testArchive({ db })
    const uids = Array.from({ length: 40 }, (_each, index) => `2.25.3${index}`)
    for (const uid of uids) await sendSlice(test.archive, { SOPInstanceUID: uid })
    for (const [round, to] of (['sm4', 'none'] as const).entries()) {
      const parts = { db, encryption: test.encryption, folders: await makeFolders(test.root), graceMs: 50 }
      const replacing = (async () => {
        for (const uid of uids.slice(0, 8)) await sendSlice(test.archive, { SOPInstanceUID: uid, StudyDescription: `round ${round}` })
      })()
      await convertArchive(parts, to)
      await replacing
      await convertArchive(parts, to)
      expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 40, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
      const [row] = await db.all<{ n: number }>(`SELECT COUNT(*) AS "n" FROM archive_instance WHERE path LIKE '%.sm4'`)
      expect(row!.n).toBe(to === 'sm4' ? 40 : 0)
    }
    await test.close()
  })
})

archiveContract('PostgreSQL', async () =>
  openDatabase({ dialect: 'postgres', url: await postgres.newDatabase(), schema: `archive_${randomUUID().slice(0, 8)}` }),
)
let latest: { url: string; schema: string }
const open = () => openDatabase({ dialect: 'postgres', ...latest })
rewriteContract(
  'PostgreSQL',
  async () => {
    latest = { url: await postgres.newDatabase(), schema: `archive_${randomUUID().slice(0, 8)}` }
    return open()
  },
  {},
  open,
)
storageContract(
  'a folder and PostgreSQL',
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-far-'))
    const store = new FolderStore('far', folder)
    await store.mark()
    return {
      open: () => store,
      down: () => rename(folder, `${folder}.away`),
      up: () => rename(`${folder}.away`, folder),
      end: () => rm(folder, { recursive: true, force: true }),
    }
  },
  async () => ({ db: await openDatabase({ dialect: 'postgres', url: await postgres.newDatabase(), schema: `archive_${randomUUID().slice(0, 8)}` }), end: () => Promise.resolve() }),
)

upkeepContract('PostgreSQL', async () =>
  openDatabase({ dialect: 'postgres', url: await postgres.newDatabase(), schema: `upkeep_${randomUUID().slice(0, 8)}` }),
)
