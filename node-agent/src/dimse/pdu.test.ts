import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { type AnsweredContext } from './associate-pdu.ts'
import { decodePdu, encodePdu, type Pdu } from './pdu.ts'
import { type UserInformation } from './user-information.ts'

/** A-ASSOCIATE-RQ of DCMTK 3.6.7 `echoscu`: Verification, Implicit VR Little Endian, maximum PDU 16384, called ANY-SCP, calling ECHOSCU. */
const fromDcmtk = Buffer.from(
  '0100000000cd00010000414e592d5343502020202020202020204543484f534355202020202020202020' +
    '0000000000000000000000000000000000000000000000000000000000000000' +
    '10000015312e322e3834302e31303030382e332e312e312e31' +
    '2000002e0100ff0030000011312e322e3834302e31303030382e312e3140000011312e322e3834302e31303030382e312e32' +
    '5000003a51000004000040005200001b312e322e3237362e302e373233303031302e332e302e332e362e375500000f4f464649535f44434d544b5f333637',
  'hex',
)

const uid = fc.stringMatching(/^[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,4}$/)
const aeTitle = fc.stringMatching(/^[A-Z0-9_-]{1,16}$/)
const contextId = fc.integer({ min: 0, max: 127 }).map((n) => n * 2 + 1)
const byte = fc.integer({ min: 0, max: 255 })
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const roles = fc.array(fc.record({ sopClassUid: uid, scu: fc.boolean(), scp: fc.boolean() }), { maxLength: 3 })
const user: fc.Arbitrary<UserInformation> = fc.record(
  {
    maxLengthBytes: fc.nat(),
    implementationClassUid: uid,
    implementationVersionName: aeTitle,
    roles,
    asynchronousOperations: fc.record({ invoked: fc.nat(65535), performed: fc.nat(65535) }),
    extendedNegotiation: fc.array(fc.record({ sopClassUid: uid, information: bytes(20) }), { maxLength: 3 }),
    userIdentity: fc.record({
      identityType: fc.integer({ min: 1, max: 5 }),
      responseRequested: fc.boolean(),
      primary: bytes(30),
      secondary: bytes(30),
    }),
  },
  { requiredKeys: ['maxLengthBytes', 'roles', 'extendedNegotiation'] },
)
const head = { protocolVersion: fc.nat(65535), calledAeTitle: aeTitle, callingAeTitle: aeTitle, applicationContext: uid, user }
const answered: fc.Arbitrary<AnsweredContext> = fc.record({
  id: contextId,
  result: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const, 4 as const),
  transferSyntaxUid: uid,
})
const proposed = fc.record({ id: contextId, abstractSyntaxUid: uid, transferSyntaxUids: fc.array(uid, { minLength: 1, maxLength: 5 }) })
const anyPdu: fc.Arbitrary<Pdu> = fc.oneof(
  fc.record({
    type: fc.constant('A-ASSOCIATE-RQ' as const),
    ...head,
    contexts: fc.uniqueArray(proposed, { minLength: 1, maxLength: 6, selector: ({ id }) => id }),
  }),
  fc.record({
    type: fc.constant('A-ASSOCIATE-AC' as const),
    ...head,
    contexts: fc.uniqueArray(answered, { maxLength: 6, selector: ({ id }) => id }),
  }),
  fc.record({ type: fc.constant('A-ASSOCIATE-RJ' as const), result: byte, source: byte, reason: byte }),
  fc.record({
    type: fc.constant('P-DATA-TF' as const),
    values: fc.array(fc.record({ contextId, isCommand: fc.boolean(), last: fc.boolean(), data: bytes(60) }), {
      minLength: 1,
      maxLength: 4,
    }),
  }),
  fc.constant({ type: 'A-RELEASE-RQ' as const }),
  fc.constant({ type: 'A-RELEASE-RP' as const }),
  fc.record({ type: fc.constant('A-ABORT' as const), source: byte, reason: byte }),
)

/** Decodes, or tells what is wrong; any other error is a bug and fails the test. */
function decodesOrRefuses(input: Buffer): void {
  try {
    decodePdu(input)
  } catch (error) {
    if (!isProblem(error) || error.code !== 'dimse/protocol') throw error
  }
}

describe('PDUs of the upper layer', () => {
  // ARC-02
  it('are read as another toolkit wrote them', () => {
    expect(decodePdu(fromDcmtk)).toEqual({
      type: 'A-ASSOCIATE-RQ',
      protocolVersion: 1,
      calledAeTitle: 'ANY-SCP',
      callingAeTitle: 'ECHOSCU',
      applicationContext: '1.2.840.10008.3.1.1.1',
      contexts: [{ id: 1, abstractSyntaxUid: '1.2.840.10008.1.1', transferSyntaxUids: ['1.2.840.10008.1.2'] }],
      user: {
        maxLengthBytes: 16384,
        implementationClassUid: '1.2.276.0.7230010.3.0.3.6.7',
        implementationVersionName: 'OFFIS_DCMTK_367',
        roles: [],
        extendedNegotiation: [],
      },
    })
  })

  it('come back unchanged after writing and reading', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => void expect(decodePdu(encodePdu(pdu))).toEqual(pdu)),
      { numRuns: 500 },
    )
  })

  it('are decoded or refused, whatever bytes come', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (input) => decodesOrRefuses(Buffer.from(input))),
      { numRuns: 2_000 },
    )
  })

  it('are decoded or refused when some bytes of a real one are changed, added or cut', () => {
    const change = fc.record({ at: fc.nat(fromDcmtk.length - 1), value: byte })
    const mutated = fc.tuple(fc.array(change, { maxLength: 8 }), fc.nat(fromDcmtk.length), bytes(12)).map(([changes, cut, added]) => {
      const copy = Buffer.concat([fromDcmtk.subarray(0, cut), added, fromDcmtk.subarray(cut)])
      for (const { at, value } of changes) copy.writeUInt8(value, at)
      copy.writeUInt32BE(copy.length - 6, 2)
      return copy
    })
    fc.assert(fc.property(mutated, decodesOrRefuses), { numRuns: 5_000 })
  })

  it('with an item that reaches into its neighbour are refused', () => {
    const overlong = Buffer.from(fromDcmtk)
    overlong.writeUInt16BE(0x0100, 76) // length of the application context item
    expect(() => decodePdu(overlong)).toThrowError(expect.objectContaining({ code: 'dimse/protocol' }))
  })

  it('with the same presentation context ID twice are refused', () => {
    const context = { id: 1, abstractSyntaxUid: '1.2', transferSyntaxUids: ['1.2.3'] }
    const request = { ...decodePdu(fromDcmtk), contexts: [context, context] } as Pdu
    expect(() => decodePdu(encodePdu(request))).toThrowError(
      expect.objectContaining({ facts: { fault: 'presentation context ID used twice' } }),
    )
  })

  it('do not take long over hostile padding', () => {
    const name = Buffer.alloc(60_000, 0x20)
    name.write('x', name.length - 1)
    const request = decodePdu(fromDcmtk)
    if (request.type !== 'A-ASSOCIATE-RQ') throw new Error('the captured PDU is a request')
    const started = performance.now()
    decodePdu(
      encodePdu({
        ...request,
        user: { maxLengthBytes: 0, roles: [], extendedNegotiation: [], implementationVersionName: name.toString('latin1') },
      }),
    )
    expect(performance.now() - started).toBeLessThan(200)
  })
})
