import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createLog } from 'service-kit'
import { buildFile } from '../../dicom/dataset.builder.ts'
import { aSlice, send, testArchive } from '../archive.builder.ts'
import { BLOCK_BYTES } from './blocks.ts'
import { Digests } from './digests.ts'

const log = createLog({ name: 'test', level: 'silent' })
const pixels = (sizeBytes: number, seed: number) => Uint8Array.from({ length: sizeBytes }, (_, at) => (at * seed + (at >> 9)) & 255)

async function ready(digests: Digests): Promise<void> {
  await expect.poll(() => digests.hasThread, { timeout: 20_000 }).toBe(true)
}

describe('digests of what arrives', () => {
  it('are those of what was stored, however many come at once and however large they are', async () => {
    // FED-22: the digest is what a replacement is told by
    const digests = Digests.threaded(log)
    await ready(digests)
    const test = await testArchive({ digests })
    const files = [1, 2_000, BLOCK_BYTES - 700, BLOCK_BYTES, 3 * BLOCK_BYTES + 17, 70_000].flatMap((sizeBytes, index) =>
      Array.from({ length: 8 }, (_each, copy) => buildFile(aSlice({ SOPInstanceUID: `2.25.7.${index}.${copy}`, PixelData: pixels(sizeBytes + (sizeBytes % 2), 3 + copy) }))),
    )
    const receipts = await Promise.all(files.map((file, index) => send(test.archive, file, { source: { kind: 'transfer', peer: 'hospital-b' }, chunkBytes: 30_000 + index })))
    expect(receipts.map(({ sm3 }) => sm3)).toEqual(files.map((file) => createHash('sm3').update(file).digest('hex')))
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: files.length, wrongDigest: [], wrongSize: [] })
    await test.close()
    await digests.close()
  })

  it('go on without the thread when it is lost', async () => {
    const digests = Digests.threaded(log)
    await ready(digests)
    const test = await testArchive({ digests })
    const file = buildFile(aSlice({ PixelData: pixels(2 * BLOCK_BYTES, 5) }))
    const incoming = await test.archive.receive({ kind: 'import', peer: 'test' }, { part10: true })
    await incoming.write(file.subarray(0, 2 * BLOCK_BYTES))
    await digests.close()
    await incoming.write(file.subarray(2 * BLOCK_BYTES))
    await expect(incoming.commit()).rejects.toMatchObject({ code: 'archive/failed' })
    expect((await send(test.archive, file)).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 1, orphans: [] })
    await test.close()
  })
})
