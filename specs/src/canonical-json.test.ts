import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from './canonical-json.ts'

/** The definition, word by word, without regard to speed. */
function plainly(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.normalize('NFC'))
  if (Array.isArray(value)) return `[${value.map(plainly).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    const sorted = members.map(([name, member]) => [name.normalize('NFC'), member] as const).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${sorted.map(([name, member]) => `${JSON.stringify(name)}:${plainly(member)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

describe('canonical JSON', () => {
  it('is the same text for every value, whichever way is taken to it', () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('\u00e9', 'e\u0301', '"', '\\', '\u0000', '张', '__proto__', ''))
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null), fc.array(tie('value'), { maxLength: 4 }), fc.dictionary(text, fc.oneof(tie('value'), fc.constant(undefined)), { maxKeys: 5 })),
    }))
    fc.assert(fc.property(value, (each) => void expect(canonicalJson(each)).toBe(plainly(each))), { numRuns: 2_000 })
  })

  it('sorts members, normalises texts and leaves out what is undefined', () => {
    expect(canonicalJson({ b: 1, a: ['e\u0301', null], 姓名: '张', c: undefined, A: '"\n' })).toBe('{"A":"\\"\\n","a":["\u00e9",null],"b":1,"姓名":"张"}')
  })

  it('holds finite numbers and plain values only', () => {
    for (const value of [NaN, Infinity, undefined, () => 1, [undefined]]) expect(() => canonicalJson(value)).toThrow(TypeError)
  })
})
