import { describe, expect, it } from 'vitest'
import { SessionCache } from './session-cache.ts'

const session = { sessionId: 's1', user: { id: '1', username: 'wang', name: '王', title: '', roles: [], entitlements: [], authMethod: 'password' } as const }

describe('remembering who holds a token', () => {
  it('lasts for the requests of one opened study, not longer', async () => {
    const cache = new SessionCache()
    await cache.keep('token', 1_000, () => Promise.resolve(session))
    expect(cache.get('token', 2_999)).toMatchObject({ sessionId: 's1' })
    expect(cache.get('token', 3_000)).toBeUndefined()
    expect(cache.get('other', 1_000)).toBeUndefined()
  })

  it('ends with the session', async () => {
    const cache = new SessionCache()
    await cache.keep('token', 0, () => Promise.resolve(session))
    cache.forget(['s1'])
    expect(cache.get('token', 1)).toBeUndefined()
  })

  it('does not keep what was read before a session ended', async () => {
    const cache = new SessionCache()
    await cache.keep('token', 0, async () => {
      cache.forget(['s1'])
      return session
    })
    expect(cache.get('token', 1)).toBeUndefined()
  })

  it('keeps no failure', async () => {
    const cache = new SessionCache()
    await expect(cache.keep('token', 0, () => Promise.reject(new Error('ended')))).rejects.toThrow('ended')
    expect(cache.get('token', 0)).toBeUndefined()
  })
})
