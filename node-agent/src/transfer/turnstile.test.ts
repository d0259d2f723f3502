import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Turnstile } from './turnstile.ts'

describe('the number of pieces that are given at the same time', () => {
  // AGT-13
  it('is never more than told, follows a change, and everybody has a turn', async () => {
    let [limit, inside, most] = [2, 0, 0]
    const turnstile = new Turnstile(() => limit)
    const piece = () =>
      turnstile.pass(async () => {
        inside += 1
        most = Math.max(most, inside)
        await delay(5)
        inside -= 1
      })
    await Promise.all(Array.from({ length: 9 }, piece))
    expect(most).toBe(2)
    ;[limit, most] = [4, 0]
    await Promise.all(Array.from({ length: 9 }, piece))
    expect(most).toBe(4)
  })

  it('may be without a limit', async () => {
    const turnstile = new Turnstile(() => Number.POSITIVE_INFINITY)
    expect(await Promise.all([1, 2, 3].map((number) => turnstile.pass(async () => number)))).toEqual([1, 2, 3])
  })

  it('is free again after a failure', async () => {
    const turnstile = new Turnstile(() => 1)
    await expect(turnstile.pass(() => Promise.reject(new Error('gone')))).rejects.toThrow('gone')
    expect(await turnstile.pass(async () => 'given')).toBe('given')
  })
})
