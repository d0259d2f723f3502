import { Buffer } from 'node:buffer'
import iconv from 'iconv-lite'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { buildDataset } from '../dicom/dataset.builder.ts'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { decodeIdentifier, encodeIdentifier } from './identifier.ts'

const answer = [
  { tag: 0x00080005, vr: 'CS', text: 'ISO_IR 192' },
  { tag: 0x00100010, vr: 'PN', text: 'Zhang^San=张^三' },
  { tag: 0x0020000d, vr: 'UI', text: '1.2.3' },
  { tag: 0x00280010, vr: 'US', text: '512' },
]

describe('identifiers of queries', () => {
  // FED-21
  it.each([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])('are written so that they are read again in %s', (syntax) => {
    const { keys } = decodeIdentifier(encodeIdentifier(answer, syntax, 'ISO_IR 192'), syntax)
    expect(keys).toMatchObject({ PatientName: 'Zhang^San=张^三', StudyInstanceUID: '1.2.3' })
  })

  it('are the bytes of PS3.5 J.3 in GB18030', () => {
    const bytes = encodeIdentifier([{ tag: 0x00100010, vr: 'PN', text: 'Wang^XiaoDong=王^小东=' }], EXPLICIT_LE, 'GB18030')
    expect(bytes.subarray(8).toString('hex')).toBe('57616e675e5869616f446f6e673dcdf55ed0a1b6ab3d')
  })

  it('are decoded by the character set that the station names', () => {
    const asked = Buffer.concat([
      encodeIdentifier([{ tag: 0x00080005, vr: 'CS', text: 'GB18030' }], EXPLICIT_LE, 'GB18030'),
      buildDataset({ PatientName: iconv.encode('张*', 'gb18030') }),
    ])
    expect(decodeIdentifier(asked, EXPLICIT_LE).keys['PatientName']).toBe('张*')
  })

  it('keep keys that we do not know, and sequences, so that they are answered empty', () => {
    const asked = buildDataset({
      QueryRetrieveLevel: 'STUDY',
      '00091001:LO': 'x',
      ReferencedStudySequence: [{ ReferencedSOPClassUID: '1.2' }],
      PatientID: '',
    })
    const { requested, keys } = decodeIdentifier(asked, EXPLICIT_LE)
    expect(requested.map(({ tag }) => tag)).toEqual([0x00080052, 0x00081110, 0x00091001, 0x00100020])
    expect(keys).toEqual({ QueryRetrieveLevel: 'STUDY', ReferencedStudySequence: '', PatientID: '' })
  })

  it('are decoded or refused, whatever bytes come', () => {
    const decode = (bytes: Uint8Array, syntax: string) => {
      try {
        decodeIdentifier(Buffer.from(bytes), syntax)
      } catch (error) {
        if (!isProblem(error)) throw error
      }
    }
    const good = buildDataset({
      QueryRetrieveLevel: 'STUDY',
      PatientName: 'A*',
      ReferencedStudySequence: [{ ReferencedSOPClassUID: '1.2' }],
    })
    const mutated = fc.array(fc.record({ at: fc.nat(good.length - 1), value: fc.nat(255) }), { maxLength: 5 }).map((changes) => {
      const copy = Buffer.from(good)
      for (const { at, value } of changes) copy.writeUInt8(value, at)
      return copy
    })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 120 })), fc.constantFrom(IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE), decode),
      { numRuns: 2_000 },
    )
  })
})
