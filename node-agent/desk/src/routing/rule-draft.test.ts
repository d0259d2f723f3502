import { RoutingRule } from 'specs'
import { describe, expect, it } from 'vitest'
import { draftOf, mapText, parseMap, ruleOf } from './rule-draft.ts'

describe('a routing rule in its form', () => {
  // ARC-17
  const kept = { id: 'r1', revision: 2, updatedAt: 1, updatedBy: 'a' }
  it.each([
    { name: 'CT 送站', event: 'study-received', when: { modalities: ['CT'], accessionPattern: 'CT*' }, action: { kind: 'send', nodeIds: ['n1'], seriesModalities: ['SR'] }, windows: [{ from: '22:00', to: '06:00', days: [1] }], giveUpHours: null },
    { name: '预取', event: 'exam-new', action: { kind: 'send-priors', nodeIds: ['n1', 'n2'], select: { maxStudies: 2, modalityMap: { CT: ['CT', 'MR'] } } } },
    { name: '旧片', event: 'exam-new', action: { kind: 'fetch-priors', sourceNodeId: 'n3', method: 'get', select: { sameBodyPart: false } } },
  ])('comes back as it was: $name', (input) => {
    const rule = RoutingRule.parse({ ...input, ...kept })
    const { id: _id, revision: _revision, updatedAt: _at, updatedBy: _by, ...expected } = rule
    expect(ruleOf(draftOf(rule))).toEqual(expected)
  })

  it('is not taken without a name, a node or a source', () => {
    expect(ruleOf(draftOf(undefined))).toBeUndefined()
    expect(ruleOf({ ...draftOf(undefined), name: '甲', nodeIds: ['n1'] })).toBeDefined()
    expect(ruleOf({ ...draftOf(undefined), name: '甲', kind: 'fetch-priors' })).toBeUndefined()
  })

  it('reads compared modalities as people write them', () => {
    expect(parseMap('CT=CT,MR\nDX：DX、CR\n')).toEqual({ CT: ['CT', 'MR'], DX: ['DX', 'CR'] })
    expect(mapText(parseMap('ct=ct mr'))).toBe('CT=CT,MR')
  })
})
