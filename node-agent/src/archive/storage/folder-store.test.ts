import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { FolderStore } from './folder-store.ts'
import { imageStoreContract } from './image-store.contract.ts'

imageStoreContract('a folder', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-store-'))
  const store = new FolderStore('nas', folder)
  await store.mark()
  return { open: () => store, end: () => rm(folder, { recursive: true, force: true }) }
})

describe('a NAS that is not mounted', () => {
  it('is out of reach: neither empty nor to be filled', async () => { // ARC-20
    const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-store-'))
    const mounted = path.join(folder, 'nas')
    await mkdir(mounted)
    const store = new FolderStore('nas', mounted)
    await store.mark()
    await store.put('a.dcm', () => Readable.from([Buffer.from('a')], { objectMode: false }), 1)
    await rm(mounted, { recursive: true })
    await mkdir(mounted) // the empty mount point
    for (const attempt of [() => store.head('a.dcm'), () => store.put('b.dcm', () => Readable.from([]), 0), () => store.delete('a.dcm'), () => store.capacity()])
      await expect(attempt()).rejects.toMatchObject({ code: 'store/unreachable' })
    await expect(new FolderStore('nas', path.join(folder, 'nowhere')).mark()).rejects.toMatchObject({ code: 'store/unreachable' })
    await rm(folder, { recursive: true })
  })
  it('takes no key that leaves it', async () => {
    await expect(new FolderStore('nas', '/nowhere').open('../../etc/passwd')).rejects.toMatchObject({ code: 'store/refused' })
  })
})
