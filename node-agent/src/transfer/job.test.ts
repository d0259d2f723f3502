import { describe, expect, it } from 'vitest'
import { Problem } from 'specs'
import { A, CENTRE } from '../access/builders.ts'
import { decideAfterFailure, sourceOf } from './job.ts'

const waits = { retryWaitMs: 1_000, maxRetryWaitMs: 60_000 }

describe('after a failed attempt to fetch a study', () => {
  it('waits ever longer for an owner that is away, and never gives up', () => {
    // AGT-16
    const offline = new Problem('region/hospital-offline')
    expect([0, 1, 5, 6, 1_000].map((attempts) => decideAfterFailure(offline, attempts, waits))).toEqual(
      [1_000, 2_000, 32_000, 60_000, 60_000].map((waitMs) => ({ kind: 'retry', waitMs })),
    )
  })
  it('tries again after a full disk, a restart of the owner, and faults nobody foresaw', () => {
    for (const error of [new Problem('archive/out-of-space'), new Problem('transfer/unknown-session'), new Error('socket')]) {
      expect(decideAfterFailure(error, 0, waits).kind).toBe('retry')
    }
  })
  it('asks the next source when one that is not the owner refuses', () => {
    expect(decideAfterFailure(new Problem('access/no-grant'), 0, waits, false).kind).toBe('retry')
    const job = { sources: [CENTRE, A], owner: A }
    expect([0, 1, 2].map((attempts) => sourceOf({ ...job, attempts }))).toEqual([CENTRE, A, CENTRE])
  })
  it('gives up when the owner refuses, or when contents stay wrong', () => {
    for (const code of ['access/grant-withdrawn', 'access/grant-expired', 'access/no-grant', 'transfer/digest-mismatch'] as const) {
      expect(decideAfterFailure(new Problem(code), 0, waits)).toEqual({ kind: 'give-up' })
    }
  })
})
