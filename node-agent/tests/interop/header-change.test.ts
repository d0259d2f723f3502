import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isProblem } from 'specs'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { ensureSystemPackages } from '../../../scripts/run.mjs'
import { send, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import type { InstanceFile } from '../../src/archive/archive.ts'
import { tagOf } from '../../src/dicom/dictionary.ts'
import { changedFile } from '../../src/dicom/header-change.ts'
import { readHeader } from '../../src/dicom/header-reading.ts'

const run = promisify(execFile)
const sets = ['syntaxes', 'syntaxes-color', 'syntaxes-more', 'syntaxes-htj2k', 'kinds', 'charsets', 'key-object', 'xa-multiframe', 'us-palette', 'dx-small']
const values = new Map(Object.entries({ PatientName: '李四', PatientID: 'P9', AccessionNumber: 'A9' }).map(([keyword, text]) => [tagOf(keyword) ?? 0, text]))
const errorsOf = async (file: string) => (await run('dciodvfy', [file]).catch((error: unknown) => error as { stderr: string })).stderr.split('\n').filter((line) => line.startsWith('Error'))

/** Digest of everything that pictures are made of. */
async function pixelsOf(file: InstanceFile): Promise<string> {
  const hash = createHash('sha256')
  const index = file.frameIndex
  if (index.kind === 'native' && !index.inflated) hash.update(await file.read(index.offset, index.length))
  if (index.kind === 'encapsulated') for (const [offset, length] of index.fragments) hash.update(await file.read(offset, length))
  return `${index.kind} ${hash.digest('hex')}`
}

/** Real images of many devices and transfer syntaxes (fixtures/dicom), judged by David Clunie's dciodvfy. */
describe('real images with a corrected header', () => {
  let test: TestArchive
  beforeAll(async () => {
    await ensureSystemPackages({ programs: ['dciodvfy'], apt: ['dicom3tools'] })
    test = await testArchive()
  })
  afterAll(() => test.close())

  it('keep every pixel in every transfer syntax, and are as good DICOM as before', async () => {
    // ARC-21, ARC-25
    const worse: string[] = []
    let taken = 0
    const syntaxes = new Set<string>()
    for (const name of sets) {
      const folder = join(unpackFixtures(name), name)
      for (const file of (await readdir(folder)).sort()) {
        const source = join(folder, file)
        // Samples of character sets are no whole images: some have no UIDs, and no archive takes them.
        const receipt = await send(test.archive, await readFile(source)).catch((error: unknown) => (isProblem(error) && error.code === 'archive/bad-uid' ? undefined : Promise.reject(error as Error)))
        if (!receipt) continue
        const { studyInstanceUid, sopInstanceUid } = receipt
        taken += 1
        const before = await pixelsOf(await test.archive.open(sopInstanceUid))
        const rewritten = await test.archive.rewriteStudy(studyInstanceUid, { peer: 'wang', reason: 'correction', keepPrevious: true }, async (each) =>
          changedFile(each, await readHeader(each), { values, reason: 'CORRECT', by: 'wang', source: 'test', at: Date.now() })?.content)
        expect(rewritten.rewritten).toBeGreaterThan(0)
        const after = await test.archive.open(sopInstanceUid)
        syntaxes.add(after.transferSyntaxUid)
        expect(await pixelsOf(after), source).toBe(before)
        expect((await test.archive.study(studyInstanceUid))?.patientId).toBe('P9')
        const former = new Set(await errorsOf(source))
        worse.push(...(await errorsOf(after.file)).filter((line) => !former.has(line)).map((line) => `${name}/${file}: ${line}`))
      }
    }
    expect(worse).toEqual([])
    expect(taken).toBeGreaterThan(45)
    expect(syntaxes.size).toBeGreaterThan(10)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongDigest: [], orphans: [] })
  }, 120_000) // prettier-ignore
})
