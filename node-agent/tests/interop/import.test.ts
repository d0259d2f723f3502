import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import iconv from 'iconv-lite'
import { createLog, openDatabase, type AuditTrail, type Database } from 'service-kit'
import type { ImportRow } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Importer } from '../../src/acquisition/import/importer.ts'
import { listFiles, listImports } from '../../src/acquisition/import/store.ts'
import { importMigrations } from '../../src/acquisition/import/tables.ts'
import { WatchedFolder } from '../../src/acquisition/import/watched-folder.ts'
import { readDicomDir } from '../../src/acquisition/import/dicomdir.ts'
import { aSlice, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { fixture, run, until } from './dimse-support.ts'
import { madeZip } from '../support/made-zip.ts'

const noAudit: AuditTrail = { record: async () => undefined, note: () => undefined, within: async () => undefined, patientKey: () => '', available: true }
const log = createLog({ name: 'test', level: 'silent' })
let folder: string
let db: Database
let test: TestArchive
let importer: Importer
let free = 1e12

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-import-'))
  db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
  await db.migrate('import', importMigrations)
  test = await testArchive()
  free = 1e12
  importer = await startImporter()
})
afterEach(async () => {
  await importer.stop()
  await test.close()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

const storing = () => ({ archive: test.archive, admit: async () => undefined })
async function startImporter(): Promise<Importer> {
  const started = new Importer({ db, log, audit: noAudit, folder: path.join(folder, 'uploads'), freeBytes: async () => free })
  await started.start()
  return started
}
const begin = (files = 0) => importer.begin({ name: '光盘', origin: 'upload', userId: 'wang', startedBy: '王医生', filesExpected: files, storing: storing() })
const rowOf = async (id: string): Promise<ImportRow> => (await listImports(db, { id, limit: 1 }))[0]!
const filesOf = async (id: string) => (await listFiles(db, id, { limit: 500 })).rows
/** As the page uploads a folder: one file after the other, by its path in it. */
async function upload(id: string, from: string, below = ''): Promise<void> {
  for (const entry of await readdir(path.join(from, below), { withFileTypes: true })) {
    const name = path.join(below, entry.name)
    if (entry.isDirectory()) await upload(id, from, name)
    else await importer.file(id, name, Readable.from([await readFile(path.join(from, name))]))
  }
}
async function importZip(content: Uint8Array): Promise<ImportRow> {
  const id = await begin(1)
  await importer.zip(id, 'x.zip', Readable.from([content]))
  await importer.finish(id)
  return rowOf(id)
}
const slice = (n: number, changes = {}) => buildFile(aSlice({ SOPInstanceUID: `2.25.90${n}`, InstanceNumber: String(n), ...changes }))

describe('importing a medium with a DICOMDIR', () => {
  it('brings every image that it lists, tells what is none, and repeats nothing', async () => {
    // ARC-04: the file-set of pydicom, 31 images of three patients
    const medium = fixture('dicomdir-fileset')
    const id = await begin(32)
    await upload(id, medium)
    await importer.finish(id)
    expect(await rowOf(id)).toMatchObject({ state: 'done', files: 32, stored: 31, skipped: 1, failed: 0, duplicates: 0, listed: 31, missing: [] })
    expect(test.archive.totals()).toMatchObject({ instances: 31 })
    expect((await test.archive.instances(undefined, undefined, { limit: 1 }))[0]).toMatchObject({ sourceKind: 'import', sourcePeer: 'wang' })
    const again = await begin(32)
    await upload(again, medium)
    await importer.finish(again)
    expect(await rowOf(again)).toMatchObject({ stored: 0, duplicates: 31 })
  })

  it('names what the directory lists and the medium does not hold', async () => {
    // ARC-04
    const medium = path.join(folder, 'scratched')
    await cp(fixture('dicomdir-fileset'), medium, { recursive: true })
    await rm(path.join(medium, '77654033', 'CR1', '6154'))
    const id = await begin()
    await upload(id, medium)
    await importer.finish(id)
    expect(await rowOf(id)).toMatchObject({ stored: 30, listed: 31, missing: ['77654033/CR1/6154'] })
  })

  it('reads the directory as dcmdump does', async () => {
    // ARC-04
    const file = fixture('dicomdir-fileset', 'DICOMDIR')
    const { output } = await run('dcmdump', ['+P', '0004,1511', '+L', file])
    const listed = readDicomDir(await readFile(file)).map(({ sopInstanceUid }) => sopInstanceUid)
    expect(listed).toEqual([...output.matchAll(/\[([\d.]+)\]/g)].map(([, uid]) => uid))
  })
})

describe('importing a ZIP file', () => {
  it('takes the images out of it, with names of Chinese Windows and of others, and passes over the rest', async () => {
    // ARC-04
    const row = await importZip(
      madeZip([
        { name: iconv.encode('影像/片一.dcm', 'gbk'), content: slice(1) },
        { name: '影像/片二.dcm', content: slice(2), stored: true },
        { name: 'Viewer.exe', content: Buffer.alloc(300_000, 0x4d) },
        { name: 'inner.zip', content: madeZip([{ name: 'a.dcm', content: slice(3) }]) },
        { name: '../../../etc/passwd', content: slice(4) },
        { name: 'leer.txt', content: Buffer.alloc(0) },
      ]),
    )
    expect(row).toMatchObject({ state: 'done', files: 6, filesExpected: 6, stored: 3, skipped: 3, failed: 0 })
    expect((await filesOf(row.id)).map(({ name, outcome }) => [name, outcome])).toEqual([
      ['x.zip/影像/片一.dcm', 'stored'],
      ['x.zip/影像/片二.dcm', 'stored'],
      ['x.zip/Viewer.exe', 'skipped'],
      ['x.zip/inner.zip', 'skipped'],
      ['x.zip/../../../etc/passwd', 'stored'],
      ['x.zip/leer.txt', 'skipped'],
    ])
    expect(await readdir(path.join(folder, 'uploads'))).toEqual([])
  })

  it('that Python wrote, with the whole file-set, is read to the end', async () => {
    // ARC-04
    const zip = path.join(folder, 'set.zip')
    const { code } = await run('python3', ['-c', 'import shutil,sys; shutil.make_archive(sys.argv[1][:-4], "zip", sys.argv[2])', zip, fixture('dicomdir-fileset')])
    expect(code).toBe(0)
    expect(await importZip(await readFile(zip))).toMatchObject({ stored: 31, listed: 31, missing: [] })
  })

  it.each([
    ['is damaged', Buffer.from('PK\u0003\u0004 and then nothing'), 'import/bad-archive'],
    ['is encrypted', madeZip([{ name: 'a.dcm', content: slice(1), lies: { encrypted: true } }]), 'import/bad-archive'],
    ['has bytes that do not fit their check sum', madeZip([{ name: 'a.dcm', content: slice(1), lies: { crc: 1 } }]), 'import/bad-archive'],
    ['unpacks to more than it says', madeZip([{ name: 'a.dcm', content: slice(1), lies: { uncompressedSize: 10 } }]), 'import/bad-archive'],
  ])('that %s keeps nothing and says so', async (_, content, code) => {
    // ARC-04, SEC-09
    const row = await importZip(content)
    expect(row).toMatchObject({ state: 'done', stored: 0, failed: 1 })
    expect((await filesOf(row.id))[0]).toMatchObject({ outcome: 'failed', problem: { code } })
    expect(test.archive.totals()).toMatchObject({ instances: 0 })
  })

  it('that would fill the disk is broken off', async () => {
    // ARC-04, SEC-09
    free = 1_000_000
    const blown = slice(1, { Rows: 1500, Columns: 1500, PixelData: new Uint8Array(4_500_000) })
    const row = await importZip(madeZip([{ name: 'a.dcm', content: blown }, { name: 'b.dcm', content: slice(2) }])) // prettier-ignore
    expect(row).toMatchObject({ stored: 0, failed: 1 })
    expect((await filesOf(row.id))[0]).toMatchObject({ problem: { code: 'import/archive-bomb' } })
    expect(test.archive.totals()).toMatchObject({ instances: 0 })
  })
})

describe('importing files that somebody made', () => {
  it('tells each of them, and no bad one keeps a good one out', async () => {
    // ARC-04, SEC-09
    const id = await begin()
    const bad = slice(1).subarray(0, 400)
    await importer.file(id, 'broken.dcm', Readable.from([bad]))
    await importer.file(id, 'note.txt', Readable.from([Buffer.from('会诊记录\n'.repeat(2_000))]))
    await importer.file(id, 'good.dcm', Readable.from([slice(2)]))
    await importer.file(id, 'empty', Readable.from([]))
    const hostile = (await readdir(fixture('hostile'), { withFileTypes: true, recursive: true })).filter((entry) => entry.isFile())
    for (const { name, parentPath } of hostile) await importer.file(id, name, Readable.from([await readFile(path.join(parentPath, name))]))
    await importer.finish(id)
    const files = await filesOf(id)
    expect(files.slice(0, 4).map(({ outcome, problem }) => [outcome, problem?.code])).toEqual([
      ['failed', 'archive/unreadable'],
      ['skipped', 'import/not-dicom'],
      ['stored', undefined],
      ['skipped', 'import/not-dicom'],
    ])
    expect(await rowOf(id)).toMatchObject({ state: 'done', files: 4 + hostile.length })
  })

  it('ends when it is cancelled, keeps what was stored, and takes nothing more', async () => {
    // ARC-04
    const id = await begin(2)
    await importer.file(id, 'a.dcm', Readable.from([slice(1)]))
    await importer.cancel(id)
    await expect(importer.file(id, 'b.dcm', Readable.from([slice(2)]))).rejects.toMatchObject({ code: 'import/ended' })
    expect(await rowOf(id)).toMatchObject({ state: 'cancelled', stored: 1 })
    expect(test.archive.totals()).toMatchObject({ instances: 1 })
  })

  it('that a stop has interrupted is told as such', async () => {
    // ARC-04
    const id = await begin(2)
    await importer.stop()
    importer = await startImporter()
    expect(await rowOf(id)).toMatchObject({ state: 'failed', problem: { code: 'import/ended' } })
  })
})

describe('the import folder of an administrator', () => {
  it('is emptied into the archive, what is whole into done, what is not into failed', async () => {
    // ARC-04
    const watched = path.join(folder, 'watched')
    const watching = new WatchedFolder({ db, log, importer, folder: watched, storing: storing(), lookMs: 20 })
    await watching.start()
    await cp(fixture('dicomdir-fileset'), path.join(watched, 'inbox', '光盘一'), { recursive: true })
    await mkdir(path.join(watched, 'inbox', '坏的'))
    await writeFile(path.join(watched, 'inbox', '坏的', 'a.dcm'), slice(1).subarray(0, 400))
    await symlink('/etc', path.join(watched, 'inbox', '坏的', 'etc'))
    await writeFile(path.join(watched, 'inbox', 'b.zip'), madeZip([{ name: 'b.dcm', content: slice(2) }]))
    const names = async (below: string) => (await readdir(path.join(watched, below))).map((name) => name.slice(15)).sort()
    await until('the inbox is empty', async () => (await readdir(path.join(watched, 'inbox'))).length === 0)
    await watching.stop()
    expect([await names('done'), await names('failed')]).toEqual([['b.zip', '光盘一'], ['坏的']])
    expect(test.archive.totals()).toMatchObject({ instances: 32 })
    expect((await listImports(db, { limit: 9 })).map(({ origin }) => origin)).toEqual(['folder', 'folder', 'folder'])
  })
})
