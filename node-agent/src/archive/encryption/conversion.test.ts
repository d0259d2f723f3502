import { type Buffer } from 'node:buffer'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Vault, kekSourceOf, type Database } from 'service-kit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from '../archive.builder.ts'
import { buildFile } from '../../dicom/dataset.builder.ts'
import { makeFolders } from '../folders.ts'
import { convertArchive, type ConversionParts } from './conversion.ts'
import { isEncryptedPath, type EncryptionMode } from './file-encryption.ts'
import { ConversionLease } from './conversion-lease.ts'
import { rewrapArchive } from './rewrap.ts'
import { slotsOf } from './file-form.ts'

let test: TestArchive
beforeEach(async () => {
  test = await testArchive()
})
afterEach(() => test.close())

const parts = async (more: Partial<ConversionParts> = {}): Promise<ConversionParts> => ({ db: test.db, encryption: test.encryption, folders: await makeFolders(test.root), graceMs: 0, ...more })
const convert = async (to: EncryptionMode, more: Partial<ConversionParts> = {}) => convertArchive(await parts(more), to)
async function names(folder = test.root): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name)).sort() // prettier-ignore
}
/** Of instances; metadata are prepared when a series has been quiet for a while. */
const forms = async () => (await names()).filter((name) => !name.includes('/metadata/')).map((name) => (isEncryptedPath(name) ? 'sm4' : 'none'))
const sound = { missing: [], wrongSize: [], wrongDigest: [], orphans: [] }
const fill = async (count: number) => {
  for (let index = 0; index < count; index++) await sendSlice(test.archive, { SOPInstanceUID: `2.25.3${String(index).padStart(2, '0')}`, InstanceNumber: String(index) })
}

/** As time ends it for a process that renews it no more. */
const leaseEnds = () => test.db.run('UPDATE archive_conversion_lease SET until_ms = 0')

/** A database whose process is killed after so many transactions: nothing it wants happens any more. */
function killedAfter(db: Database, transactions: number): Database {
  let left = transactions
  return {
    ...db,
    all: (sql, values) => db.all(sql, values),
    get: (sql, values) => db.get(sql, values),
    run: (sql, values) => (left > 0 ? db.run(sql, values) : Promise.reject(new Error('killed'))),
    write: (work) => (left-- > 0 ? db.write(work) : Promise.reject(new Error('killed'))),
  }
}

describe('converting the files of an archive', () => {
  it('encrypts them where they are, with previous content and failed ones, and brings them back', async () => {
    // SEC-09
    await fill(5)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.300', StudyDescription: 'changed' })
    await test.archive.seriesMetadata('2.25.1', '2.25.11')
    const [before, rows] = [await test.archive.manifest('2.25.1'), await test.archive.instances('2.25.1')]
    expect(await convert('sm4')).toMatchObject({ converted: 6, damaged: [] })
    expect(await forms()).toEqual(Array(6).fill('sm4'))
    expect((await names()).some((name) => name.includes('metadata'))).toBe(false)
    for (const name of await names()) expect((await readFile(name)).includes('DICM')).toBe(false)
    expect(await test.archive.manifest('2.25.1')).toEqual(before)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 5, ...sound })
    expect((await test.archive.replacements('2.25.1'))[0]!.keptAs).toMatch(/^replaced\/.*\.dcm\.sm4$/)
    expect(await convert('sm4')).toMatchObject({ converted: 0 })

    expect(await convert('none')).toMatchObject({ converted: 6 })
    expect(await forms()).toEqual(Array(6).fill('none'))
    expect(await test.archive.manifest('2.25.1')).toEqual(before)
    expect((await test.archive.instances('2.25.1')).map(({ sizeBytes, sm3 }) => [sizeBytes, sm3])).toEqual(rows.map(({ sizeBytes, sm3 }) => [sizeBytes, sm3]))
    expect(await test.archive.verify({ digests: true })).toMatchObject(sound)
    expect(await convert('sm4')).toMatchObject({ converted: 6 })
    expect(await test.archive.verify({ digests: true })).toMatchObject(sound)
  })

  it('loses nothing wherever it is killed, and the next run goes on and leaves nothing behind', async () => {
    // ARC-22; a batch and a bit
    await fill(34)
    const content = new Map<string, Buffer>()
    for (const row of await test.archive.instances('2.25.1')) content.set(row.sopInstanceUid, await readFile(path.join(test.root, row.path)))
    for (const to of ['sm4', 'none'] as const) {
      for (let transactions = 0; transactions < 6; transactions++) {
        await expect(convert(to, { db: killedAfter(test.db, transactions) })).rejects.toThrow('killed')
        await leaseEnds()
        expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 34, ...sound })
      }
      await convert(to)
      for (const [uid, bytes] of content) expect((await (await test.archive.open(uid)).read(0, bytes.length)).equals(bytes)).toBe(true)
      expect(await forms()).toEqual(Array(34).fill(to))
      expect(await test.db.all('SELECT path FROM archive_conversion')).toEqual([])
      expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 34, ...sound })
    }
  })

  it('leaves a file alone that is lost or not what its digest says, and tells which', async () => {
    await fill(3)
    const [first, second] = (await names()).filter((name) => name.endsWith('.dcm'))
    await writeFile(first!, 'not what it was')
    await rm(second!)
    const { converted, damaged } = await convert('sm4')
    expect(converted).toBe(1)
    expect([...damaged].sort()).toEqual([first, second].map((name) => path.relative(test.root, name!)))
    expect(await readFile(first!, 'utf8')).toBe('not what it was')
  })

  it('does not disturb who reads, sends, replaces or deletes meanwhile', async () => {
    await fill(40)
    const held = await test.archive.open('2.25.300')
    const bytes = await held.read(0, held.sizeBytes)
    const other = buildFile(aSlice({ SOPInstanceUID: '2.25.305', StudyDescription: 'changed' }))
    const converting = convert('sm4')
    await Promise.all([
      send(test.archive, other),
      sendSlice(test.archive, { SOPInstanceUID: '2.25.401', StudyInstanceUID: '2.25.2', SeriesInstanceUID: '2.25.21' }),
    ])
    await test.archive.delete('2.25.2')
    await converting
    // Found while it lay in clear, read when it lies encrypted elsewhere.
    expect((await held.read(0, held.sizeBytes)).equals(bytes)).toBe(true)
    const replaced = await test.archive.open('2.25.305')
    expect((await replaced.read(0, replaced.sizeBytes)).includes('changed')).toBe(true)
    await convert('sm4')
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 40, ...sound })
    expect(new Set(await forms())).toEqual(new Set(['sm4']))
  })

  it('never takes away the file of an instance that was stored under the former name meanwhile', async () => {
    await fill(1)
    const [plain] = await names()
    // The node writes in clear, and gets other content for the very file that has just been converted.
    const converting = convert('sm4', { graceMs: 500 })
    while (!isEncryptedPath((await test.archive.instance('2.25.300'))!.path)) await new Promise((resolve) => setTimeout(resolve, 5))
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.300', StudyDescription: 'changed' })
    await converting
    expect((await stat(plain!)).isFile()).toBe(true)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, ...sound })
  })

  it('is done by one at a time; the place of one that was killed is free after a while', async () => {
    const { db } = test
    const lease = await ConversionLease.take(db, 60_000)
    await expect(convert('sm4')).rejects.toMatchObject({ code: 'archive/converting', facts: { retryAfterMs: expect.any(Number) } })
    await lease.release()
    const killed = await ConversionLease.take(db, 60_000)
    await leaseEnds()
    const next = await ConversionLease.take(db, 60_000)
    await expect(db.write((tx) => killed.require(tx))).rejects.toMatchObject({ code: 'archive/converting' })
    await killed.release()
    await db.write((tx) => next.require(tx))
    await next.release()
  })
})

describe('wrapping the keys of an archive anew', () => {
  it('writes headers only, and neither content nor the time that backups go by', async () => {
    await test.close()
    test = await testArchive({ encryptionMode: 'sm4' })
    await fill(3)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.300', StudyDescription: 'changed' })
    const vault = await Vault.open({ db: test.db, kek: kekSourceOf({ keyFile: path.join(test.folder, 'vault.kek') }) })
    await vault.rotate()
    test = await test.reopen()
    const files = await names()
    const before = await Promise.all(files.map(async (name) => ({ bytes: await readFile(name), at: (await stat(name)).mtimeMs })))
    expect(await rewrapArchive(await parts())).toEqual({ rewrapped: 4, current: 0, damaged: [] })
    expect(await rewrapArchive(await parts())).toEqual({ rewrapped: 0, current: 4, damaged: [] })
    for (const [index, name] of files.entries()) {
      const bytes = await readFile(name)
      expect(bytes.subarray(1_024).equals(before[index]!.bytes.subarray(1_024))).toBe(true)
      expect(slotsOf(bytes)[0]!.wrapped).toMatch(/^v1\.3\./)
      expect(Math.abs((await stat(name)).mtimeMs - before[index]!.at)).toBeLessThan(1)
    }
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 3, ...sound })
  })
})
