import { Buffer } from 'node:buffer'
import { open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { sm3Hex } from 'pki'
import { createLog, kekSourceOf, Vault } from 'service-kit'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { buildFile } from '../../dicom/dataset.builder.ts'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from '../archive.builder.ts'
import { FileEncryption } from './file-encryption.ts'

let test: TestArchive
beforeEach(async () => {
  test = await testArchive({ encryptionMode: 'sm4' })
})
afterEach(() => test.close())

const pixels = Buffer.from(Array.from({ length: 900_000 }, (_each, index) => (index * 7) % 253))
const large = buildFile(aSlice({ Rows: 900, Columns: 500, PixelData: pixels }))
const own = { kind: 'own', peer: 'test' } as const

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
}
/** What somebody who holds the disk would look for. */
async function tellTales(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const file of await filesBelow(folder)) {
    const text = (await readFile(file)).toString('latin1')
    for (const word of ['DICM', '2.25.301', 'Zhang^San', pixels.toString('latin1', 5_000, 5_032)]) if (text.includes(word)) found.push(`${word} in ${path.basename(file)}`)
  }
  return found
}
const fileOf = async (uid = '2.25.301') => path.join(test.root, (await test.archive.instance(uid))?.path ?? '')

describe('an archive that encrypts', () => {
  it('keeps nothing readable on its disk, from the first byte that arrives', async () => {
    // SEC-09, GB/T 22239 8.1.4.8 b
    const incoming = await test.archive.receive(own, { part10: true })
    await incoming.write(large.subarray(0, 600_000))
    await incoming.write(large.subarray(600_000, 600_001))
    expect((await filesBelow(test.root)).length).toBe(1)
    expect(await tellTales(test.root)).toEqual([])
    await incoming.write(large.subarray(600_001))
    await incoming.commit()
    await test.archive.seriesMetadata('2.25.1', '2.25.11')
    await send(test.archive, buildFile(aSlice({ StudyDescription: 'changed' })), { source: own })
    expect((await filesBelow(test.root)).map((file) => path.relative(test.root, file).split('/')[0]).sort()).toEqual(['hospital-a', 'metadata', 'replaced'])
    expect(await tellTales(test.root)).toEqual([])
  })

  it('gives the same bytes and digests as one that does not, whole and in parts', async () => {
    const receipt = await send(test.archive, large, { source: own, chunkBytes: 100_003 })
    expect(receipt).toMatchObject({ sm3: sm3Hex(large), sizeBytes: large.length })
    const file = await test.archive.open('2.25.301')
    expect((await file.read(0, large.length + 5)).equals(large)).toBe(true)
    for (const [offset, length] of [[0, 10], [17, 1], [262_143, 262_146], [large.length - 5, 100], [large.length, 5]] as const)
      expect((await file.read(offset, length)).equals(large.subarray(offset, offset + length)), `${offset}`).toBe(true)
    const streamed = async (range?: { start?: number; end?: number }) => Buffer.concat((await file.stream(range).toArray()) as Buffer[])
    expect((await streamed()).equals(large)).toBe(true)
    expect((await streamed({ start: 33, end: 700_001 })).equals(large.subarray(33, 700_001))).toBe(true)
    expect(await streamed({ start: 50, end: 50 })).toHaveLength(0)
    expect(await test.archive.manifest('2.25.1')).toMatchObject([{ sm3: sm3Hex(large), sizeBytes: large.length }])
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
  })

  it('reads many parts of many files at the same time', async () => {
    await send(test.archive, large, { source: own })
    await send(test.archive, buildFile(aSlice({ SOPInstanceUID: '2.25.302', PixelData: pixels.subarray(1), Rows: 1, Columns: 1 })), { source: own })
    const [a, b] = [await test.archive.open('2.25.301'), await test.archive.open('2.25.302')]
    const whole = await b.read(0, b.sizeBytes)
    await Promise.all(
      Array.from({ length: 40 }, async (_each, index) => {
        const [file, bytes] = index % 2 === 0 ? [a, large] : [b, whole]
        const offset = index * 9_973
        expect((await file.read(offset, 150_000)).equals(bytes.subarray(offset, offset + 150_000))).toBe(true)
      }),
    )
  })

  it('answers metadata from a kept file that nobody else can read, and makes them anew when that was changed', async () => {
    await sendSlice(test.archive)
    const made = await test.archive.seriesMetadata('2.25.1', '2.25.11')
    expect(JSON.parse(gunzipSync(made).toString())).toMatchObject([{ '00080018': { Value: ['2.25.301'] } }])
    const kept = (await filesBelow(path.join(test.root, 'metadata')))[0]!
    expect(kept).toMatch(/2\.25\.11\.1\.json\.gz\.sm4$/)
    expect(await test.archive.seriesMetadata('2.25.1', '2.25.11')).toEqual(made)
    const bytes = await readFile(kept)
    bytes[1_050]! ^= 1
    await writeFile(kept, bytes)
    expect(await test.archive.seriesMetadata('2.25.1', '2.25.11')).toEqual(made)
  })

  it('reads what was written under the other setting, both ways, and takes a known instance for the same', async () => {
    test = await test.reopen({ encryptionMode: 'none' })
    await sendSlice(test.archive)
    test = await test.reopen({ encryptionMode: 'sm4' })
    expect((await sendSlice(test.archive)).outcome).toEqual({ kind: 'duplicate' })
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302' })
    test = await test.reopen({ encryptionMode: 'none' })
    expect((await sendSlice(test.archive, { SOPInstanceUID: '2.25.302' })).outcome).toEqual({ kind: 'duplicate' })
    const text = async (uid: string) => (await (await test.archive.open(uid)).read(128, 4)).toString()
    expect([await text('2.25.301'), await text('2.25.302')]).toEqual(['DICM', 'DICM'])
    expect((await Promise.all([fileOf('2.25.301'), fileOf('2.25.302')])).map((file) => path.extname(file))).toEqual(['.dcm', '.sm4'])
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 2, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
  })

  it('sets plain content aside when it is replaced by encrypted content, also when it is killed in between', async () => {
    // FED-22
    test = await test.reopen({ encryptionMode: 'none' })
    await sendSlice(test.archive)
    const plain = await fileOf()
    const content = await readFile(plain)
    test = await test.reopen({ encryptionMode: 'sm4' })
    await sendSlice(test.archive, { StudyDescription: 'changed' })
    const [trace] = await test.archive.replacements('2.25.1')
    const kept = path.join(test.root, trace!.keptAs)
    expect((await readFile(kept)).equals(content)).toBe(true)
    await expect(stat(plain)).rejects.toThrow('ENOENT')
    // As a kill after the rows leaves it: the new file still in incoming/, the previous one where it was.
    const { path: now, file_id: fileId } = (await test.db.get<{ path: string; file_id: string }>('SELECT path, file_id FROM archive_instance'))!
    await rename(kept, plain)
    await rename(path.join(test.root, now), path.join(test.root, 'incoming', `${fileId}.part`))
    test = await test.reopen()
    expect((await readFile(kept)).equals(content)).toBe(true)
    await expect(stat(plain)).rejects.toThrow('ENOENT')
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, missing: [], wrongDigest: [], orphans: [] })
  })

  it('does not open with another key, with none, or with a new vault, and says so', async () => {
    await sendSlice(test.archive)
    const other = await testArchive()
    await expect(test.reopen({ encryption: other.encryption })).rejects.toMatchObject({ code: 'archive/wrong-key' })
    // Only the archive's own vault opens it again, whatever was tried before.
    test = await testArchive({ encryptionMode: 'sm4' }, test.folder)
    expect((await (await test.archive.open('2.25.301')).read(128, 4)).toString()).toBe('DICM')
    await other.close()
  })

  it('refuses the file of another instance in the place of one, and a header that was changed', async () => {
    await sendSlice(test.archive)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302' })
    const [a, b] = [await fileOf('2.25.301'), await fileOf('2.25.302')]
    const bytes = await readFile(b)
    await writeFile(b, await readFile(a))
    await expect(test.archive.open('2.25.302')).rejects.toMatchObject({ code: 'archive/damaged-file' })
    for (const slot of [0, 512]) bytes[slot + 200]! ^= 1
    await writeFile(b, bytes)
    await expect(test.archive.open('2.25.302')).rejects.toMatchObject({ code: 'archive/damaged-file' })
    await writeFile(b, buildFile(aSlice()))
    await expect(test.archive.open('2.25.302')).rejects.toMatchObject({ code: 'archive/damaged-file' })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ wrongSize: ['2.25.302'] })
  })

  it('finds a changed bit by the digest, and takes the instance again when it is sent', async () => {
    // ARC-22
    await send(test.archive, large, { source: own })
    const bytes = await readFile(await fileOf())
    bytes[500_000]! ^= 1
    await writeFile(await fileOf(), bytes)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ wrongDigest: ['2.25.301'] })
    expect((await send(test.archive, large, { source: own })).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ wrongDigest: [], orphans: [] })
  })

  it('leaves no damaged file in clear when the instance comes again encrypted', async () => {
    test = await test.reopen({ encryptionMode: 'none' })
    await sendSlice(test.archive)
    const plain = await fileOf()
    await writeFile(plain, 'damaged')
    await test.archive.verify()
    test = await test.reopen({ encryptionMode: 'sm4' })
    await sendSlice(test.archive)
    await expect(stat(plain)).rejects.toThrow('ENOENT')
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongSize: [], orphans: [] })
  })

  it('destroys the key of a file before it is deleted', async () => {
    await sendSlice(test.archive)
    const before = await readFile(await fileOf())
    // Somebody who still has the blocks: the file stays open through its deletion.
    const handle = await open(await fileOf(), 'r')
    await test.archive.delete('2.25.1')
    const after = Buffer.alloc(before.length)
    await handle.read(after, 0, after.length, 0)
    await handle.close()
    expect(after.subarray(1_024).equals(before.subarray(1_024))).toBe(true)
    expect(() => test.encryption.keys.open(after, '')).toThrow(expect.objectContaining({ code: 'archive/damaged-file' }))
    expect(after.subarray(0, 1_024).equals(before.subarray(0, 1_024))).toBe(false)
    expect(await filesBelow(test.root)).toEqual([])
  })

  it('keeps an instance that could not be registered encrypted until it is retried', async () => {
    // FED-23
    test = await test.reopen({ registrationRetries: 0 })
    await test.db.run("CREATE TRIGGER out_of_order BEFORE INSERT ON archive_instance BEGIN SELECT RAISE(ABORT, 'out of order'); END")
    await expect(sendSlice(test.archive)).rejects.toMatchObject({ code: 'archive/failed' })
    expect((await filesBelow(path.join(test.root, 'failed'))).map((file) => path.extname(file)).sort()).toEqual(['.json', '.sm4'])
    expect(await tellTales(path.join(test.root, 'failed'))).toEqual([expect.stringContaining('2.25.301 in')])
    await test.db.run('DROP TRIGGER out_of_order')
    const [failed] = await test.archive.failedRegistrations()
    expect((await test.archive.retryFailed(failed!.fileId)).outcome).toEqual({ kind: 'stored' })
    expect(await filesBelow(path.join(test.root, 'failed'))).toEqual([])
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, wrongDigest: [] })
  })

  it('stays readable when the key over the keys is another one, without a file being written', async () => {
    // ADR 0013: two rows change
    await sendSlice(test.archive)
    const before = await stat(await fileOf())
    const vault = await Vault.open({ db: test.db, kek: kekSourceOf({ keyFile: path.join(test.folder, 'vault.kek') }) })
    const old = (await vault.status()).kekId
    expect(await vault.renewKek()).not.toBe(old)
    test = await test.reopen()
    expect((await (await test.archive.open('2.25.301')).read(128, 4)).toString()).toBe('DICM')
    expect((await stat(await fileOf())).mtimeMs).toBe(before.mtimeMs)
  })
})

describe('the threads that encipher', () => {
  it('take over when they are ready, and fail what was under way when they end', async () => {
    const { key } = test.encryption.keys.create('x')
    const blocks = () => Buffer.alloc(3_000_000)
    const inTheMeantime = await test.encryption.cipher.apply(key, 5, blocks())
    const other = new FileEncryption({ vault: { seal: () => '', openBytes: () => new Uint8Array(48), isCurrent: () => true }, log: createLog({ name: 'test', level: 'silent' }) })
    // Ready when what comes next no longer holds up this thread.
    const { cipher } = other
    await vi.waitFor(async () => {
      const began = performance.now()
      const enciphered = cipher.apply(key, 5, blocks())
      expect(performance.now() - began).toBeLessThan(5)
      expect((await enciphered).equals(inTheMeantime)).toBe(true)
    }, 60_000)
    const underWay = other.cipher.apply(key, 0, blocks())
    await Promise.all([expect(underWay).rejects.toThrow('closes'), other.close()])
    await expect(other.cipher.apply(key, 0, blocks())).rejects.toThrow('closed')
  }, 80_000)
})
