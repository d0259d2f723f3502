import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { type AssociateRequest, type ProposedContext } from './associate-pdu.ts'
import { decideAssociation, type Negotiation, type NegotiationPolicy } from './negotiation.ts'
import { STORAGE_COMMITMENT, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION } from './sop-classes.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const STUDY_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.2.2'
const JPEG_LOSSLESS = '1.2.840.10008.1.2.4.70'
const policy: NegotiationPolicy = {
  aeTitle: 'LIANPIAN',
  checkCalledAe: false,
  maxPduBytes: 131_072,
  minPeerPduBytes: 4_096,
  privateSopClasses: 'accept',
}
const fine = { callerAllowed: true, slotFree: true }

function aRequest(contexts: readonly Omit<ProposedContext, 'id'>[] = [], changes: Partial<AssociateRequest> = {}): AssociateRequest {
  return {
    type: 'A-ASSOCIATE-RQ',
    protocolVersion: 1,
    calledAeTitle: 'LIANPIAN',
    callingAeTitle: 'CT01',
    applicationContext: '1.2.840.10008.3.1.1.1',
    contexts: contexts.map((context, index) => ({ id: index * 2 + 1, ...context })),
    user: { maxLengthBytes: 16_384, roles: [], extendedNegotiation: [] },
    ...changes,
  }
}

function answersOf(negotiation: Negotiation): number[] {
  return negotiation.kind === 'accepted' ? negotiation.answer.contexts.map((context) => context.result) : []
}

describe('deciding on an association', () => {
  // ARC-02, FED-15
  it('says per presentation context why it is not accepted', () => {
    const request = aRequest([
      { abstractSyntaxUid: VERIFICATION, transferSyntaxUids: [IMPLICIT_LE] },
      { abstractSyntaxUid: STUDY_ROOT_MOVE, transferSyntaxUids: [IMPLICIT_LE] },
      { abstractSyntaxUid: CT, transferSyntaxUids: ['1.2.840.10008.1.2.4.9999'] },
      { abstractSyntaxUid: STUDY_ROOT_FIND, transferSyntaxUids: [JPEG_LOSSLESS] },
    ])
    expect(answersOf(decideAssociation(request, policy, fine))).toEqual([0, 3, 4, 4])
  })

  it('takes the first syntax the sender names, since that is what it holds', () => {
    const request = aRequest([{ abstractSyntaxUid: CT, transferSyntaxUids: ['1.2.3.4', JPEG_LOSSLESS, EXPLICIT_LE, IMPLICIT_LE] }])
    const negotiation = decideAssociation(request, policy, fine)
    expect(negotiation.kind === 'accepted' && negotiation.contexts.get(1)?.transferSyntaxUid).toBe(JPEG_LOSSLESS)
  })

  it('keeps private and newer storage classes, unless told to refuse them', () => {
    const request = aRequest([
      { abstractSyntaxUid: '1.3.12.2.1107.5.9.1', transferSyntaxUids: [EXPLICIT_LE] },
      { abstractSyntaxUid: '1.2.840.10008.5.1.4.1.1.999.1', transferSyntaxUids: [EXPLICIT_LE] },
      { abstractSyntaxUid: '1.2.840.10008.5.1.1.9', transferSyntaxUids: [EXPLICIT_LE] }, // print
    ])
    expect(answersOf(decideAssociation(request, policy, fine))).toEqual([0, 0, 3])
    expect(answersOf(decideAssociation(request, { ...policy, privateSopClasses: 'refuse' }, fine))).toEqual([3, 3, 3])
  })

  it('never answers the asynchronous operations window, and offers no SCP role', () => {
    const user = {
      maxLengthBytes: 0,
      roles: [{ sopClassUid: CT, scu: true, scp: true }],
      extendedNegotiation: [],
      asynchronousOperations: { invoked: 8, performed: 8 },
    }
    const negotiation = decideAssociation(aRequest([{ abstractSyntaxUid: CT, transferSyntaxUids: [EXPLICIT_LE] }], { user }), policy, fine)
    expect(negotiation.kind === 'accepted' && negotiation.answer.user.asynchronousOperations).toBeUndefined()
    expect(negotiation.kind === 'accepted' && negotiation.answer.user.roles).toEqual([{ sopClassUid: CT, scu: true, scp: false }])
  })

  it('takes the SCP role of a peer for what it gets by C-GET, and for reports of storage commitment, where we have the service', () => {
    // ARC-15, PS3.7 D.3.3.4
    const classes = [CT, STORAGE_COMMITMENT, STUDY_ROOT_GET]
    const roles = classes.map((sopClassUid) => ({ sopClassUid, scu: false, scp: true }))
    const contexts = classes.map((abstractSyntaxUid) => ({ abstractSyntaxUid, transferSyntaxUids: [EXPLICIT_LE] }))
    const request = aRequest(contexts, { user: { maxLengthBytes: 0, roles, extendedNegotiation: [] } })
    const moreServices = new Set(['get', 'commitment'] as const)
    const negotiation = decideAssociation(request, { ...policy, moreServices }, fine)
    if (negotiation.kind !== 'accepted') throw new Error('accepted')
    expect(negotiation.answer.user.roles).toEqual([
      { sopClassUid: CT, scu: false, scp: true },
      { sopClassUid: STORAGE_COMMITMENT, scu: false, scp: true },
      { sopClassUid: STUDY_ROOT_GET, scu: false, scp: false }, // nobody gets from the one who asks
    ])
    expect([...negotiation.contexts.values()].map(({ peerIsScp }) => peerIsScp)).toEqual([true, true, undefined])
  })

  it('agrees to relational queries, combined ranges and names by sound, and to nothing that it does not have', () => {
    // ARC-15, PS3.4 C.5.1.1
    const asked = (sopClassUid: string, ...bytes: number[]) => ({ sopClassUid, information: Buffer.from(bytes) })
    const request = aRequest([{ abstractSyntaxUid: STUDY_ROOT_FIND, transferSyntaxUids: [EXPLICIT_LE] }], {
      user: { maxLengthBytes: 0, roles: [], extendedNegotiation: [asked(STUDY_ROOT_FIND, 1, 0, 1, 1, 1), asked(CT, 1)] },
    })
    const negotiation = decideAssociation(request, policy, fine)
    if (negotiation.kind !== 'accepted') throw new Error('accepted')
    expect(negotiation.contexts.get(1)?.extended).toEqual({ relational: true, dateTime: false, fuzzy: true })
    expect(negotiation.answer.user.extendedNegotiation).toEqual([asked(STUDY_ROOT_FIND, 1, 0, 1)])
  })

  it('does not build PDUs without end for a peer that names no limit', () => {
    const negotiation = decideAssociation(aRequest([], { user: { maxLengthBytes: 0, roles: [], extendedNegotiation: [] } }), policy, fine)
    expect(negotiation.kind === 'accepted' && negotiation.peerMaxPduBytes).toBe(131_072)
  })

  it.each([
    ['an unknown caller', aRequest(), { callerAllowed: false, slotFree: true }, policy, { result: 1, source: 1, reason: 3 }],
    [
      'a wrong called AE title where it is checked',
      aRequest([], { calledAeTitle: 'OTHER' }),
      fine,
      { ...policy, checkCalledAe: true },
      { result: 1, source: 1, reason: 7 },
    ],
    ['another application context', aRequest([], { applicationContext: '1.2.3' }), fine, policy, { result: 1, source: 1, reason: 2 }],
    ['another protocol version', aRequest([], { protocolVersion: 2 }), fine, policy, { result: 1, source: 2, reason: 2 }],
    [
      'a maximum PDU of six bytes',
      aRequest([], { user: { maxLengthBytes: 6, roles: [], extendedNegotiation: [] } }),
      fine,
      policy,
      { result: 1, source: 1, reason: 1 },
    ],
    ['one association too many', aRequest(), { callerAllowed: true, slotFree: false }, policy, { result: 2, source: 3, reason: 2 }],
  ] as const)('rejects %s with the reason of the standard', (_, request, circumstances, rules, answer) => {
    expect(decideAssociation(request, rules, circumstances)).toMatchObject({ kind: 'rejected', answer })
  })
})
