import { once } from 'node:events'
import { get } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Problem } from 'specs'
import { z } from 'zod'
import { administrator, aService, doctor, postJson, signIn, type TestService } from '../../tests/support/service.ts'
import { createHttpFace, createLog, createMetrics } from '../index.ts'

describe('the HTTP face of a service', () => {
  let service: TestService
  let url: string
  let aborted = false

  beforeAll(async () => {
    service = await aService()
    const { face } = service
    const Note = z.object({ text: z.string().min(1).max(100) })
    face.route(
      {
        method: 'POST',
        path: '/api/notes/:examId',
        summary: 'Write a note',
        allow: ['image.view'],
        params: z.object({ examId: z.string().max(20) }),
        query: z.object({ copies: z.coerce.number().int().max(9).default(1) }),
        body: Note,
        answer: Note.extend({ examId: z.string(), copies: z.number(), by: z.string() }),
      },
      ({ params, query, body, user }) => ({ status: 201, body: { ...body, ...params, ...query, by: user.name } }),
    )
    face.route({ method: 'GET', path: '/api/status-row', summary: 'A row that has a status of its own', allow: 'anyone' }, () => ({
      status: 7,
      body: 'x',
      id: 1,
    }))
    face.route({ method: 'GET', path: '/api/bug', summary: 'Fails', allow: 'anyone' }, () => {
      throw new TypeError('张三 is not a function')
    })
    face.route({ method: 'GET', path: '/api/held', summary: 'Refuses', allow: 'anyone' }, () => {
      throw new Problem('consult/held', { by: { name: '李' } })
    })
    face.route({ method: 'GET', path: '/api/slow', summary: 'Waits', allow: 'anyone' }, async ({ signal }) => {
      signal.addEventListener('abort', () => (aborted = true))
      await delay(2_000, undefined, { signal })
    })
    face.route({ method: 'GET', path: '/api/guess', summary: 'Limited', allow: 'anyone', limit: { requests: 2, seconds: 60 } }, () => ({}))
    face.raw(
      { method: 'GET', path: '/dicom-web/studies/:study', summary: 'Raw', allow: ['image.view'], produces: 'multipart/related' },
      (request, response, user) => {
        response.type('application/dicom').send(`${request.params['study']} for ${user.username}`)
      },
    )
    url = await service.start()
  })
  afterAll(() => service.stop())

  it('parses what a route declares and answers what its handler returns', async () => {
    const { bearer } = await signIn(url, doctor)
    const response = await postJson(`${url}/api/notes/e1?copies=2`, { text: '结节' }, bearer)
    expect(response.status).toBe(201)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({ text: '结节', examId: 'e1', copies: 2, by: '王医生' })
  })

  it('takes only the exact form { status, body } for a status', async () => {
    const response = await fetch(`${url}/api/status-row`)
    expect([response.status, await response.json()]).toEqual([200, { status: 7, body: 'x', id: 1 }])
  })

  it('refuses what does not have the declared form, naming the fields and not the values', async () => {
    const { bearer } = await signIn(url, doctor)
    const wrong = await postJson(`${url}/api/notes/e1`, { text: '' }, bearer)
    expect(wrong.status).toBe(400)
    expect(wrong.headers.get('content-type')).toContain('application/problem+json')
    expect(await wrong.json()).toMatchObject({ code: 'request/invalid', status: 400, facts: { what: 'body', issues: [{ path: 'text' }] } })
    const query = await postJson(`${url}/api/notes/e1?copies=many`, { text: 'x' }, bearer)
    expect(await query.json()).toMatchObject({ code: 'request/invalid', facts: { what: 'query' } })
    const broken = await fetch(`${url}/api/notes/e1`, {
      method: 'POST',
      headers: { ...bearer, 'Content-Type': 'application/json' },
      body: '{"text":',
    })
    expect(await broken.json()).toMatchObject({ code: 'request/invalid', facts: { reason: 'entity.parse.failed' } })
    const huge = await postJson(`${url}/api/notes/e1`, { text: 'x'.repeat(300_000) }, bearer)
    expect(await huge.json()).toMatchObject({ code: 'request/too-large', status: 413, facts: { limitBytes: 262_144 } })
  })

  it('asks for a sign-in first and then for the role', async () => {
    // SEC-11
    const stranger = await postJson(`${url}/api/notes/e1`, { text: 'x' })
    expect(stranger.status).toBe(401)
    expect(stranger.headers.get('www-authenticate')).toContain('Bearer')
    expect(await stranger.json()).toMatchObject({ code: 'access/not-signed-in' })
    const { bearer } = await signIn(url, administrator)
    const wrongRole = await postJson(`${url}/api/notes/e1`, { text: 'x' }, bearer)
    expect([wrongRole.status, await wrongRole.json()]).toEqual([403, expect.objectContaining({ code: 'access/forbidden' })])
    const raw = await fetch(`${url}/dicom-web/studies/1.2`, { headers: bearer })
    expect(raw.status).toBe(403)
    expect((await fetch(`${url}/dicom-web/studies/1.2`)).status).toBe(401)
  })

  it('does not let another site use the cookie of a signed-in browser', async () => {
    const { cookie } = await signIn(url, doctor)
    const forged = await postJson(`${url}/api/notes/e1`, { text: 'x' }, { Cookie: cookie })
    expect(forged.status).toBe(403)
    const own = await postJson(`${url}/api/notes/e1`, { text: 'x' }, { Cookie: cookie, 'X-Requested-With': 'lianpian' })
    expect(own.status).toBe(201)
    const reading = await fetch(`${url}/dicom-web/studies/1.2`, { headers: { Cookie: cookie } })
    expect(await reading.text()).toBe('1.2 for wang')
  })

  it('answers a refusal with its code and facts, and a bug with nothing but a request id', async () => {
    const held = await fetch(`${url}/api/held`)
    expect(await held.json()).toEqual({
      type: 'urn:lianpian:problem:consult/held',
      code: 'consult/held',
      title: '该会诊已被他人接收',
      titleEn: 'Somebody else holds the consultation',
      status: 409,
      facts: { by: { name: '李' } },
    })
    const bug = await fetch(`${url}/api/bug`)
    const requestId = bug.headers.get('x-request-id')
    expect(await bug.json()).toMatchObject({ code: 'service/internal', status: 500, facts: { requestId } })
    expect(service.logged).toContainEqual(expect.objectContaining({ msg: 'request failed', requestId, path: '/api/bug' }))
  })

  it('answers 404 as a problem where there is nothing', async () => {
    const response = await fetch(`${url}/api/nowhere`)
    expect(await response.json()).toMatchObject({ code: 'request/not-found', status: 404 })
  })

  it('tells a handler that its visitor has gone', async () => {
    const gone = new AbortController()
    const asking = fetch(`${url}/api/slow`, { signal: gone.signal })
    await delay(50)
    gone.abort()
    await expect(asking).rejects.toThrow('abort')
    await expect.poll(() => aborted).toBe(true)
  })

  it('slows down whoever asks too often', async () => {
    const answers = [await fetch(`${url}/api/guess`), await fetch(`${url}/api/guess`), await fetch(`${url}/api/guess`)]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(Number(answers[2]?.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it('logs each request once, without the query in which patients are searched', async () => {
    // SEC-11
    await fetch(`${url}/api/status-row?text=%E5%BC%A0%E4%B8%89`)
    await expect
      .poll(() => service.logged.findLast(({ path }) => path === '/api/status-row'))
      .toMatchObject({ msg: 'request', method: 'GET', status: 200 })
    expect(JSON.stringify(service.logged.filter(({ msg }) => msg === 'request'))).not.toMatch(/张三|%E5/)
  })

  it('logs every connection with what it carried, also one whose successful requests are too many for a line each', async () => {
    // FED-05
    const { bearer } = await signIn(url, doctor)
    // fetch() would use a connection that others have used before
    await once(get(`${url}/dicom-web/studies/9.9`, { agent: false, headers: bearer }), 'response')
    const ended = () => service.logged.findLast(({ msg }) => msg === 'HTTP connection ended')
    await expect.poll(ended).toMatchObject({ level: 'info', remoteAddress: '127.0.0.1', localPort: Number(new URL(url).port), requests: 1 })
    const { remotePort, bytesWritten } = ended()!
    expect(bytesWritten).toBeGreaterThan(100)
    expect(service.logged).toContainEqual(expect.objectContaining({ msg: 'HTTP connection opened', remotePort }))
  })

  it('lets pages run their own scripts only', async () => {
    const { headers } = await fetch(`${url}/api/status-row`)
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'")
    expect(policy).toContain("worker-src 'self' blob:")
    expect(policy).not.toContain('upgrade-insecure-requests')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('strict-transport-security')).toBeNull()
    expect(headers.get('x-powered-by')).toBeNull()
  })

  it('tells a prober without login how it is, and which part is not', async () => {
    // LOC-03
    const well = await fetch(`${url}/health`)
    expect([well.status, await well.json()]).toEqual([
      200,
      { status: 'ok', name: 'test-service', version: '1.2.3', startedAt: expect.any(Number), checks: {} },
    ])
    service.face.check('database', async () => ({ rows: (await service.db.all('SELECT 1 AS one')).length }))
    service.face.check('hub', () => Promise.reject(new Problem('region/hub-unreachable')), { critical: false })
    const degraded = await fetch(`${url}/health`)
    expect([degraded.status, await degraded.json()]).toMatchObject([
      200,
      { status: 'degraded', checks: { database: { status: 'ok', rows: 1 }, hub: { status: 'degraded', code: 'region/hub-unreachable' } } },
    ])
    service.face.check('disk', () => {
      throw new Error('/secret/path')
    })
    const failing = await fetch(`${url}/health`)
    const text = await failing.text()
    expect(failing.status).toBe(503)
    expect(text).not.toContain('/secret')
  })

  it('describes itself in OpenAPI from the schemas that parse', async () => {
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
      openapi: string
      paths: Record<string, Record<string, Record<string, unknown>>>
    }
    expect(document.openapi).toBe('3.1.0')
    const note = document.paths['/api/notes/{examId}']?.['post']
    expect(note).toMatchObject({
      summary: 'Write a note',
      'x-rights': ['image.view'],
      parameters: [
        { name: 'examId', in: 'path', required: true, schema: { type: 'string', maxLength: 20 } },
        { name: 'copies', in: 'query', required: false },
      ],
      requestBody: { content: { 'application/json': { schema: { required: ['text'] } } } },
    })
    expect(document.paths['/health']?.['get']?.['security']).toEqual([])
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/api/sessions', '/api/sessions/current', '/api/events', '/dicom-web/studies/{study}']),
    )
  })

  it('shows its figures to a collector on the same machine only', async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    expect(text).toContain('lianpian_http_request_seconds_count{method="POST",route="/api/notes/:examId",status="201"}')
    expect((await fetch(`${url}/metrics`, { headers: { 'X-Forwarded-For': '10.0.0.1' } })).status).toBe(403)
  })
})

describe('an answer that has begun', () => {
  it('is broken off when its source fails, so that nobody takes the half for the whole', async () => {
    const service = await aService()
    service.face.raw({ method: 'GET', path: '/half', summary: 'Half', allow: 'anyone' }, async (_request, response) => {
      response.set('Content-Length', '1000').write('half')
      await delay(20)
      throw new Error('disk broke')
    })
    const url = await service.start()
    const response = await fetch(`${url}/half`)
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow('terminated')
    expect(service.logged).toContainEqual(expect.objectContaining({ msg: 'request failed', path: '/half' }))
    expect((await fetch(`${url}/health`)).status).toBe(200)
    await service.stop()
  })
})

describe('closing the face', () => {
  it('tells balancers first, and goes on serving until they have noticed', async () => {
    // LOC-03
    const service = await aService()
    service.face.route({ method: 'GET', path: '/api/still', summary: 'Still', allow: 'anyone' }, () => ({ served: true }))
    const url = await service.start()
    expect((await fetch(`${url}/health`)).status).toBe(200)
    const drained = service.face.drain(200)
    const health = await fetch(`${url}/health`)
    expect([health.status, await health.json()]).toMatchObject([503, { status: 'failing', checks: { process: { stopping: true } } }])
    const still = await fetch(`${url}/api/still`)
    expect([await still.json(), still.headers.get('connection')]).toEqual([{ served: true }, 'close'])
    await drained
    await service.stop()
  })
  it('lets a running request finish, cuts one that hangs, and ends the live streams', async () => {
    const service = await aService({ face: { closeDeadlineMs: 300 } })
    service.face.route({ method: 'GET', path: '/api/soon', summary: 'Soon', allow: 'anyone' }, async () => {
      await delay(100)
      return { done: true }
    })
    service.face.route({ method: 'GET', path: '/api/never', summary: 'Never', allow: 'anyone' }, () => new Promise(() => {}))
    const url = await service.start()
    const { bearer } = await signIn(url, doctor)
    const live = await fetch(`${url}/api/events`, { headers: bearer })
    const soon = fetch(`${url}/api/soon`).then((response) => response.json())
    const never = fetch(`${url}/api/never`).catch((error: unknown) => error)
    await delay(30)
    const began = performance.now()
    await service.face.close()
    expect(performance.now() - began).toBeLessThan(2_000)
    expect(await soon).toEqual({ done: true })
    expect(await never).toBeInstanceOf(TypeError)
    expect(await live.text()).toContain('retry: 2000')
    await expect(fetch(`${url}/health`)).rejects.toThrow('fetch failed')
    await service.stop()
  })
})

describe('taking a port', () => {
  it('names the port and the setting when another program holds it', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((done) => other.once('listening', done))
    const { port } = other.address() as AddressInfo
    const face = createHttpFace({ name: 'x', version: '1', log: createLog({ name: 'x', level: 'silent' }), metrics: createMetrics() })
    await expect(face.listen({ host: '127.0.0.1', port, setting: 'http.port' })).rejects.toThrow(
      new RegExp(`127.0.0.1:${port} .*http\\.port`),
    )
    await face.close()
    other.close()
  })
})
