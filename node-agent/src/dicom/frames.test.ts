import { Buffer } from 'node:buffer'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aSlice, send, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildDataset, buildFile } from './dataset.builder.ts'
import { locateFrame, readFrame } from './frames.ts'
import { writeFileMeta } from './file-meta.ts'
import { DEFLATED_LE, EXPLICIT_BE } from './transfer-syntax.ts'

const geometry = (numberOfFrames: number | null, bitsAllocated = 8) => ({ rows: 3, columns: 3, bitsAllocated, numberOfFrames })

describe('finding a frame', () => {
  it('divides native pixels, leaving padding out', () => {
    const index = { kind: 'native', offset: 100, length: 28, vr: 'OB' } as const
    expect(locateFrame(index, geometry(3), 1)).toEqual({ kind: 'bytes', ranges: [[100, 9]] })
    expect(locateFrame(index, geometry(3), 3)).toEqual({ kind: 'bytes', ranges: [[118, 9]] })
    expect(locateFrame(index, geometry(3), 4)).toBeUndefined()
    expect(locateFrame({ ...index, length: 54 }, geometry(1, 16), 1)).toEqual({ kind: 'bytes', ranges: [[100, 54]] }) // three samples per pixel
    expect(locateFrame({ kind: 'none' }, geometry(1), 1)).toBeUndefined()
  })

  it('assigns fragments: all to the only frame, one to each, by offset table, or by codestreams', () => {
    const fragments = [
      [10, 4, 1],
      [22, 4, 0],
      [34, 4, 1],
      [46, 4, 1],
    ] as const
    const index = { kind: 'encapsulated', fragments, offsetTable: [] } as const
    expect(locateFrame(index, geometry(null), 1)).toMatchObject({
      ranges: [
        [10, 4],
        [22, 4],
        [34, 4],
        [46, 4],
      ],
    })
    expect(locateFrame(index, geometry(4), 2)).toMatchObject({ ranges: [[22, 4]] })
    expect(locateFrame({ ...index, offsetTable: [2, 26] }, geometry(2), 1)).toMatchObject({
      ranges: [
        [10, 4],
        [22, 4],
      ],
    })
    expect(locateFrame({ ...index, offsetTable: [2, 26] }, geometry(2), 2)).toMatchObject({
      ranges: [
        [34, 4],
        [46, 4],
      ],
    })
    expect(locateFrame(index, geometry(3), 1)).toMatchObject({
      ranges: [
        [10, 4],
        [22, 4],
      ],
    })
    expect(locateFrame(index, geometry(2), 1)).toBeUndefined()
  })
})

describe('reading a frame from a stored file', () => {
  let test: TestArchive
  beforeAll(async () => {
    test = await testArchive()
  })
  afterAll(() => test.close())
  const stored = async (file: Uint8Array) => test.archive.open((await send(test.archive, file)).sopInstanceUid)

  it('turns big endian words into little endian', async () => {
    const file = await stored(
      buildFile(aSlice({ SOPInstanceUID: '2.25.1.1', PixelData: Buffer.from([0, 1, 0, 2, 0, 3, 0, 4]) }), {
        transferSyntaxUid: EXPLICIT_BE,
      }),
    )
    expect((await readFrame(file, 1)).bytes).toEqual(Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]))
  })

  it('inflates no further than the frame', async () => {
    const dataset = aSlice({
      SOPInstanceUID: '2.25.1.2',
      NumberOfFrames: '2',
      PixelData: Buffer.from([1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0]),
    })
    const meta = writeFileMeta({ sopClassUid: String(dataset.SOPClassUID), sopInstanceUid: '2.25.1.2', transferSyntaxUid: DEFLATED_LE })
    const file = await stored(Buffer.concat([meta, deflateRawSync(buildDataset(dataset))]))
    expect((await readFrame(file, 2)).bytes).toEqual(Buffer.from([5, 0, 6, 0, 7, 0, 8, 0]))
    await expect(readFrame(file, 3)).rejects.toMatchObject({ code: 'archive/unknown-instance' })
  })

  it('moves frames of single bits to a byte boundary', async () => {
    // Two frames of 3×3 bits: 111111111 and 000000001, one after the other without a gap.
    const file = await stored(
      buildFile(
        aSlice({
          SOPInstanceUID: '2.25.1.3',
          Rows: 3,
          Columns: 3,
          BitsAllocated: 1,
          BitsStored: 1,
          HighBit: 0,
          NumberOfFrames: '2',
          PixelData: Buffer.from([0xff, 0x01, 0x02, 0x00]),
        }),
      ),
    )
    expect((await readFrame(file, 1)).bytes).toEqual(Buffer.from([0xff, 0x01]))
    expect((await readFrame(file, 2)).bytes).toEqual(Buffer.from([0x00, 0x01]))
  })
})
