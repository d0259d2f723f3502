import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, openDatabase, type Database } from 'service-kit'
import { RegionId } from 'specs'
import { afterEach, describe, expect, it } from 'vitest'
import { buildFile } from '../dicom/dataset.builder.ts'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from './archive.builder.ts'

/** A database whose transactions fail while `broken` says so, as when its server is stopped. */
function breakable(db: Database): { db: Database; broken: { times: number } } {
  const broken = { times: 0 }
  const write: Database['write'] = (work) => {
    if (broken.times <= 0) return db.write(work)
    broken.times -= 1
    return Promise.reject(new Error('the database is stopped'))
  }
  return {
    broken,
    db: {
      dialect: db.dialect,
      all: db.all.bind(db),
      get: db.get.bind(db),
      run: db.run.bind(db),
      migrate: db.migrate.bind(db),
      close: db.close.bind(db),
      write,
    },
  }
}

describe('registering while the database fails', () => {
  let test: TestArchive
  const lines: Record<string, unknown>[] = []
  const retries = () => lines.filter(({ msg }) => msg === 'registration failed, trying again').map(({ retry }) => retry)
  afterEach(async () => {
    await test.close()
    lines.length = 0
  })

  async function archiveThatBreaks(registrationRetries?: number) {
    const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-failed-'))
    const { db, broken } = breakable(await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'index.sqlite') }))
    const log = createLog({ name: 'archive' }, { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) })
    test = await testArchive({ db, log, ...(registrationRetries !== undefined && { registrationRetries }) }, folder)
    return broken
  }

  it('tries again as often as it is told, then keeps the instance as failed until somebody retries it', async () => {
    // FED-23
    const broken = await archiveThatBreaks(3)
    broken.times = Infinity
    await expect(sendSlice(test.archive)).rejects.toMatchObject({ code: 'archive/failed' })
    expect(retries()).toEqual([1, 2, 3])
    const [failed] = await test.archive.failedRegistrations()
    expect(failed).toMatchObject({ code: 'archive/failed', sopInstanceUid: '2.25.301', source: { kind: 'import', peer: 'test' } })
    expect(JSON.stringify(failed)).not.toContain('张')

    await expect(test.archive.retryFailed(failed?.fileId ?? '')).rejects.toMatchObject({ code: 'archive/failed' })
    broken.times = 0
    const [again] = await test.archive.failedRegistrations()
    expect((await test.archive.retryFailed(again?.fileId ?? '')).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.failedRegistrations()).toEqual([])
    expect(await readdir(path.join(test.root, 'failed'))).toEqual([])
    expect(await test.archive.instance('2.25.301')).toBeDefined()
    await expect(test.archive.retryFailed('../../etc/passwd')).rejects.toMatchObject({ code: 'request/not-found' })
  })

  it('succeeds when the database comes back in time', async () => {
    const broken = await archiveThatBreaks(3)
    broken.times = 2
    expect((await sendSlice(test.archive)).outcome).toEqual({ kind: 'stored' })
    expect(retries()).toEqual([1, 2])
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  })

  it('keeps the region that the instance came by until it is registered', async () => {
    // FED-20, FED-23
    const broken = await archiveThatBreaks(0)
    broken.times = Infinity
    const source = { kind: 'transfer', peer: 'hospital-b', regionId: RegionId.parse('old-region') } as const
    await expect(send(test.archive, buildFile(aSlice()), { source })).rejects.toMatchObject({ code: 'archive/failed' })
    broken.times = 0
    await test.archive.retryFailed((await test.archive.failedRegistrations())[0]?.fileId ?? '')
    expect(await test.archive.instance('2.25.301')).toMatchObject({ regionId: 'old-region', hospitalId: 'hospital-b' })
  })

  it('keeps a failed instance across a restart', async () => {
    const broken = await archiveThatBreaks(0)
    broken.times = Infinity
    await expect(sendSlice(test.archive)).rejects.toMatchObject({ code: 'archive/failed' })
    const { db } = breakable(await openDatabase({ dialect: 'sqlite', file: path.join(test.folder, 'index.sqlite') }))
    test = await test.reopen({ db })
    expect(await test.archive.failedRegistrations()).toHaveLength(1)
  })
})
