import { describe, expect, it, vi } from 'vitest'
import { ApiProblem, createApiClient } from './client.ts'

const answer = (status: number, body: unknown) => () => Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/problem+json' } }))

describe('talking to the hub', () => {
  it('tells a refusal by its stable code', async () => {
    const api = createApiClient(vi.fn(), answer(409, { code: 'region/hospital-exists', title: '医院标识或代码已被使用' }) as unknown as typeof fetch)
    await expect(api.send('POST', '/api/hospitals', {})).rejects.toMatchObject({ details: { code: 'region/hospital-exists' } })
  })
  it('asks to sign in again when the session is over', async () => {
    const signedOut = vi.fn()
    const api = createApiClient(signedOut, answer(401, { code: 'access/not-signed-in', title: '请先登录' }) as unknown as typeof fetch)
    await expect(api.get('/api/tasks')).rejects.toBeInstanceOf(ApiProblem)
    expect(signedOut).toHaveBeenCalledOnce()
  })
  it('says that the hub cannot be reached when there is no answer at all', async () => {
    const api = createApiClient(vi.fn(), (() => Promise.reject(new TypeError('failed'))) as unknown as typeof fetch)
    await expect(api.get('/api/tasks')).rejects.toMatchObject({ message: '无法连接区域平台' })
  })
  it('leaves filters that are not set out of the address', async () => {
    const fetcher = vi.fn((_path: string) => Promise.resolve(new Response('{}', { headers: { 'content-type': 'application/json' } })))
    await createApiClient(vi.fn(), fetcher as unknown as typeof fetch).get('/api/tasks', { state: '', submitter: undefined, limit: 50 })
    expect(fetcher.mock.calls[0]?.[0]).toBe('/api/tasks?limit=50')
  })
})
