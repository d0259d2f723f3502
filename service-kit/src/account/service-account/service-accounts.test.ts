import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateSm2KeyPair, loadPrivateKey, signRequest } from 'pki'
import { z } from 'zod'
import { aService, postJson, signIn, type TestService } from '../../../tests/support/service.ts'

const password = 'Zk4-bT9x-p'

describe('a service account', () => {
  let service: TestService
  let url: string
  let now = Date.now()
  let key: { id: string; privateKey: ReturnType<typeof loadPrivateKey> }
  let keeper: Record<string, string>
  let accountId = ''
  const pair = generateSm2KeyPair()

  beforeAll(async () => {
    service = await aService({ accounts: { now: () => now } })
    await service.accounts.ensure({ username: 'keeper', password, name: '管理员', roles: ['admin'] })
    await service.accounts.ensure({ username: 'security', password, name: '安全', roles: ['security-admin'] })
    const Exam = z.object({ name: z.string() })
    service.face.route({ method: 'POST', path: '/api/exams', summary: 'Register', allow: ['exam.register'], body: Exam }, ({ body, user }) => ({ name: body.name, by: user.username, authMethod: user.authMethod }))
    service.face.route({ method: 'GET', path: '/api/exams', summary: 'List', allow: ['exam.list'] }, () => [])
    service.face.raw({ method: 'POST', path: '/upload', summary: 'Upload', allow: ['exam.register'] }, async (request, response) => {
      let bytes = 0
      for await (const chunk of request as AsyncIterable<Uint8Array>) bytes += chunk.length
      response.json({ bytes })
    })
    url = await service.start()
    keeper = (await signIn(url, { username: 'keeper', password })).bearer
    const security = (await signIn(url, { username: 'security', password })).bearer
    const made = (await (await postJson(`${url}/api/service-accounts`, { username: 'his', name: 'HIS 接口' }, keeper)).json()) as { id: string }
    accountId = made.id
    const withKey = await postJson(`${url}/api/service-accounts/${made.id}/keys`, { pem: pair.publicKeyPem, description: '一号' }, keeper)
    const { keys } = (await withKey.json()) as { keys: { id: string }[] }
    key = { id: keys[0]?.id ?? '', privateKey: loadPrivateKey(pair.privateKeyPem) }
    await fetch(`${url}/api/service-accounts/${made.id}/roles`, { method: 'PUT', headers: { ...security, 'Content-Type': 'application/json' }, body: JSON.stringify({ roles: ['registrar'] }) })
  })
  afterAll(() => service.stop())

  const signed = (method: string, path: string, body = '', change: Partial<{ audience: string; at: number }> = {}) =>
    signRequest({ audience: change.audience ?? 'hospital-a', method, url: `${url}${path}`, body }, key, change.at ?? now)
  const send = async (method: string, path: string, authorization: string, body = '') => {
    const response = await fetch(`${url}${path}`, { method, headers: { Authorization: authorization, 'Content-Type': 'application/json' }, ...(body !== '' && { body }) })
    const answer = (await response.json()) as { code?: string; facts?: { reason?: string } }
    return response.ok ? answer : `${answer.code}: ${answer.facts?.reason}`
  }
  const body = JSON.stringify({ name: '张三' })

  it('calls with requests that its key has signed, within its rights', async () => {
    // SEC-11
    expect(await send('POST', '/api/exams', signed('POST', '/api/exams', body), body)).toEqual({ name: '张三', by: 'his', authMethod: 'service' })
    expect(await send('GET', '/api/exams?modality=CT', signed('GET', '/api/exams?modality=CT'))).toEqual([])
    expect(await send('GET', '/api/accounts', signed('GET', '/api/accounts'))).toMatch(/^access\/forbidden/)
    expect((await postJson(`${url}/api/sessions`, { username: 'his', password: '' })).status).toBe(400)
    expect((await postJson(`${url}/api/sessions`, { username: 'his', password })).status).toBe(401) // it has no password
  })

  it('is refused when method, path, query, body or receiver are not those that were signed', async () => {
    const wrong = 'access/request-signature: signature'
    expect(await send('GET', '/api/exams', signed('POST', '/api/exams'))).toBe(wrong)
    expect(await send('GET', '/api/exams?modality=MR', signed('GET', '/api/exams?modality=CT'))).toBe(wrong)
    expect(await send('GET', '/api/exams', signed('GET', '/api/exams', '', { audience: 'hospital-b' }))).toBe(wrong)
    expect(await send('POST', '/api/exams', signed('POST', '/api/exams', body), JSON.stringify({ name: '李四' }))).toBe('access/request-signature: body')
    const forged = signed('GET', '/api/exams').replace(/bodySm3=../, 'bodySm3=00')
    expect(await send('GET', '/api/exams', forged)).toBe(wrong)
  })

  it('is refused when the body differs, also in an upload that is streamed and in a slow one', async () => {
    const bytes = 'x'.repeat(3_000_000)
    expect(await send('POST', '/upload', signed('POST', '/upload', bytes), bytes)).toEqual({ bytes: 3_000_000 })
    expect(await send('POST', '/upload', signed('POST', '/upload', bytes), `${bytes.slice(1)}y`)).toBe('access/request-signature: body')
    const answer = await new Promise<string>((resolve, reject) => {
      const request = httpRequest(`${url}/upload`, { method: 'POST', headers: { Authorization: signed('POST', '/upload', 'signed') } }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(text))
      })
      request.on('error', reject)
      request.write('sig')
      setTimeout(() => request.end('nal'), 100)
    })
    expect(answer).toContain('access/request-signature')
  })

  it('is refused the second time, and outside five minutes', async () => {
    const once = signed('GET', '/api/exams')
    expect([await send('GET', '/api/exams', once), await send('GET', '/api/exams', once)]).toEqual([[], 'access/request-signature: replayed'])
    const old = signed('GET', '/api/exams', '', { at: now - 301_000 })
    expect(await send('GET', '/api/exams', old)).toBe('access/request-signature: timestamp')
    expect(await send('GET', '/api/exams', 'LIANPIAN-SM2 keyId=x')).toBe('access/request-signature: form')
    now += 1
  })

  it('has no access any more once its key is removed or it is disabled', async () => {
    expect((await postJson(`${url}/api/service-accounts/${accountId}/disable`, { reason: '停用' }, keeper)).status).toBe(204)
    expect(await send('GET', '/api/exams', signed('GET', '/api/exams'))).toBe('access/request-signature: account')
    await postJson(`${url}/api/service-accounts/${accountId}/enable`, {}, keeper)
    expect(await send('GET', '/api/exams', signed('GET', '/api/exams'))).toEqual([])
    await fetch(`${url}/api/service-accounts/${accountId}/keys/${key.id}`, { method: 'DELETE', headers: keeper })
    expect(await send('GET', '/api/exams', signed('GET', '/api/exams'))).toBe('access/request-signature: key')
  })

  it('may register nothing but an SM2 key', async () => {
    const response = await postJson(`${url}/api/service-accounts/${accountId}/keys`, { pem: '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n' }, keeper)
    expect(response.status).toBe(400)
  })
})

