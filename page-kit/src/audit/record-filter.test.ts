import { describe, expect, it } from 'vitest'
import { emptyFilter, queryOf } from './record-filter.ts'

describe('the question that the audit page asks', () => {
  it('holds nothing while nothing is chosen', () => expect(queryOf(emptyFilter())).toEqual({}))
  it('holds each condition that is', () => {
    // SEC-08
    const filter = { ...emptyFilter(), range: [1_000, 2_000] as [number, number], action: ['exam.read', 'image.view'] as const, outcome: 'refused' as const, actorId: ' u1 ' }
    expect(queryOf({ ...filter, action: [...filter.action] })).toEqual({ from: 1_000, until: 2_000, action: 'exam.read,image.view', outcome: 'refused', actorId: 'u1' })
  })
})
