import { request as ask } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aService, doctor, postJson, signIn, type TestService } from '../../tests/support/service.ts'

let service: TestService
let proxied: TestService
let url: string
let cookie: string
beforeAll(async () => {
  service = await aService()
  service.face.raw({ method: 'GET', path: '/dicom-web/picture', summary: 'A picture', allow: 'signed-in', produces: 'image/jpeg' }, (_request, response) => void response.type('jpeg').send('x'))
  service.face.raw({ method: 'POST', path: '/dicom-web/studies', summary: 'Store', allow: 'signed-in' }, (_request, response) => void response.send('stored'))
  url = await service.start()
  cookie = (await signIn(url, doctor)).cookie
  proxied = await aService({ face: { trustProxy: true } })
})
afterAll(() => Promise.all([service.stop(), proxied.stop()]))

/** Headers that fetch() would not let us set. */
function statusOf(method: string, path: string, headers: Record<string, string>, base = url): Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const request = ask(base + path, { method, headers, agent: false }, (response) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers })
      response.destroy()
    })
    request.on('error', reject).end()
  })
}
const byCookie = async (method: string, path: string, headers: Record<string, string>) => (await statusOf(method, path, { cookie, ...headers })).status

describe('a page of another site, with our cookie in the browser', () => {
  const elsewhere: Record<string, string>[] = [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' }, { origin: 'http://evil.example' }, { origin: 'null' }, { origin: 'http://127.0.0.1:1' }]

  it('reads no picture and opens no live stream', async () => { // SEC-09
    for (const headers of elsewhere) {
      expect([headers, await byCookie('GET', '/dicom-web/picture', headers)]).toEqual([headers, 403])
      expect([headers, await byCookie('GET', '/api/events', { ...headers, accept: 'text/event-stream' })]).toEqual([headers, 403])
    }
  })

  it('changes and stores nothing, whatever header it might bring along', async () => { // SEC-09
    for (const headers of elsewhere) expect(await byCookie('POST', '/dicom-web/studies', { ...headers, 'x-requested-with': 'lianpian' })).toBe(403)
    // A form needs no script and no header of ours; that alone is refused.
    expect(await byCookie('POST', '/dicom-web/studies', {})).toBe(403)
    expect(await byCookie('POST', '/dicom-web/studies', { 'sec-fetch-site': 'same-origin' })).toBe(403)
  })

  it('does not keep our own pages, links and programs from working', async () => {
    const own = new URL(url).host
    const good: Record<string, string>[] = [{ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }, { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }, { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }, { origin: `http://${own}` }, {}]
    for (const headers of good)
      expect([headers, await byCookie('GET', '/dicom-web/picture', headers)]).toEqual([headers, 200])
    expect(await byCookie('POST', '/dicom-web/studies', { origin: `http://${own}`, 'sec-fetch-site': 'same-origin', 'x-requested-with': 'lianpian' })).toBe(200)
    const { bearer } = await signIn(url, doctor)
    expect((await statusOf('GET', '/dicom-web/picture', { ...bearer, 'sec-fetch-site': 'cross-site', origin: 'http://viewer.example' })).status).toBe(200)
  })
})

describe('the session cookie', () => {
  it('by TLS can come from nowhere but this host, and a planted one without that name is not looked at', async () => { // SEC-09
    const base = await proxied.start()
    const tls = { 'x-forwarded-proto': 'https' }
    const answer = await postJson(`${base}/api/sessions`, { username: doctor.username, password: doctor.password }, tls)
    const [set = ''] = answer.headers.getSetCookie()
    expect(set).toMatch(/^__Host-lianpian_hospital-a=[^;]+;.*Path=\/;.*HttpOnly; Secure; SameSite=Strict$/)
    expect(set).not.toMatch(/Domain=/i)
    const [pair = ''] = set.split(';')
    expect((await statusOf('GET', '/api/sessions/current', { ...tls, cookie: pair }, base)).status).toBe(200)
    expect((await statusOf('GET', '/api/sessions/current', { ...tls, cookie: pair.replace('__Host-', '') }, base)).status).toBe(401)
  })
})

describe('headers of every answer', () => {
  it('let pages load only what is their own, and forbid what they do not use', async () => { // SEC-09
    const { headers } = await statusOf('GET', '/health', {})
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'self'")
    expect(policy).toMatch(/script-src 'self' 'wasm-unsafe-eval';/)
    expect(policy).toMatch(/style-src 'self';/)
    expect(policy.replace("style-src-attr 'unsafe-inline'", '')).not.toMatch(/unsafe-inline|'unsafe-eval'/)
    expect(policy).toMatch(/object-src 'none'.*frame-ancestors 'self'/)
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'permissions-policy': expect.stringContaining('camera=()') as unknown,
    })
    expect(headers['x-powered-by']).toBeUndefined()
  })

  it('keep patients out of caches, images too', async () => { // SEC-09
    expect((await statusOf('GET', '/dicom-web/picture', { cookie })).headers['cache-control']).toBe('no-store')
  })
})
