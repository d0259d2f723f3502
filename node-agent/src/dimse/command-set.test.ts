import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { type CommandSet, decodeCommandSet, encodeCommandSet, hasDataset, isResponse } from './command-set.ts'

/** C-ECHO-RQ of DCMTK 3.6.7: group length 56, Verification, command field 0x0030, message ID 1, no data set. */
const echoOfDcmtk = Buffer.from(
  '0000000004000000380000000000020012000000312e322e3834302e31303030382e312e31000000000102000000300000001001020000000100000000080200000001' +
    '01',
  'hex',
)

describe('command sets', () => {
  // ARC-02
  it('are read as another toolkit wrote them', () => {
    const command = decodeCommandSet(echoOfDcmtk)
    expect(command).toEqual({ affectedSopClassUid: '1.2.840.10008.1.1', commandField: 0x0030, messageId: 1, commandDataSetType: 0x0101 })
    expect(hasDataset(command)).toBe(false)
    expect(isResponse(command)).toBe(false)
    expect(encodeCommandSet(command)).toEqual(echoOfDcmtk)
  })

  it('come back unchanged after writing and reading', () => {
    const uid = fc.stringMatching(/^[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,4}$/)
    const word = fc.nat(0xffff)
    const anyCommand: fc.Arbitrary<CommandSet> = fc.record(
      {
        commandField: word,
        commandDataSetType: word,
        messageId: word,
        affectedSopClassUid: uid,
        affectedSopInstanceUid: uid,
        status: word,
        offendingElement: fc.nat(0xffffffff),
        errorComment: fc.stringMatching(/^[a-z]{1,20}$/),
      },
      { requiredKeys: ['commandField', 'commandDataSetType'] },
    )
    fc.assert(fc.property(anyCommand, (command) => void expect(decodeCommandSet(encodeCommandSet(command))).toEqual(command)))
  })

  it('are decoded or refused, whatever bytes come', () => {
    const mutated = fc
      .array(fc.record({ at: fc.nat(echoOfDcmtk.length - 1), value: fc.integer({ min: 0, max: 255 }) }), { maxLength: 6 })
      .map((changes) => {
        const copy = Buffer.from(echoOfDcmtk)
        for (const { at, value } of changes) copy.writeUInt8(value, at)
        return copy
      })
    const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
    const decode = (input: Buffer) => {
      try {
        decodeCommandSet(input)
      } catch (error) {
        if (!isProblem(error) || error.code !== 'dimse/protocol') throw error
      }
    }
    fc.assert(fc.property(fc.oneof(mutated, noise), decode), { numRuns: 3_000 })
  })

  it('that hold a data element of another group are refused', () => {
    const smuggled = Buffer.concat([echoOfDcmtk, Buffer.from('1000100002000000', 'hex'), Buffer.from('AB')])
    expect(() => decodeCommandSet(smuggled)).toThrowError(expect.objectContaining({ code: 'dimse/protocol' }))
  })
})
