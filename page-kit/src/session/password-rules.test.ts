import { describe, expect, it } from 'vitest'
import { checkPassword } from './password-rules.ts'

describe('the rules beside the field of a new password', () => {
  const policy = { minLength: 10, minClasses: 3, history: 5, maxAgeDays: 90 }
  const unmet = (next: string, again = next, current = 'Old-pass-1') =>
    checkPassword(policy, { current, next, again }).filter(({ met }) => !met).map(({ rule }) => rule)

  it('are all met by a long password of three kinds, entered twice', () => {
    // SEC-07
    expect(unmet('Yunxi-2026-ct')).toEqual([])
  })
  it('name what is missing while somebody types', () => {
    expect(unmet('abc')).toEqual(['length', 'classes'])
    expect(unmet('Yunxi-2026-ct', 'Yunxi-2026')).toEqual(['same'])
    expect(unmet('Old-pass-1')).toEqual(['different'])
  })
})
