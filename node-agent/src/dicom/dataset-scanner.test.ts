import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { buildDataset, type BuiltDataset } from './dataset.builder.ts'
import { DatasetScanner, type DatasetVisitor } from './dataset-scanner.ts'
import { tagText } from './dictionary.ts'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, transferSyntax } from './transfer-syntax.ts'

/** Writes down everything it is told. */
function recorder(): DatasetVisitor & { story: string[] } {
  const story: string[] = []
  return {
    story,
    element: (head) => (head.length ?? 0) < 100,
    value: (head, bytes) => void story.push(`${tagText(head.tag)} ${head.vr} ${bytes.toString('latin1')}`),
    startSequence: (head) => void story.push(`${tagText(head.tag)} [`),
    startItem: () => void story.push('{'),
    endItem: () => void story.push('}'),
    endSequence: () => void story.push(']'),
    startFragments: (head) => void story.push(`${tagText(head.tag)} fragments`),
    fragment: (index, offset, length) => void story.push(`fragment ${index} ${offset}+${length}`),
  }
}

function scan(bytes: Uint8Array, transferSyntaxUid: string, chunkBytes = bytes.length): string[] {
  const visitor = recorder()
  const scanner = new DatasetScanner(transferSyntax(transferSyntaxUid), visitor)
  for (let at = 0; at < bytes.length; at += Math.max(1, chunkBytes)) scanner.push(bytes.subarray(at, at + Math.max(1, chunkBytes)))
  scanner.end()
  return visitor.story
}

const nested: BuiltDataset = {
  SOPClassUID: '1.2',
  ReferencedStudySequence: [{ ReferencedSOPInstanceUID: '1.3' }, { ReferencedSeriesSequence: [{ SeriesInstanceUID: '1.4' }, {}] }],
  PatientID: 'P1',
}

describe('scanning a dataset', () => {
  it.each([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])(
    'tells the same story in %s, with lengths and with delimiters, in chunks of any size',
    (transferSyntaxUid) => {
      const wanted = [
        '00080016 UI 1.2\0',
        '00081110 [',
        '{',
        '00081155 UI 1.3\0',
        '}',
        '{',
        '00081115 [',
        '{',
        '0020000E UI 1.4\0',
        '}',
        '{',
        '}',
        ']',
        '}',
        ']',
        '00100020 LO P1',
      ]
      for (const undefinedLengths of [false, true]) {
        const bytes = buildDataset(nested, { transferSyntaxUid, undefinedLengths })
        for (const chunkBytes of [1, 2, 7, 13, bytes.length]) expect(scan(bytes, transferSyntaxUid, chunkBytes)).toEqual(wanted)
      }
    },
  )

  it('notes fragments and stops looking after top-level Pixel Data', () => {
    const bytes = buildDataset({
      IconImageSequence: [{ PixelData: { fragments: [Buffer.alloc(0), Buffer.alloc(4)] } }],
      PixelData: { fragments: [Buffer.alloc(4), Buffer.alloc(10), Buffer.alloc(6)] },
    })
    const story = scan(Buffer.concat([bytes, Buffer.from('anything at all')]), EXPLICIT_LE, 3)
    const start = bytes.length - 8 - 6 - 8 - 10 - 8 - 4
    expect(story).toEqual([
      '00880200 [',
      '{',
      '}',
      ']',
      '7FE00010 fragments',
      `fragment 0 ${start}+4`,
      `fragment 1 ${start + 12}+10`,
      `fragment 2 ${start + 30}+6`,
    ])
  })

  it('reads unknown VR of undefined length as implicit little endian, whatever is around it', () => {
    const inner = buildDataset({ PatientID: 'P' }, { transferSyntaxUid: IMPLICIT_LE })
    const head = Buffer.from([
      0x09, 0x00, 0x10, 0x10, 0x55, 0x4e, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff,
    ])
    const tail = Buffer.from([0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
    expect(scan(Buffer.concat([head, inner, tail, buildDataset({ StudyID: '7' })]), EXPLICIT_LE)).toEqual([
      '00091010 [',
      '{',
      '00100020 LO P ',
      '}',
      ']',
      '00200010 SH 7 ',
    ])
  })

  it('refuses values that reach beyond their item, and nesting without end', () => {
    const item = buildDataset({ ReferencedStudySequence: [{ PatientID: 'P123' }] })
    item.writeUInt16LE(400, item.length - 6)
    expect(() => scan(item, EXPLICIT_LE)).toThrow(expect.objectContaining({ code: 'archive/unreadable' }))
    let deep: BuiltDataset = { PatientID: 'P' }
    for (let level = 0; level < 100; level += 1) deep = { ReferencedStudySequence: [deep] }
    for (const undefinedLengths of [false, true])
      expect(() => scan(buildDataset(deep, { undefinedLengths }), EXPLICIT_LE)).toThrow(
        expect.objectContaining({ facts: expect.objectContaining({ reason: 'nested too deep' }) as unknown }),
      )
  })

  it('meets random and damaged bytes with a Problem at worst, the same in one piece and in many', () => {
    const valid = buildDataset({ ...nested, PixelData: { fragments: [Buffer.alloc(4), Buffer.alloc(10)] } }, { undefinedLengths: true })
    const outcome = (bytes: Uint8Array, syntax: string, chunkBytes?: number): string => {
      try {
        return scan(bytes, syntax, chunkBytes).join('\n')
      } catch (error) {
        if (!isProblem(error)) throw error
        return `${error.code} ${String(error.facts.reason)}`
      }
    }
    const damaged = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(valid)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    })
    fc.assert(
      fc.property(
        fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })),
        fc.constantFrom(EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE),
        fc.integer({ min: 1, max: 20 }),
        (bytes, syntax, chunkBytes) => {
          expect(outcome(bytes, syntax, chunkBytes)).toBe(outcome(bytes, syntax))
        },
      ),
      { numRuns: 400 },
    )
  })
})
