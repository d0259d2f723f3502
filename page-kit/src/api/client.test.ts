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
  it('asks for the second factor where a request needs it, and makes the request again', async () => {
    // SEC-07
    const answers = [answer(403, { code: 'access/second-factor-needed', title: '此操作需要第二因素认证' }), answer(200, { ok: true })]
    const strengthen = vi.fn(() => Promise.resolve(true))
    const api = createApiClient(vi.fn(), (() => answers.shift()?.()) as unknown as typeof fetch, strengthen)
    await expect(api.send('POST', '/api/roles', {})).resolves.toEqual({ ok: true })
    expect(strengthen).toHaveBeenCalledOnce()
  })
  it('hands over a file that needed a second factor, once', async () => {
    // SEC-07: the export is asked for again after the factor; what comes then is the file, under its own name.
    const file = () => Promise.resolve(new Response('a,b', { headers: { 'content-type': 'text/csv', 'content-disposition': 'attachment; filename="audit-2026.csv"' } }))
    const answers = [answer(403, { code: 'access/second-factor-needed', title: '此操作需要第二因素认证' }), file]
    const fetcher = vi.fn((_path: string) => answers.shift()!())
    const api = createApiClient(vi.fn(), fetcher as unknown as typeof fetch, () => Promise.resolve(true))
    const { name, content } = await api.download('/api/audit/exports', { format: 'csv' })
    expect([name, await content.text(), fetcher.mock.calls.length]).toEqual(['audit-2026.csv', 'a,b', 2])
  })
  it('tells the refusal when the second factor was not shown', async () => {
    const refused = answer(403, { code: 'access/second-factor-needed', title: '此操作需要第二因素认证' })
    const api = createApiClient(vi.fn(), refused as unknown as typeof fetch, () => Promise.resolve(false))
    await expect(api.get('/api/roles')).rejects.toMatchObject({ details: { code: 'access/second-factor-needed' } })
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
