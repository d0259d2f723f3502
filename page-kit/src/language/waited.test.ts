import { describe, expect, it } from 'vitest'
import { waited } from './waited.ts'

describe('how long a request has waited', () => {
  it('is told in the unit that a person would use', () => {
    // AGT-07
    const minute = 60_000
    expect([-5, 59_999, minute, 59 * minute, 60 * minute, 47 * 60 * minute, 48 * 60 * minute].map((ms) => Object.values(waited(ms)).join(' '))).toEqual([
      'seconds 0', 'seconds 59', 'minutes 1', 'minutes 59', 'hours 1', 'hours 47', 'days 2',
    ]) // prettier-ignore
  })
})
