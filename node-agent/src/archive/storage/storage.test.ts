import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FolderStore } from './folder-store.ts'
import { storageContract } from './storage.contract.ts'

storageContract('a folder and SQLite', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-far-'))
  const store = new FolderStore('far', folder)
  await store.mark()
  return {
    open: () => store,
    down: () => rename(folder, `${folder}.away`),
    up: () => rename(`${folder}.away`, folder),
    end: () => rm(folder, { recursive: true, force: true }),
  }
})
