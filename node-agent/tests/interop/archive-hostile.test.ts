import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { isProblem } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { send, sendSlice, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { fixtures } from './dicomweb-support.ts'

describe('hostile files', () => {
  let test: TestArchive
  beforeAll(async () => {
    test = await testArchive()
  })
  afterAll(() => test.close())

  it('are stored or refused with a code, quickly, in little memory, and the next caller is served', async () => {
    // ARC-06, AGT-16
    const refused = new Map<string, number>()
    const before = process.memoryUsage().rss
    let stored = 0
    for (const { file, path: name } of fixtures('hostile')) {
      const bytes = readFileSync(file)
      const started = performance.now()
      try {
        const receipt = await send(test.archive, bytes, { chunkBytes: 16 * 1024 })
        stored += 1
        // What has been stored can be described too, or says clearly why not.
        await test.archive.seriesMetadata(receipt.studyInstanceUid, receipt.seriesInstanceUid)
        await test.archive.delete(receipt.studyInstanceUid)
      } catch (error) {
        if (!isProblem(error)) throw new Error(`${name} was answered by a bug`, { cause: error })
        refused.set(error.code, (refused.get(error.code) ?? 0) + 1)
      }
      expect(performance.now() - started, name).toBeLessThan(3_000)
    }
    expect([...refused.keys()].sort()).toEqual(['archive/bad-uid', 'archive/unreadable'])
    expect(stored).toBeGreaterThan(60)
    expect((process.memoryUsage().rss - before) / 1e6, 'MB more than before').toBeLessThan(200)
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect((await sendSlice(test.archive)).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, missing: [], orphans: [] })
  })
})
