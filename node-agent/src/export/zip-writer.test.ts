import { execFileSync } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ZipWriter } from './zip-writer.ts'

let folder: string
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'zip-'))))
afterEach(() => rm(folder, { recursive: true, force: true }))

const python = (script: string, ...args: string[]) => execFileSync('/usr/bin/python3', ['-c', script, ...args], { encoding: 'utf8' })
const tested = (file: string) => python('import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), [(i.filename, i.file_size) for i in z.infolist()])', file).trim()

async function written(fill: (zip: ZipWriter) => Promise<void>): Promise<string> {
  const file = join(folder, 'export.zip')
  const out = createWriteStream(file)
  const zip = new ZipWriter((bytes) => new Promise((resolve, reject) => out.write(bytes, (error) => (error ? reject(error) : resolve()))), new Date(2026, 10, 22, 8, 15, 30))
  await fill(zip)
  await new Promise((resolve) => out.end(resolve))
  return file
}

describe('a ZIP archive that is written while its contents are made', () => {
  it('is read by others: names, times, contents in pieces, nothing at all', async () => {
    const file = await written(async (zip) => {
      await zip.add('S001/影像 1.dcm', [Buffer.from('ab'), Buffer.from('cd')])
      await zip.add('empty.txt', [])
      await zip.add('large.dcm', [Buffer.alloc(100_000, 7)], { isLarge: true })
      await zip.end()
    })
    expect(tested(file)).toBe("None [('S001/影像 1.dcm', 4), ('empty.txt', 0), ('large.dcm', 100000)]")
    expect(python('import sys, zipfile; i = zipfile.ZipFile(sys.argv[1]).infolist()[0]; print(i.date_time, oct(i.external_attr >> 16))', file).trim()).toBe('(2026, 11, 22, 8, 15, 30) 0o100644')
  })
  it('is no archive when it broke off, wherever', async () => {
    const file = await written(async (zip) => {
      for (const name of ['a', 'b', 'c']) await zip.add(name, [Buffer.alloc(50, 1)])
      await zip.end()
    })
    const { length } = await readFile(file)
    for (const cut of [1, 22, 60, 200]) {
      const part = join(folder, `cut-${cut}.zip`)
      await writeFile(part, await readFile(file))
      await truncate(part, length - cut)
      expect(() => python('import sys, zipfile; zipfile.ZipFile(sys.argv[1])', part), String(cut)).toThrow(/BadZipFile|not a zip/)
    }
  })
  it('holds more files than the old form can count', async () => {
    const file = await written(async (zip) => {
      for (let at = 0; at < 66_000; at += 1) await zip.add(`${at}`, [])
      await zip.end()
    })
    expect(python('import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).infolist()))', file).trim()).toBe('66000')
  })
})

it('reaches beyond four gigabytes without holding them', async () => {
  // What goes out is counted and forgotten, but for the directory at the end.
  let tail = Buffer.alloc(0)
  let counted = 0
  const zip = new ZipWriter((bytes) => {
    counted += bytes.byteLength
    tail = Buffer.concat([tail, bytes.byteLength > 1_000 ? bytes.subarray(-1) : bytes]).subarray(-1_000)
    return Promise.resolve()
  }, new Date())
  const piece = Buffer.alloc(64 * 1024 * 1024)
  const large = function* () {
    for (let at = 0; at < 65; at += 1) yield piece
  }
  await zip.add('large', large(), { isLarge: true })
  await zip.add('behind', [Buffer.from('x')])
  await zip.end()
  expect(counted).toBe(zip.sizeBytes)
  expect(counted).toBeGreaterThan(2 ** 32)
  // The second entry's place needs the long form: extra field 1 with one number of 8 bytes.
  const place = tail.indexOf(Buffer.from('behind')) === -1 ? -1 : tail.lastIndexOf(Buffer.from('behind'))
  expect([tail.readUInt16LE(place + 6), tail.readUInt16LE(place + 8), Number(tail.readBigUInt64LE(place + 10)) > 2 ** 32]).toEqual([1, 8, true])
  expect(tail.includes(Buffer.from([0x50, 0x4b, 0x06, 0x06]))).toBe(true)
})
