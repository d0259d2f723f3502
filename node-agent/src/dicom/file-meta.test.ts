import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readFileMeta, writeFileMeta } from './file-meta.ts'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts'

const meta = writeFileMeta({ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '1.2.3', transferSyntaxUid: IMPLICIT_LE })
const dataset = Buffer.from([0x08, 0x00, 0x05, 0x00, 0x43, 0x53, 0x0a, 0x00, ...Buffer.from('ISO_IR 192')])

describe('the file meta information', () => {
  it('is read back as it was written, from as few bytes as it needs', () => {
    // ARC-09
    const file = Buffer.concat([meta, dataset])
    expect(readFileMeta(file, false)).toEqual({ transferSyntaxUid: IMPLICIT_LE, datasetOffset: meta.length, proper: true })
    expect(readFileMeta(file.subarray(0, meta.length - 3), false)).toBeUndefined()
    expect(meta.readUInt32LE(140)).toBe(meta.length - 144)
  })

  it('is told from the dataset itself when it is missing', () => {
    expect(readFileMeta(dataset, true)).toEqual({ transferSyntaxUid: EXPLICIT_LE, datasetOffset: 0, proper: false })
    expect(readFileMeta(Buffer.from([0x08, 0x00, 0x05, 0x00, 0x02, 0x00, 0x00, 0x00, 0x41, 0x42]), true)).toMatchObject({
      transferSyntaxUid: IMPLICIT_LE,
    })
    expect(readFileMeta(Buffer.from([0x00, 0x08, 0x00, 0x05, 0x43, 0x53, 0x00, 0x02, 0x41, 0x42]), true)).toMatchObject({
      transferSyntaxUid: EXPLICIT_BE,
    })
    expect(readFileMeta(Buffer.concat([meta.subarray(132), dataset]), true)).toMatchObject({
      transferSyntaxUid: IMPLICIT_LE,
      proper: false,
    })
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a ZIP', Buffer.from('PK\u0003\u0004aaaaaaaaaaaaaaaaaaaa')],
    ['a broken length', Buffer.concat([meta.subarray(0, 150), Buffer.alloc(10, 0xff)])],
  ])('is refused when it is %s', (_what, bytes) => {
    expect(() => readFileMeta(bytes, true)).toThrow(expect.objectContaining({ code: 'archive/unreadable' }))
  })
})
