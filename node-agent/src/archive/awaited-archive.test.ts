import { rm } from 'node:fs/promises'
import { createLog } from 'service-kit'
import { Problem } from 'specs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { testArchive } from './archive.builder.ts'
import { awaitArchive, type AwaitedArchive } from './awaited-archive.ts'

const log = createLog({ name: 'test', level: 'silent' })
let archive: AwaitedArchive | undefined
const folders: string[] = []
afterEach(async () => {
  await archive?.close()
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
})
async function aRealOne() {
  const made = await testArchive()
  folders.push(made.folder)
  return made.archive
}

const down = Object.assign(new Error('connect ECONNREFUSED postgres://user:secret@10.0.0.1'), { code: 'ECONNREFUSED' })

describe('an archive that the node can do without for a while', () => {
  it('refuses every use with its reason while it is away, and is whole once it comes', async () => {
    // FED-33
    const real = await aRealOne()
    let tries = 0
    archive = await awaitArchive('regional', async () => { if (++tries < 3) throw down; return real }, { log, retryMs: 20 }) // prettier-ignore
    expect(archive.absence).toMatchObject({ reason: 'ECONNREFUSED' })
    await expect(archive.study('1.2')).rejects.toMatchObject({ code: 'archive/unavailable', facts: { archive: 'regional', reason: 'ECONNREFUSED' } })
    expect(archive.totals()).toEqual({ studies: 0, instances: 0, sizeBytes: 0 })
    const came = vi.fn()
    archive.whenOpen(came)
    await vi.waitFor(() => expect(came).toHaveBeenCalledOnce())
    expect([archive.absence, tries]).toEqual([undefined, 3])
    expect(await archive.study('1.2')).toBeUndefined()
  })

  it('does not hold up the start when its database answers nothing at all', async () => {
    let answer: (value: never) => void = () => undefined
    archive = await awaitArchive('regional', () => new Promise((resolve) => (answer = resolve)), { log, patienceMs: 20 })
    expect(archive.absence).toMatchObject({ reason: 'slow' })
    answer((await aRealOne()) as never)
    await vi.waitFor(() => expect(archive?.absence).toBeUndefined())
  })

  it('is no matter of waiting when the key of its files is a wrong one', async () => {
    await expect(awaitArchive('regional', () => Promise.reject(new Problem('archive/wrong-key')), { log })).rejects.toMatchObject({ code: 'archive/wrong-key' })
  })

  it('is not tried again after the node has stopped, and what comes too late is closed', async () => {
    const real = await aRealOne()
    const close = vi.spyOn(real, 'close')
    let answer: (value: typeof real) => void = () => undefined
    const late = await awaitArchive('regional', () => new Promise((resolve) => (answer = resolve)), { log, patienceMs: 1 })
    const closed = late.close()
    answer(real)
    await closed
    expect(close).toHaveBeenCalledOnce()
  })
})
