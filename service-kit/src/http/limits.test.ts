import { once } from 'node:events'
import { request as ask } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { aService, doctor, postJson, signIn, type TestService } from '../../tests/support/service.ts'
import type { HttpFaceOptions } from './face.ts'
import { httpSettings } from './config.ts'
import { refuseDeepJson } from './body-limits.ts'
import { rateClassOf } from './rate-classes.ts'

let service: TestService | undefined
afterEach(async () => {
  await service?.stop()
  service = undefined
})

async function started(face: Partial<HttpFaceOptions> = {}): Promise<string> {
  const made = await aService({ face })
  service = made
  made.face.route({ method: 'POST', path: '/api/notes', summary: 'Write', allow: 'signed-in', body: z.unknown() }, () => ({}))
  made.face.route({ method: 'GET', path: '/api/notes', summary: 'Search', allow: 'signed-in', query: z.object({}) }, () => [])
  made.face.raw({ method: 'POST', path: '/upload', summary: 'Takes bytes', allow: 'anyone' }, async (request, response) => {
    let bytes = 0
    for await (const chunk of request) bytes += (chunk as Uint8Array).byteLength
    response.json({ bytes })
  })
  return made.start()
}
const limits = (changed: z.input<(typeof httpSettings)['limits']>) => httpSettings.limits.parse(changed)
const portOf = (url: string) => Number(new URL(url).port)

async function open(url: string): Promise<Socket> {
  const socket = connect(portOf(url), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}
const isOpen = async (socket: Socket) => {
  await delay(100)
  return !socket.destroyed && !socket.readableEnded
}

describe('a body', () => {
  it('that is compressed is refused before it can grow', async () => { // SEC-09
    const url = await started()
    const { bearer } = await signIn(url, doctor)
    const bomb = gzipSync(JSON.stringify({ text: 'x'.repeat(10_000_000) }))
    for (const path of ['/api/notes', '/upload']) {
      const answer = await fetch(url + path, { method: 'POST', headers: { ...bearer, 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: bomb })
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([415, 'request/unsupported-media'])
    }
  })

  it('that is nested deeper than any message is refused before it is parsed', async () => { // SEC-09
    const url = await started()
    const { bearer } = await signIn(url, doctor)
    const send = (body: string) => fetch(`${url}/api/notes`, { method: 'POST', headers: { ...bearer, 'content-type': 'application/json' }, body })
    const deep = await send('['.repeat(20_000) + ']'.repeat(20_000))
    expect([deep.status, await deep.json()]).toMatchObject([400, { code: 'request/invalid', facts: { limit: 64 } }])
    expect((await send(JSON.stringify({ text: '[{"\\'.repeat(500) }))).status).toBe(200)
  })

  it('counts what is inside a text as no nesting', () => {
    expect(() => refuseDeepJson(Buffer.from(JSON.stringify({ a: '\\"[[['.repeat(100), b: ['"', '\\'] })))).not.toThrow()
    expect(() => refuseDeepJson(Buffer.from(`{"a":"\\\\",${'"b":['.padEnd(5)}${'['.repeat(64)}`))).toThrow(expect.objectContaining({ code: 'request/invalid' }))
  })

  it('may not be larger than an upload, whether it says so or not', async () => { // SEC-09
    const url = await started({ limits: limits({ uploadBytes: 1_000_000 }) })
    const told = await fetch(`${url}/upload`, { method: 'POST', body: new Uint8Array(1_000_001) })
    expect([told.status, await told.json()]).toMatchObject([413, { code: 'request/too-large', facts: { limitBytes: 1_000_000 } }])
    expect(await (await fetch(`${url}/upload`, { method: 'POST', body: new Uint8Array(1_000_000) })).json()).toEqual({ bytes: 1_000_000 })
    const untold = ask(`${url}/upload`, { method: 'POST', headers: { 'transfer-encoding': 'chunked' } })
    const ended = once(untold, 'response').then(([response]) => String((response as { statusCode: number }).statusCode), () => 'cut')
    for (let sent = 0; sent < 20 && !untold.destroyed; sent++) {
      untold.write(new Uint8Array(100_000))
      await delay(5)
    }
    untold.end()
    expect(['cut', '413']).toContain(await ended)
  })

  it('that trickles does not hold a connection', async () => { // SEC-09
    const url = await started({ bodies: { stallMs: 200, minBytes: 1_000 } })
    const socket = await open(url)
    let said = ''
    socket.setEncoding('utf8').on('data', (text: string) => (said += text))
    socket.write('POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n')
    const closed = once(socket, 'close')
    const trickle = setInterval(() => socket.write('x'), 50)
    await closed
    clearInterval(trickle)
    expect(said).toMatch(/^HTTP\/1\.1 408 /)
    expect(said).toContain('request/too-slow')
  })

  it('that pauses because we are slow is waited for', async () => {
    service = await aService({ face: { bodies: { stallMs: 100, minBytes: 1_000 } } })
    service.face.raw({ method: 'POST', path: '/upload', summary: 'Reads late', allow: 'anyone' }, async (request, response) => {
      await delay(500)
      let bytes = 0
      for await (const chunk of request) bytes += (chunk as Uint8Array).byteLength
      response.json({ bytes })
    })
    const url = await service.start()
    expect(await (await fetch(`${url}/upload`, { method: 'POST', body: new Uint8Array(3_000_000) })).json()).toEqual({ bytes: 3_000_000 })
  })
})

describe('one visitor', () => {
  it('does not use up every connection', async () => { // SEC-09
    const url = await started({ limits: limits({ connectionsPerAddress: 3 }) })
    const sockets = [await open(url), await open(url), await open(url), await open(url)]
    expect(await Promise.all(sockets.map(isOpen))).toEqual([true, true, true, false])
    sockets[0]?.destroy()
    await delay(50)
    expect(await isOpen(await open(url))).toBe(true)
    for (const socket of sockets) socket.destroy()
  })

  it('behind a proxy is counted by the proxy', async () => {
    const url = await started({ trustProxy: true, limits: limits({ connectionsPerAddress: 2 }) })
    const sockets = [await open(url), await open(url), await open(url)]
    expect(await Promise.all(sockets.map(isOpen))).toEqual([true, true, true])
    for (const socket of sockets) socket.destroy()
  })

  it('sends headers that are neither endless nor many', async () => { // SEC-09
    const url = await started()
    const answerTo = async (headers: string) => {
      const socket = await open(url)
      socket.write(`GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`)
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      return chunk.toString('latin1').slice(9, 12)
    }
    expect(await answerTo(`X-A: ${'a'.repeat(17 * 1024)}\r\n`)).toBe('431')
    expect(await answerTo('')).toBe('200')
  })
})

describe('the description of the API', () => {
  it('is made once, though anybody may ask for it', async () => { // SEC-09
    const url = await started()
    const ask = async () => {
      const began = performance.now()
      await (await fetch(`${url}/openapi.json`)).text()
      return performance.now() - began
    }
    const first = await ask()
    const later = Math.min(await ask(), await ask(), await ask())
    expect(later).toBeLessThan(first)
  })
})

describe('requests by class', () => {
  it('strangers, changes and searches are told apart; pages, frames and health are not counted among them', () => {
    const asked = (method: 'GET' | 'POST', path: string, allow: 'anyone' | 'signed-in' = 'signed-in', query?: unknown) => rateClassOf({ method, path, allow, query })
    expect([asked('POST', '/api/sessions', 'anyone'), asked('GET', '/health', 'anyone')]).toEqual(['open', undefined])
    expect([asked('POST', '/api/exams'), asked('GET', '/api/exams', 'signed-in', {}), asked('GET', '/api/exams/:id')]).toEqual(['change', 'search', undefined])
    const qido = ['/dicom-web/studies', '/dicom-web/studies/:study/series', '/dicom-web/studies/:study/series/:series/instances']
    expect(qido.map((path) => asked('GET', path))).toEqual(['search', 'search', 'search'])
    expect(asked('GET', '/dicom-web/studies/:study/series/:series/instances/:instance/frames/:frames')).toBeUndefined()
  })

  it('each has its own limit, by account and not by address', async () => { // SEC-09
    const url = await started({ limits: limits({ changesPerMinute: 10, searchesPerMinute: 12 }) })
    const { bearer } = await signIn(url, doctor)
    const other = await signIn(url, { username: 'admin', password: 'battery staple' })
    const write = (headers: Record<string, string>) => postJson(`${url}/api/notes`, {}, headers).then(({ status }) => status)
    const statuses: number[] = []
    for (let i = 0; i < 11; i++) statuses.push(await write(bearer))
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429])
    expect(await write(other.bearer)).toBe(200)
    expect((await fetch(`${url}/api/notes`, { headers: bearer })).status).toBe(200)
  })

  it('strangers have one by address', async () => {
    const url = await started({ limits: limits({ openPerMinute: 10 }) })
    const answers: Response[] = []
    for (let i = 0; i < 11; i++) answers.push(await fetch(`${url}/openapi.json`))
    expect([answers[9]?.status, answers[10]?.status, Number(answers[10]?.headers.get('retry-after')) > 0]).toEqual([200, 429, true])
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })
})
