import { describe, expect, it } from 'vitest'
import { SessionCache, type KnownSession } from './cache.ts'

const session: KnownSession = {
  sessionId: 's1',
  user: { id: '1', username: 'wang', name: '王', title: '', roles: [], entitlements: [], authMethod: 'password' },
  strong: false,
  endsAt: 10_000,
}

describe('remembering who holds a token', () => {
  it('lasts until anything about accounts changes', () => {
    // SEC-01
    const cache = new SessionCache()
    cache.keep('token', 7, session, 1_000)
    expect(cache.get('token', 7)).toMatchObject({ sessionId: 's1', lastActiveAt: 1_000 })
    expect(cache.get('other', 7)).toBeUndefined()
    expect(cache.get('token', 8)).toBeUndefined()
    expect(cache.get('token', 7)).toBeUndefined()
  })

  it('ends with the session', () => {
    const cache = new SessionCache()
    cache.keep('token', 7, session, 1_000)
    cache.forget('s1')
    expect(cache.get('token', 7)).toBeUndefined()
  })
})
