import { describe, expect, it } from 'vitest'
import { decideEviction } from './regional-cache.ts'

const studies = [
  { studyInstanceUid: 'oldest', sizeBytes: 10 },
  { studyInstanceUid: 'older', sizeBytes: 20 },
  { studyInstanceUid: 'newest', sizeBytes: 30 },
]

describe('a regional cache that has grown too large', () => {
  it('gives up what was opened longest ago, and no more than needed', () => {
    // AGT-10
    expect(decideEviction(studies, new Set(), 5)).toEqual(['oldest'])
    expect(decideEviction(studies, new Set(), 11)).toEqual(['oldest', 'older'])
    expect(decideEviction(studies, new Set(), 0)).toEqual([])
  })
  it('never gives up the images of an open task, even if it stays too large', () => {
    expect(decideEviction(studies, new Set(['oldest', 'newest']), 1_000)).toEqual(['older'])
  })
})
