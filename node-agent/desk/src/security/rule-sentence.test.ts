import { describe, expect, it } from 'vitest'
import { clockText, minuteOf, sentenceOf, type RuleShape } from './rule-sentence.ts'
import { zhCN } from './texts.ts'

const text = (key: string) => key.split('.').reduce<unknown>((found, part) => (found as Record<string, unknown>)[part], zhCN) as string
const words = { text, subjectName: (_kind: string, id: string) => ({ u1: '王建华' })[id] ?? id, objectName: (_kind: string, id: string) => id, doingName: (doing: string) => ({ view: '调阅影像', read: '查看检查与报告' })[doing] ?? doing, and: '、' }
const read = (rule: RuleShape) => Object.values(sentenceOf(rule, words)).join(' ')

describe('a rule as a sentence', () => {
  it('names who may not do what with whom', () => {
    // SEC-03
    expect(read({ effect: 'deny', subject: { kind: 'user', id: 'u1' }, doings: ['view', 'read'], object: { kind: 'patient', id: 'P1' } })).toBe('不允许 王建华 调阅影像、查看检查与报告 患者“P1”')
  })
  it('says everybody, anything and all exams where nothing is named', () => {
    expect(read({ effect: 'allow', subject: { kind: 'everybody' }, doings: null, object: { kind: 'any' } })).toBe('允许 所有人 做任何操作 所有检查')
  })
  it('writes working hours as a clock shows them', () => {
    expect(clockText(495)).toBe('08:15')
    expect(minuteOf(clockText(1320))).toBe(1320)
  })
})
