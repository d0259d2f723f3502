import { describe, expect, it } from 'vitest'
import { emptyPatient, identityOf } from './patient-draft.ts'

describe('a patient as typed', () => {
  it('is asked for by name and identity card, however the card is spaced', () => {
    // FED-37
    expect(identityOf({ ...emptyPatient(), name: ' 张秀兰 ', idCard: '530102 19700315 002x' })).toEqual({ name: '张秀兰', idCard: '53010219700315002X' })
  })

  it('is asked for by birth date or number only where that was chosen, and never by the name alone', () => {
    // FED-37
    const typed = { ...emptyPatient(), name: '张秀兰', idCard: '530102197003150027', birthDate: '1970-03-15' }
    expect(identityOf({ ...typed, byNumber: true })).toEqual({ name: '张秀兰', birthDate: '1970-03-15' })
    expect(identityOf({ ...typed, idCard: '' })).toBeUndefined()
    expect(identityOf({ ...typed, name: '张' })).toBeUndefined()
  })
})
