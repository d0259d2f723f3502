import { describe, expect, it } from 'vitest'
import { hospitalState } from './hospital-state.ts'

describe('how a hospital stands to the region', () => {
  it('is offline when it joined and is not heard', () => expect(hospitalState({ joined: true, revoked: false, online: false })).toBe('offline')) // FED-08
  it('is revoked whatever else is true', () => expect(hospitalState({ joined: true, revoked: true, online: true })).toBe('revoked'))
  it('has not joined before its code was used', () => expect(hospitalState({ joined: false, revoked: false, online: false })).toBe('notJoined'))
})
