import { Sm3Hex } from 'specs'
import { describe, expect, it } from 'vitest'
import { decideReceive, decideRepetition } from './receive.ts'

describe('the next message of a sender', () => {
  it('is the one after the last; earlier ones are repetitions, later ones show a gap', () => {
    // AGT-06
    expect(decideReceive(0, 1)).toBe('take')
    expect(decideReceive(7, 8)).toBe('take')
    expect(decideReceive(7, 7)).toBe('repetition')
    expect(decideReceive(7, 1)).toBe('repetition')
    expect(decideReceive(7, 9)).toBe('gap')
    expect(decideReceive(0, 2)).toBe('gap')
  })
})

describe('a message number that came before', () => {
  const text = Sm3Hex.parse('a'.repeat(64))
  const resealed = Sm3Hex.parse('b'.repeat(64))

  it('is a duplicate when JetStream delivers the same publication again, or the sender sealed it anew', () => {
    expect(decideRepetition({ digest: text, arrival: '4@1000' }, { digest: text, arrival: '4@1000' })).toBe('duplicate')
    expect(decideRepetition({ digest: text, arrival: '4@1000' }, { digest: resealed, arrival: '9@2000' })).toBe('duplicate')
  })

  it('is a replay when the very text was published a second time', () => {
    // SEC-11
    expect(decideRepetition({ digest: text, arrival: '4@1000' }, { digest: text, arrival: '9@2000' })).toBe('replayed')
  })

  it('is a conflict when no message with this id was ever taken', () => {
    expect(decideRepetition(undefined, { digest: text, arrival: '4@1000' })).toBe('conflict')
  })
})
