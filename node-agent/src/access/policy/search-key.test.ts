import { describe, expect, it } from 'vitest'
import { isSearchKey, requireSearchKey } from './search-key.ts'

describe('a search key', () => {
  it('names somebody; wildcards, blanks and a single letter do not', () => {
    // SEC-05
    for (const text of ['张三', 'P1', '10023', 'Li*']) expect(isSearchKey(text)).toBe(true)
    for (const text of [undefined, '', '*', '**', '???', '%%', '__', '张', '张*', ' * ', '^^', '==']) expect(isSearchKey(text)).toBe(false)
  })
  it('is asked for where the hospital wants it, and one of several is enough', () => {
    // SEC-05
    expect(() => requireSearchKey('search-key', [undefined, '*'])).toThrow('access/search-key-needed')
    requireSearchKey('search-key', [undefined, 'P1'])
    requireSearchKey('open', [])
  })
})
