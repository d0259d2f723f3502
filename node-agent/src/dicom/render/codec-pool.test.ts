import { Buffer } from 'node:buffer'
import { createLog } from 'service-kit'
import { afterEach, describe, expect, it } from 'vitest'
import { EXPLICIT_LE, RLE } from '../transfer-syntax.ts'
import { createCodecPool, type Codecs } from './codec-pool.ts'
import type { PixelDescription } from './pixel-description.ts'

const log = createLog({ name: 'test', level: 'silent' })
const pixels: PixelDescription = {
  rows: 2, columns: 2, samplesPerPixel: 1, photometricInterpretation: 'MONOCHROME2', planarConfiguration: 0, bitsAllocated: 16, bitsStored: 12, highBit: 11, signed: false, float: false,
  rescaleSlope: 1, rescaleIntercept: 0, windows: [], voiFunction: 'LINEAR',
} // prettier-ignore
const native = (bytes: readonly number[]) => ({ bytes: Buffer.from(bytes), transferSyntaxUid: EXPLICIT_LE, encapsulated: false, pixels })
const encode = (transferSyntaxUid: string) => ({ transferSyntaxUid, quality: 90, ratio: 10, allowedError: 2, verify: true })

let codecs: Codecs
afterEach(() => codecs.close())

describe('the threads of the codecs', () => {
  it('let lanes take turns, and do what is in the background last', async () => {
    codecs = createCodecPool({ log, threads: 1 })
    const done: string[] = []
    const work = (name: string, lane: string, background = false) => codecs.run(native([1, 0, 2, 0, 3, 0, 4, 0]), { lane, background }).then(() => done.push(name))
    // The first is being worked on when the others come.
    await Promise.all([work('study 1', 'study'), work('study 2', 'study'), work('rest', 'rest', true), work('study 3', 'study'), work('page', 'page'), work('study 4', 'study')])
    expect(done).toEqual(['study 1', 'study 2', 'page', 'study 3', 'study 4', 'rest'])
  })

  it('refuse a frame that is too short, one whose overlay would be lost, and go on', async () => {
    codecs = createCodecPool({ log, threads: 1 })
    await expect(codecs.run(native([1, 0]))).rejects.toThrow('frame has 2 bytes instead of 8')
    const overlaid = native([1, 0, 2, 0x80, 3, 0, 4, 0])
    await expect(codecs.run({ ...overlaid, encode: encode('1.2.840.10008.1.2.4.80') })).rejects.toThrow('bits outside those stored')
    const { bytes } = await codecs.run({ ...overlaid, encode: encode(RLE) })
    expect(Buffer.from((await codecs.run({ bytes, transferSyntaxUid: RLE, encapsulated: true, pixels })).bytes).equals(overlaid.bytes)).toBe(true)
  })

  it('say no when they stop', async () => {
    codecs = createCodecPool({ log, threads: 1 })
    const waiting = [codecs.run(native([1, 0, 2, 0, 3, 0, 4, 0])), codecs.run(native([1, 0, 2, 0, 3, 0, 4, 0]))]
    const ends = Promise.allSettled(waiting)
    await codecs.close()
    expect((await ends).every((end) => end.status === 'rejected')).toBe(true)
    await expect(codecs.run(native([]))).rejects.toMatchObject({ code: 'service/unavailable' })
  })
})
