import { Problem } from 'specs'
import { describe, expect, it } from 'vitest'
import { decideAfter, worstOf } from './forwarder.ts'

const waits = { retryWaitMs: 5_000, maxRetryWaitMs: 60_000 }
const refused = { kind: 'failed', sopInstanceUid: '1', again: 'permanent', problem: new Problem('dimse/not-accepted') } as const
const unreachable = { kind: 'failed', sopInstanceUid: '2', again: 'transient', problem: new Problem('dimse/unreachable') } as const

describe('after an attempt to forward a study', () => {
  // FED-15
  it('is done when the node has everything', () => {
    expect(worstOf([{ kind: 'stored', sopInstanceUid: '1' }])).toBeUndefined()
    expect(decideAfter(1, undefined, 1_000, waits)).toEqual({ state: 'done', attempts: 1, nextAttemptAt: null, problem: null })
  })

  it('tries again, waiting longer each time, while the node cannot be reached', () => {
    const failure = worstOf([refused, unreachable])
    const waited = [1, 2, 3, 4, 5, 100].map((attempts) => (decideAfter(attempts, failure, 1_000, waits).nextAttemptAt ?? 0) - 1_000)
    expect(waited).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
  })

  it('waits for a person when the node refuses for good', () => {
    expect(decideAfter(1, worstOf([{ kind: 'stored', sopInstanceUid: '1' }, refused]), 1_000, waits)).toMatchObject({
      state: 'failed',
      nextAttemptAt: null,
      problem: { code: 'dimse/not-accepted' },
    })
  })
})
