import { MessageId } from 'specs'
import { describe, expect, it } from 'vitest'
import { decideResumption } from './resume.ts'

const [ours, theirs] = [MessageId.parse('00000000-0000-4000-8000-000000000001'), MessageId.parse('00000000-0000-4000-8000-000000000002')]

describe('going on after both ends told what they hold', () => {
  it('confirms what the peer took', () => {
    // AGT-16
    expect(decideResumption({ sentUpTo: 9, deliveredUpTo: 3 }, { receivedUpTo: 7, receivedId: ours }, ours)).toEqual({
      kind: 'confirmed',
      upTo: 7,
    })
    expect(decideResumption({ sentUpTo: 0, deliveredUpTo: 0 }, { receivedUpTo: 0 }, undefined)).toEqual({ kind: 'confirmed', upTo: 0 })
  })

  it('sends again what a restored peer has lost', () => {
    expect(decideResumption({ sentUpTo: 9, deliveredUpTo: 8 }, { receivedUpTo: 5, receivedId: ours }, ours)).toEqual({
      kind: 'rewound',
      upTo: 5,
    })
  })

  it('moves our messages behind those of a former self that the peer remembers', () => {
    expect(decideResumption({ sentUpTo: 5, deliveredUpTo: 5 }, { receivedUpTo: 9, receivedId: theirs }, undefined)).toEqual({
      kind: 'renumber',
      after: 9,
    })
    expect(decideResumption({ sentUpTo: 12, deliveredUpTo: 5 }, { receivedUpTo: 9, receivedId: theirs }, ours)).toEqual({
      kind: 'renumber',
      after: 9,
    })
  })
})
